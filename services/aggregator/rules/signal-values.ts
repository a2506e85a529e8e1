import type { Pieces } from '../../../core/pieces.ts';
import type { CellRows } from './cell-rows.ts';
import { maxGroups } from './group-table.ts';
import { RowValues } from './row-values.ts';
import type { Blindness, SignalSight } from './signal-sight.ts';
import type { SignalListener, SignalWindows } from './signal-windows.ts';
import { isAdditive, type SignalPlan } from './window-plan.ts';

/** Why a signal has no value of its own. */
export type Absence = 'NO_DATA' | 'BELOW_MIN_VOLUME' | Blindness;

/** Signals that are read in one piece. */
const readPerPiece = 4096;

/**
 * The value of each signal of each entity as rules read it. Only what changed is read anew: whatever changes a window
 * marks it, and `refresh` tells which values are others then.
 */
export class SignalValues {
  /** Signals of one entity. */
  readonly width: number;
  /** By entity * width + signal; NaN: no data. */
  values = new Float64Array(0);
  readonly sight: SignalSight;
  readonly #windows: SignalWindows;
  readonly #rows: RowValues;
  readonly #plans: readonly SignalPlan[];
  readonly #changed: SignalListener;
  #marks = new Uint8Array(0);
  #marked = new Int32Array(64);
  #markedCount = 0;
  #entities = 0;
  /** By entity * sources + source: whether something of the source lives there. */
  #present = new Uint8Array(0);
  readonly #sources: number;
  /** Source that a signal is read from; -1: records. */
  readonly #sourceOf: Int32Array;
  readonly #nodeOnly: Uint8Array;
  /** By signal: where it is the sum of a window of records, and by what that is divided. Most signals are read so. */
  readonly #sums: readonly (CellRows | undefined)[];
  readonly #cells: Int32Array;
  readonly #divisors: Float64Array;
  /** Set by `#read`. */
  #volume = 0;

  constructor(windows: SignalWindows, sight: SignalSight, changed: SignalListener) {
    this.#windows = windows;
    this.#rows = new RowValues(windows);
    this.sight = sight;
    this.#plans = windows.plan.signals;
    this.#changed = changed;
    this.width = this.#plans.length;
    this.#sources = windows.plan.sources.size;
    this.#sourceOf = Int32Array.from(this.#plans, ({ signal: { input } }) =>
      input.kind === 'record' ? -1 : (windows.plan.sources.get(input.counter.source)?.index ?? -1),
    );
    this.#nodeOnly = Uint8Array.from(this.#plans, ({ nodeOnly }) => (nodeOnly ? 1 : 0));
    this.#sums = this.#plans.map((plan) => (isPlainSum(plan) ? windows.rows[plan.feed] : undefined));
    this.#cells = Int32Array.from(this.#plans, ({ main }) => main);
    this.#divisors = Float64Array.from(this.#plans, ({ signal }) => (signal.aggregation === 'rate' ? signal.windowS : 1));
  }

  /** Makes room for an entity, of which nothing is known; all of its signals are to be read. */
  add(entity: number): void {
    this.#reach(entity);
    this.values.fill(Number.NaN, entity * this.width, (entity + 1) * this.width);
    this.#present.fill(0, entity * this.#sources, (entity + 1) * this.#sources);
    this.markEntity(entity);
  }

  /** The window of a signal changed. */
  mark(entity: number, signal: number): void {
    const at = entity * this.width + signal;
    if (this.#marks[at] === 1 || (entity !== 0 && this.#nodeOnly[signal] === 1)) return;
    this.#marks[at] = 1;
    if (this.#markedCount === this.#marked.length) {
      const longer = new Int32Array(this.#markedCount * 2);
      longer.set(this.#marked);
      this.#marked = longer;
    }
    this.#marked[this.#markedCount++] = at;
  }

  /** Something of a source lives at the entity, or nothing does any more. */
  setPresent(entity: number, source: number, isPresent: boolean): void {
    const at = entity * this.#sources + source;
    if ((this.#present[at] === 1) === isPresent) return;
    this.#present[at] = isPresent ? 1 : 0;
    for (let signal = 0; signal < this.width; signal++) if (this.#sourceOf[signal] === source) this.mark(entity, signal);
  }

  isPresent(entity: number, source: number): boolean {
    return this.#present[entity * this.#sources + source] === 1;
  }

  /** All of an entity is to be read. */
  markEntity(entity: number): void {
    for (let signal = 0; signal < this.width; signal++) this.mark(entity, signal);
  }

  /** All is to be read. */
  markAll(): void {
    for (let entity = 0; entity < this.#entities; entity++) this.markEntity(entity);
  }

  /** Reads what was marked, for a second that was folded. */
  *refresh(second: number): Pieces {
    this.#refreshCycles(second);
    const { values, width } = this;
    for (let index = 0; index < this.#markedCount; index++) {
      if (index % readPerPiece === readPerPiece - 1) yield;
      const at = this.#marked[index];
      this.#marks[at] = 0;
      const entity = Math.floor(at / width);
      const signal = at - entity * width;
      const before = values[at];
      const sums = this.#sums[signal];
      const value =
        sums === undefined || this.sight.of(entity, signal) !== undefined
          ? this.#judged(entity, signal, before)
          : sums.sum(entity, this.#cells[signal]) / this.#divisors[signal];
      if (value === before || (Number.isNaN(value) && Number.isNaN(before))) continue;
      values[at] = value;
      this.#changed(entity, signal);
    }
    this.#markedCount = 0;
  }

  /** What the worst group is called, part by part; empty when there is none. */
  worstGroup(entity: number, signal: number, node: string): readonly string[] {
    const row = this.#worstRow(entity, signal);
    return row < 0 ? [] : (this.#windows.groups[signal]?.labels(row, node) ?? []);
  }

  /** All of a signal's groups, the worst first. */
  groups(entity: number, signal: number, node: string): { label: string; value: number }[] {
    const groups = this.#windows.groups[signal];
    if (groups === undefined) return [];
    const listed: { label: string; value: number }[] = [];
    for (let slot = 0; slot < groups.count(entity); slot++) {
      const row = entity * maxGroups + slot;
      const value = this.#rows.isEmpty(signal, row) ? Number.NaN : this.#rows.value(signal, row);
      if (!Number.isNaN(value)) listed.push({ label: groups.labels(row, node).join(' '), value });
    }
    const sign = this.#plans[signal].signal.aggregation === 'min' ? 1 : -1;
    return listed.sort((a, b) => sign * (a.value - b.value));
  }

  /** The signal's volume, and why it has no value of its own. */
  volume(entity: number, signal: number): { volume: number; absent: Absence } {
    const value = this.#read(entity, signal);
    const volume = this.#volume;
    if (!Number.isNaN(value)) return { volume, absent: undefined };
    const blindness = this.sight.of(entity, signal);
    if (blindness !== undefined) return { volume, absent: blindness };
    return { volume, absent: volume > 0 && volume < this.#plans[signal].signal.minVolume ? 'BELOW_MIN_VOLUME' : 'NO_DATA' };
  }

  /** A signal's values as they were read last, for a checkpoint: they are told as long as no second is evaluated. */
  image(signal: number, from: number, to: number): Float64Array {
    const image = new Float64Array(to - from);
    for (let entity = from; entity < to; entity++) image[entity - from] = this.values[entity * this.width + signal];
    return image;
  }

  /** @param from the entity that the image begins with */
  restore(signal: number, from: number, image: Float64Array): void {
    for (let index = 0; index < image.length; index++) this.values[(from + index) * this.width + signal] = image[index];
  }

  #judged(entity: number, signal: number, before: number): number {
    const value = this.#read(entity, signal);
    if (!Number.isNaN(value)) return value;
    const { absent } = this.#plans[signal].signal;
    return absent === 'zero' ? 0 : absent === 'hold' ? before : Number.NaN;
  }

  /** NaN: absent. */
  #read(entity: number, signal: number): number {
    const plan = this.#plans[signal];
    this.#volume = 0;
    const source = this.#sourceOf[signal];
    if (source >= 0 && !this.isPresent(entity, source)) return Number.NaN;
    if (!this.sight.isRead(signal) || this.sight.of(entity, signal) !== undefined) return Number.NaN;
    if (plan.group === undefined) return this.#withVolume(signal, entity);
    const row = this.#worstRow(entity, signal);
    if (row >= 0) return this.#withVolume(signal, row);
    return plan.signal.minVolume === 0 && isZeroWhenEmpty(plan) ? 0 : Number.NaN;
  }

  #worstRow(entity: number, signal: number): number {
    const groups = this.#windows.groups[signal];
    const isLeast = this.#plans[signal].signal.aggregation === 'min';
    let [worst, worstValue] = [-1, Number.NaN];
    for (let slot = 0; slot < (groups?.count(entity) ?? 0); slot++) {
      const row = entity * maxGroups + slot;
      if (this.#rows.isEmpty(signal, row)) continue;
      const value = this.#withVolume(signal, row);
      if (Number.isNaN(value) || (isLeast ? value >= worstValue : value <= worstValue)) continue;
      worst = row;
      worstValue = value;
    }
    return worst;
  }

  #withVolume(signal: number, row: number): number {
    const plan = this.#plans[signal];
    const { minVolume, input } = plan.signal;
    const rows = this.#windows.rows[plan.feed];
    const isGauge = input.kind === 'counter' && input.counter.kind === 'gauge' && input.per === undefined;
    this.#volume = isGauge ? 0 : rows.value(row, plan.second >= 0 ? plan.second : plan.main);
    if (minVolume > 0 && !isGauge && !(this.#volume >= minVolume)) return Number.NaN;
    return this.#rows.value(signal, row);
  }

  #refreshCycles(second: number): void {
    for (const signal of this.sight.refresh(second)) for (let entity = 0; entity < this.#entities; entity++) this.mark(entity, signal);
  }

  #reach(entity: number): void {
    if (entity < this.#entities) return;
    const room = Math.max(entity + 1, Math.ceil(this.#entities * 1.5), 4);
    const values = new Float64Array(room * this.width).fill(Number.NaN);
    values.set(this.values);
    this.values = values;
    const marks = new Uint8Array(room * this.width);
    marks.set(this.#marks);
    this.#marks = marks;
    const present = new Uint8Array(room * this.#sources);
    present.set(this.#present);
    this.#present = present;
    this.#entities = room;
  }
}

/** The sum over an entity's records, whatever there are. */
function isPlainSum(plan: SignalPlan): boolean {
  const { input, minVolume } = plan.signal;
  return input.kind === 'record' && plan.group === undefined && minVolume === 0 && isAdditive(plan.signal);
}

/** Nothing in the window means 0 there: nothing happened. */
function isZeroWhenEmpty({ signal, sketch }: SignalPlan): boolean {
  const isRatio = signal.input.kind === 'counter' && signal.input.per !== undefined;
  const isGauge = signal.input.kind === 'counter' && signal.input.counter.kind === 'gauge';
  return !isRatio && !isGauge && (isAdditive(signal) || sketch === 'distinct');
}
