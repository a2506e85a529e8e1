import { messageOf } from '../../../core/app-error.ts';
import { MetricBatch, type MetricGroupBody } from '../../../proto/bus.ts';
import { labelsText } from './escape.ts';
import { Family, type FamilyRow, type FieldDescription } from './family.ts';
import { ShownGroup } from './shown-group.ts';
import { type ShownField, ShownSource } from './shown-source.ts';

export interface ShownSeriesOptions {
  readonly maxSeriesPerMetric: number;
  readonly endedVisibleMs: number;
  /** How a field is shown; undefined: not at all. */
  describe(source: string, field: string): FieldDescription | undefined;
  /** Told of a message that cannot be decoded. */
  refused?(partition: number, offset: number, bytes: Uint8Array, reason: string): void;
  /** The monotonic clock, ms. */
  now?(): number;
}

/** Groups that were part of `other` and are gone, of which is known what they had counted. */
const maxLeft = 8192;

/** How far the newest keyframe of a partition was read. */
interface PartitionKeyframe {
  /** Counts keyframes. */
  number: number;
  nextPart: number;
  /** Offset of its first part. */
  offset: number;
  origin: readonly [rawOffset: number, ordinal: number];
  readonly groups: Map<string, ShownGroup>;
}

/** The newest value of every series, by metric. */
export class ShownSeries {
  /** By name. */
  readonly families = new Map<string, Family>();
  /** Until everything is read that was there at the start. */
  loading = true;
  readonly counters = { messages: 0, repeats: 0, undecodable: 0, keyframes: 0, folded: 0 };
  readonly #options: ShownSeriesOptions;
  readonly #sources = new Map<string, ShownSource>();
  /** Field that a family's name belongs to. */
  readonly #owners = new Map<string, string>();
  readonly #partitions = new Map<number, PartitionKeyframe>();
  /** Partitions that were somebody else's: what they have counted until they are read whole again is no increment. */
  readonly #returning = new Set<number>();
  readonly #ended = new Set<ShownGroup>();
  /** What groups had counted that were part of `other` and are gone: they may be told again. */
  readonly #left = new Map<string, Float64Array>();
  readonly #now: () => number;

  constructor(options: ShownSeriesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get series(): number {
    let series = 0;
    for (const { own } of this.families.values()) series += own;
    return series;
  }

  /**
   * Takes in a MetricBatch.
   * @returns offset of the first message of a keyframe that is whole with this one: what a start reads from
   */
  take(partition: number, offset: number, bytes: Uint8Array): number | undefined {
    const batch = this.#decode(partition, offset, bytes);
    if (batch === undefined) return undefined;
    const state = this.#partition(partition);
    const origin = [batch.rawOffset ?? 0, batch.ordinal ?? 0] as const;
    if (origin[0] < state.origin[0] || (origin[0] === state.origin[0] && origin[1] <= state.origin[1])) {
      this.counters.repeats++;
      return undefined;
    }
    state.origin = origin;
    if (batch.keyframe && (batch.part ?? 0) === 0) Object.assign(state, { number: state.number + 1, nextPart: 0, offset });
    const isNext = batch.keyframe === true && batch.part === state.nextPart;
    const sources = (batch.layouts ?? []).map(({ source, fields }) => {
      const shown = this.#source(source ?? '');
      return { shown, places: (fields ?? []).map((field) => shown.placeOf(field)) };
    });
    const ageMs = Math.max(0, Date.now() - (batch.at?.seconds ?? 0) * 1000);
    const isOld = this.loading || this.#returning.has(partition);
    for (const group of batch.groups ?? []) {
      const layout = sources[group.layout ?? 0];
      if (layout !== undefined) this.#group(state, layout.shown, layout.places, group, ageMs, isOld);
    }
    if (!batch.keyframe) return undefined;
    state.nextPart = isNext ? state.nextPart + 1 : -1;
    if (state.nextPart !== (batch.parts ?? 0)) return undefined;
    this.#wholeKeyframe(state, ageMs);
    this.#returning.delete(partition);
    return state.offset;
  }

  /** The partition is somebody else's now: its series are shown there. */
  drop(partition: number): void {
    for (const group of this.#partitions.get(partition)?.groups.values() ?? []) this.#remove(group);
    this.#partitions.delete(partition);
    this.#returning.add(partition);
  }

  /** Takes out what ended long enough ago. */
  expire(): void {
    const nowMs = this.#now();
    for (const group of this.#ended) if (nowMs >= group.goneAtMs) this.#remove(group);
  }

  #decode(partition: number, offset: number, bytes: Uint8Array): MetricBatch | undefined {
    try {
      this.counters.messages++;
      if (bytes.length === 0) throw new RangeError('it is empty');
      return MetricBatch.decode(bytes);
    } catch (thrown) {
      // The next keyframe has everything again.
      this.counters.undecodable++;
      this.#options.refused?.(partition, offset, bytes, messageOf(thrown));
      return undefined;
    }
  }

  #partition(partition: number): PartitionKeyframe {
    const known = this.#partitions.get(partition);
    if (known !== undefined) return known;
    const created: PartitionKeyframe = { number: 0, nextPart: -1, offset: 0, origin: [-1, 0], groups: new Map() };
    this.#partitions.set(partition, created);
    return created;
  }

  #source(name: string): ShownSource {
    const known = this.#sources.get(name) ?? new ShownSource(name, (source, field) => this.#describe(source, field));
    this.#sources.set(name, known);
    return known;
  }

  /** Two fields of the same name would make duplicates: the first one has it. */
  #describe(source: string, field: string): Omit<ShownField, 'slot'> | undefined {
    const described = this.#options.describe(source, field);
    if (described === undefined) return undefined;
    const { name } = described.family;
    const family = this.families.get(name) ?? new Family(described.family);
    const owner = typeof described.part === 'number' || described.part === 'sum' ? source : `${source} ${field}`;
    if ((this.#owners.get(name) ?? owner) !== owner) return undefined;
    this.#owners.set(name, owner);
    this.families.set(name, family);
    return { family, part: described.part };
  }

  /** @param isOld what is told first was counted before this process showed the partition */
  #group(
    state: PartitionKeyframe,
    source: ShownSource,
    places: readonly number[],
    told: MetricGroupBody,
    ageMs: number,
    isOld: boolean,
  ): void {
    const labels = labelsText(told.labelNames ?? [], told.labelValues ?? []);
    const key = `${source.source}{${labels}}`;
    let group = state.groups.get(key);
    if (group === undefined) {
      // Keyframes tell for a while what has ended: it is shown no longer than that.
      if (told.moved || (told.ended && (told.endedMs ?? 0) + ageMs >= this.#options.endedVisibleMs)) return;
      group = new ShownGroup(key, source, labels);
      state.groups.set(key, group);
    }
    group.keyframe = state.number;
    if (told.moved) {
      this.#remove(group);
      state.groups.delete(key);
      return;
    }
    if (!told.ended && group.ended) this.#revive(group);
    const { indexes, values } = told;
    for (let at = 0; at < (values?.length ?? 0); at++) this.#value(group, places[indexes?.[at] ?? 0] ?? -1, values?.[at] ?? 0, isOld);
    if (told.ended) this.#end(group, (told.endedMs ?? 0) + ageMs);
  }

  #value(group: ShownGroup, place: number, value: number, isOld: boolean): void {
    const field = place < 0 ? undefined : group.source.fields[place];
    if (field === undefined) return;
    group.reach(place);
    const before = group.values[place];
    if (before === value || (group.ended && value === 0 && Number.isNaN(before))) return;
    group.values[place] = value;
    const { family, part, slot } = field;
    family.dirty = true;
    const row = group.rows[slot] ?? this.#row(group, family, place, slot);
    if (part === 'value' || part === 'sum') row.place = place;
    else if (row.buckets !== undefined) {
      row.buckets[part] = place;
      family.maxBucket = Math.max(family.maxBucket, part);
    }
    if (!row.isOther) return;
    const isFirst = Number.isNaN(before);
    const had = isFirst && family.outlives ? this.#left.get(group.key)?.[place] : before;
    // What was there at the start is no increment: a sum of this process starts from 0, as counters of processes do.
    if (had !== undefined && !Number.isNaN(had)) family.addToOther(part, value - had);
    else family.addToOther(part, isOld && family.outlives ? 0 : value);
  }

  #row(group: ShownGroup, family: Family, place: number, slot: number): FamilyRow {
    const isOther = family.own >= this.#options.maxSeriesPerMetric;
    const row: FamilyRow = { group, place, buckets: family.description.type === 'histogram' ? [] : undefined, isOther, gone: false };
    if (isOther) this.counters.folded++;
    else family.own++;
    family.rows.push(row);
    while (group.rows.length < slot) group.rows.push(undefined);
    group.rows[slot] = row;
    return row;
  }

  #end(group: ShownGroup, agoMs: number): void {
    if (group.ended) return;
    group.ended = true;
    group.goneAtMs = this.#now() + this.#options.endedVisibleMs - agoMs;
    this.#ended.add(group);
    for (const [slot, row] of group.shownRows()) {
      const { family } = group.source.fields[slot] as ShownField;
      family.dirty = true;
      if (row.isOther && !family.outlives) family.addToOther('value', -group.values[row.place]);
      if (row.buckets !== undefined || (family.outlives && group.values[row.place] !== 0)) continue;
      // A gauge is shown no longer, and a counter of 0 has no increment to be scraped: most of what ended is that.
      group.values[row.place] = Number.NaN;
      group.rows[slot] = undefined;
      family.drop(row);
    }
  }

  /** What was taken out at the end is told again. */
  #revive(group: ShownGroup): void {
    group.ended = false;
    this.#ended.delete(group);
    for (const [slot] of group.shownRows()) (group.source.fields[slot] as ShownField).family.dirty = true;
  }

  #remove(group: ShownGroup): void {
    if (group.removed) return;
    this.#end(group, 0);
    group.removed = true;
    this.#ended.delete(group);
    const rows = [...group.shownRows()];
    if (rows.some(([, { isOther }]) => isOther)) this.#leave(group);
    for (const [slot, row] of rows) (group.source.fields[slot] as ShownField).family.drop(row);
    for (const { groups } of this.#partitions.values()) if (groups.get(group.key) === group) groups.delete(group.key);
  }

  #leave({ key, values }: ShownGroup): void {
    this.#left.delete(key);
    this.#left.set(key, values);
    if (this.#left.size > maxLeft) this.#left.delete(this.#left.keys().next().value as string);
  }

  /** What a whole keyframe does not tell is gone: its end was in a message that is lost. */
  #wholeKeyframe(state: PartitionKeyframe, ageMs: number): void {
    this.counters.keyframes++;
    for (const group of state.groups.values()) if (group.keyframe !== state.number) this.#end(group, ageMs);
  }
}
