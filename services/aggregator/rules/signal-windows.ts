import type { EventNames } from '../../../bpf/event.ts';
import type { RecordReader } from '../../../schema/record.ts';
import type { FarEnd } from '../far-end.ts';
import type { CellImage } from './cell.ts';
import { CellRows } from './cell-rows.ts';
import type { SketchImage } from './distinct-window.ts';
import { type GroupImage, type GroupKey, GroupTable, maxGroups } from './group-table.ts';
import { type EventPlace, RecordIntake } from './record-intake.ts';
import { RingPools } from './ring-pool.ts';
import { SketchRows } from './sketch-rows.ts';
import type { CounterAdd, WindowPlan } from './window-plan.ts';

/** Told that a window of an entity's signal changed. */
export type SignalListener = (entity: number, signal: number) => void;

/** All windows of a set of entities, by number: what records and counters say of them. */
export class SignalWindows {
  readonly plan: WindowPlan;
  /** By feed. */
  readonly rows: readonly CellRows[];
  /** By signal. */
  readonly groups: readonly (GroupTable | undefined)[];
  readonly sketches: readonly (SketchRows | undefined)[];
  /** By probe. */
  readonly intakes: readonly (RecordIntake | undefined)[];
  /** The last second that was folded. */
  foldedS = 0;

  constructor(plan: WindowPlan, changed: SignalListener) {
    this.plan = plan;
    const pools = new RingPools();
    const ofGroup: SignalListener = (row, signal) => {
      changed((row / maxGroups) | 0, signal);
    };
    this.rows = plan.feeds.map(({ cells, grouped }) => new CellRows(cells, pools, grouped ? ofGroup : changed));
    this.sketches = plan.signals.map(({ sketch, signal, group }, index) =>
      sketch === undefined ? undefined : new SketchRows(sketch, signal.windowS, index, group === undefined ? changed : ofGroup),
    );
    this.groups = plan.signals.map(({ group }, index) => (group === undefined ? undefined : new GroupTable(group, this.#groupRows(index))));
    this.intakes = plan.probes.map((probe) => (probe === undefined ? undefined : new RecordIntake(probe, this)));
  }

  /**
   * Adds a record to the signals that ask for it.
   * @param second its second; open seconds are foldedS + 1 and the one behind
   * @param event undefined when it became none
   * @param enumsTold another object when names of the node's kernel are others
   * @returns false when a window no longer takes it
   */
  record(
    entity: number,
    second: number,
    record: RecordReader,
    names: EventNames,
    end: FarEnd,
    event: EventPlace | undefined,
    enumsTold: object,
  ): boolean {
    const intake = this.intakes[record.probe];
    return intake === undefined || intake.add(entity, second, this.foldedS, record, names, end, event, enumsTold);
  }

  /**
   * Adds to a counter, or sets a gauge.
   * @param group values of the labels that the signal groups by
   * @param bits of a histogram: the bucket
   * @returns false when the window no longer takes it
   */
  counter({ index, plan, cell, kind }: CounterAdd, entity: number, group: GroupKey, second: number, value: number, bits: number): boolean {
    const row = rowOf(this.groups[index], entity, group);
    if (kind !== 'histogram') return this.#put(plan.feed, row, cell, second, value);
    if (second <= this.foldedS + 1 - plan.signal.windowS) return false;
    this.sketches[index]?.addBits(row, second, bits, value);
    return plan.second < 0 || this.#put(plan.feed, row, plan.second, second, value);
  }

  /** A second is over. Seconds come one after the other. */
  fold(second: number): void {
    this.foldedS = second;
    for (const rows of this.rows) rows.fold(second);
    for (const sketch of this.sketches) sketch?.fold(second);
  }

  /** Goes on at another second; windows must be empty. */
  skipTo(second: number): void {
    this.foldedS = second;
    for (const rows of this.rows) rows.skipTo(second);
  }

  /** The windows of a signal for a checkpoint, of the entities from one up to another. */
  image(signal: number, node: string, from: number, to: number): SignalImage {
    const { feed, main, second, group } = this.plan.signals[signal];
    const each = group === undefined ? 1 : maxGroups;
    return {
      main: main < 0 ? undefined : this.rows[feed].image(main, from * each, to * each),
      second: second < 0 ? undefined : this.rows[feed].image(second, from * each, to * each),
      groups: this.groups[signal]?.image(node, from, to),
      sketches: this.sketches[signal]?.image(from * each, to * each),
    };
  }

  /** Takes back what the windows of the same signal held, once `foldedS` is what it was. */
  restore(signal: number, { main, second, groups, sketches }: SignalImage): void {
    const plan = this.plan.signals[signal];
    const rows = this.rows[plan.feed];
    if (main !== undefined && plan.main >= 0) rows.restore(plan.main, main, this.foldedS);
    if (second !== undefined && plan.second >= 0) rows.restore(plan.second, second, this.foldedS);
    if (groups !== undefined) this.groups[signal]?.restore(groups);
    if (sketches !== undefined) this.sketches[signal]?.restore(sketches);
  }

  /** Empties all windows of an entity. */
  clear(entity: number): void {
    this.plan.feeds.forEach(({ grouped }, feed) => {
      if (!grouped) this.rows[feed].clear(entity);
    });
    this.plan.signals.forEach((_, signal) => {
      this.groups[signal]?.clear(entity);
      if (this.groups[signal] === undefined) this.sketches[signal]?.clear(entity);
    });
    for (const intake of this.intakes) intake?.recent.clear(entity);
  }

  #put(feed: number, row: number, cell: number, second: number, value: number): boolean {
    const rows = this.rows[feed];
    if (second <= this.foldedS) return rows.addLate(row, cell, second, value);
    rows.add(row, cell, second, value);
    return true;
  }

  /** What decides which group of a signal goes. */
  #groupRows(index: number) {
    const { feed, main, second } = this.plan.signals[index];
    const cell = main < 0 ? second : main;
    return {
      weight: (row: number): number => this.rows[feed].weight(row, cell),
      clear: (row: number): void => {
        this.rows[feed].clear(row);
        this.sketches[index]?.clear(row);
      },
    };
  }
}

function rowOf(groups: GroupTable | undefined, entity: number, group: GroupKey): number {
  if (groups === undefined) return entity;
  return typeof group === 'object' ? groups.rowOfSeveral(entity, group) : groups.rowOf(entity, group);
}

/** The windows of a signal in a checkpoint. */
export interface SignalImage {
  readonly main: CellImage | undefined;
  readonly second: CellImage | undefined;
  readonly groups: readonly GroupImage[] | undefined;
  readonly sketches: readonly (readonly [row: number, image: SketchImage])[] | undefined;
}
