import type { EventNames } from '../../../bpf/event.ts';
import type { RecordReader } from '../../../schema/record.ts';
import type { FarEnd } from '../far-end.ts';
import { type CellImage, CellRows } from './cell-rows.ts';
import type { SketchImage } from './distinct-window.ts';
import { FarAddress } from './far-ends.ts';
import { type GroupImage, GroupTable, maxGroups } from './group-table.ts';
import { RecentRecords } from './recent-records.ts';
import { RingPools } from './ring-pool.ts';
import { SketchRows } from './sketch-rows.ts';
import type { CounterAdd, RecordAdd, Selector, WindowPlan } from './window-plan.ts';

/** Told that a window of an entity's signal changed. */
export type SignalListener = (entity: number, signal: number) => void;

/** Which event a record became. */
export interface EventPlace {
  /** Number of its session. */
  origin: number;
  item: number;
  /** Rises with each event of the partition. */
  order: number;
}

/** All windows of a set of entities, by number: what records and counters say of them. */
export class SignalWindows {
  readonly plan: WindowPlan;
  /** By feed. */
  readonly rows: readonly CellRows[];
  /** By signal. */
  readonly groups: readonly (GroupTable | undefined)[];
  readonly sketches: readonly (SketchRows | undefined)[];
  /** The last records, by probe. */
  readonly recent: readonly (RecentRecords | undefined)[];
  readonly #far = new FarAddress();
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
    this.recent = plan.probes.map((probe) => (probe === undefined ? undefined : new RecentRecords(probe.selectors.length)));
  }

  /**
   * Adds a record to the signals that ask for it.
   * @param second its second; open seconds are foldedS + 1 and the one behind
   * @param event where its event comes from, undefined when it became none
   * @returns false when a window no longer takes it
   */
  record(entity: number, second: number, record: RecordReader, names: EventNames, far: FarEnd, event: EventPlace | undefined): boolean {
    const number = record.probe;
    const probe = this.plan.probes[number];
    if (probe === undefined) return true;
    const recent = this.recent[number] as RecentRecords;
    const isLate = second <= this.foldedS;
    let isTaken = true;
    let isAsked = false;
    const rows = this.rows[probe.feed];
    if (entity >= rows.rows) rows.reach(entity);
    const base = entity * rows.width;
    const parity = second & 1;
    for (const selector of probe.selectors) {
      if (selector.eventsOnly && event === undefined) continue;
      if (selector.nodeOnly && entity !== 0) continue;
      if (selector.where !== undefined && !selector.where(record, names)) continue;
      if (!isAsked) recent.bits.fill(0);
      isAsked = true;
      recent.bits[selector.index >> 5] |= 1 << (selector.index & 31);
      if (isLate) isTaken = this.#countLate(selector, rows, entity, second) && isTaken;
      else for (const cell of selector.counts) rows.count(base + cell, parity);
      for (const add of selector.adds) isTaken = this.#add(add, entity, second, isLate, record, names, far) && isTaken;
    }
    if (!isAsked) return true;
    this.#far.of(record, far);
    recent.note(entity, second, this.#far);
    if (event !== undefined) recent.event(entity, second, this.#far, event.origin, event.item, event.order);
    return isTaken;
  }

  /**
   * Adds to a counter, or sets a gauge.
   * @param group value of the label that the signal groups by
   * @param bits of a histogram: the bucket
   * @returns false when the window no longer takes it
   */
  counter({ index, plan, cell, kind }: CounterAdd, entity: number, group: string, second: number, value: number, bits: number): boolean {
    const row = this.groups[index]?.rowOf(entity, group) ?? entity;
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

  /** All windows of a signal, for a checkpoint. */
  image(signal: number, node: string): SignalImage {
    const { feed, main, second } = this.plan.signals[signal];
    return {
      main: main < 0 ? undefined : this.rows[feed].image(main),
      second: second < 0 ? undefined : this.rows[feed].image(second),
      groups: this.groups[signal]?.image(node),
      sketches: this.sketches[signal]?.image(),
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
    for (const recent of this.recent) recent?.clear(entity);
  }

  #add(
    { index, plan, input }: RecordAdd,
    entity: number,
    second: number,
    isLate: boolean,
    record: RecordReader,
    names: EventNames,
    far: FarEnd,
  ): boolean {
    const value = input.value === undefined ? 1 : input.value(record, names);
    if (Number.isNaN(value)) return true;
    const row = input.by === undefined ? entity : this.#groupRow(index, input.by.of, entity, record, names, far);
    if (row < 0) return true;
    const rows = this.rows[plan.feed];
    if (isLate && second <= this.foldedS + 1 - plan.signal.windowS) return false;
    const told = plan.signal.aggregation === 'count' ? 1 : value;
    if (plan.sketch !== undefined) this.sketches[index]?.add(row, second, value);
    else if (isLate) rows.addLate(row, plan.main, second, told);
    else rows.add(row, plan.main, second, told);
    if (plan.second < 0) return true;
    if (isLate) rows.addLate(row, plan.second, second, 1);
    else rows.add(row, plan.second, second, 1);
    return true;
  }

  /** Row of the record's group; -1: it has none. */
  #groupRow(
    index: number,
    of: NonNullable<RecordAdd['input']['by']>['of'],
    entity: number,
    record: RecordReader,
    names: EventNames,
    far: FarEnd,
  ): number {
    const groups = this.groups[index] as GroupTable;
    if (of === 'peer') return this.#far.of(record, far) ? groups.rowOfPeer(entity, this.#far, far) : -1;
    const key = of(record, names);
    return key === '' || Number.isNaN(key) ? -1 : groups.rowOf(entity, key);
  }

  #countLate({ counts }: Selector, rows: CellRows, entity: number, second: number): boolean {
    let isTaken = true;
    for (const cell of counts) isTaken = rows.addLate(entity, cell, second, 1) && isTaken;
    return isTaken;
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

/** The windows of a signal in a checkpoint. */
export interface SignalImage {
  readonly main: CellImage | undefined;
  readonly second: CellImage | undefined;
  readonly groups: readonly GroupImage[] | undefined;
  readonly sketches: readonly (readonly [row: number, image: SketchImage])[] | undefined;
}
