import { type Contribution, grown } from './contribution.ts';
import type { Labels } from './labels.ts';
import type { SourceFields } from './source-fields.ts';

/** A value of the series was told. */
const KNOWN = 1;
/** It changed since it was published. */
const DIRTY = 2;

/** Totals that are not 0, with their fields in rising order. */
export interface PackedTotals {
  readonly fields: Uint16Array<ArrayBuffer>;
  readonly totals: Float64Array<ArrayBuffer>;
}

const noTotals = new Float64Array(0);

function packedTotal({ fields, totals }: PackedTotals, field: number): number {
  const at = fields.indexOf(field);
  return at < 0 ? 0 : totals[at];
}

/** The series of one source that share all labels. Their totals never go back, whatever becomes of what adds to them. */
export class SeriesGroup {
  /** In the order in which they came: the order of everything that is published. */
  readonly id: number;
  readonly key: string;
  readonly source: SourceFields;
  readonly labels: Labels;
  /** What ended contributions left behind, by place of the field; empty while it is packed. */
  base: Float64Array<ArrayBuffer>;
  /** In place of `base` while nothing adds to it: only what is not 0. */
  packed: PackedTotals | undefined;
  flags: Uint8Array<ArrayBuffer>;
  readonly contributions: Contribution[] = [];
  /** How many of them live. */
  live = 0;
  ended = false;
  /** Ended because what added to it has other labels now. */
  moved = false;
  /** When it ended: the store's clock, and the partition's time. */
  endedMs = 0;
  endedUnixMs = 0;
  /** Something is to be published. */
  dirty = false;
  /** Series that have a value. */
  series = 0;

  constructor(id: number, key: string, source: SourceFields, labels: Labels) {
    this.id = id;
    this.key = key;
    this.source = source;
    this.labels = labels;
    this.base = new Float64Array(source.fields.length);
    this.flags = new Uint8Array(source.fields.length);
  }

  /** The value as it is published. */
  value(field: number): number {
    if (this.source.counts[field]) {
      if (this.packed !== undefined) return packedTotal(this.packed, field);
      let total = this.base[field];
      for (const contribution of this.contributions) total += contribution.total(field);
      return total;
    }
    let now = 0;
    for (const { live, known, values } of this.contributions) if (live && known[field] === 1) now += values[field];
    return now;
  }

  /** Something of the field changed. Returns whether it is a new series. */
  mark(field: number): boolean {
    this.#makeRoom(field);
    const before = this.flags[field];
    this.flags[field] = KNOWN | DIRTY;
    this.dirty = true;
    if ((before & KNOWN) !== 0) return false;
    this.series++;
    return true;
  }

  /** Counts something that no contribution tells. Returns whether it is a new series. */
  count(field: number, increment: number): boolean {
    this.#unpack();
    this.#makeRoom(field);
    this.base[field] += increment;
    return this.mark(field);
  }

  isKnown(field: number): boolean {
    return field < this.flags.length && (this.flags[field] & KNOWN) !== 0;
  }

  isDirty(field: number): boolean {
    return (this.flags[field] & DIRTY) !== 0;
  }

  /** Everything is to be published again. */
  markAll(): void {
    for (let field = 0; field < this.flags.length; field++) if ((this.flags[field] & KNOWN) !== 0) this.flags[field] = KNOWN | DIRTY;
    this.dirty = true;
  }

  /** What is to be published has been. */
  clean(): void {
    this.dirty = false;
    for (let field = 0; field < this.flags.length; field++) this.flags[field] &= ~DIRTY;
    if (this.ended && this.contributions.length === 0) this.#pack();
  }

  /**
   * Adds a contribution. One that had other labels before, and comes to series that are told already, goes on from
   * their values: no total ever jumps. Series that are new start with its whole total.
   * @returns how many series are new
   */
  attach(contribution: Contribution, fromOtherLabels: boolean): number {
    let added = 0;
    this.#unpack();
    for (let field = 0; field < contribution.known.length; field++) {
      if (contribution.known[field] === 0) continue;
      if (fromOtherLabels && this.isKnown(field) && this.source.counts[field]) this.base[field] -= contribution.total(field);
      if (this.mark(field)) added++;
    }
    this.contributions.push(contribution);
    contribution.group = this;
    if (contribution.live) this.#revive();
    return added;
  }

  /** Puts a contribution back that a checkpoint does not hold: the group has its labels and values as they were. */
  rejoin(contribution: Contribution): void {
    this.contributions.push(contribution);
    contribution.group = this;
    this.live++;
  }

  /** Takes a contribution out; what it counted stays. */
  detach(contribution: Contribution): void {
    for (let field = 0; field < contribution.known.length; field++) {
      if (contribution.known[field] === 1 && this.source.counts[field]) this.base[field] += contribution.total(field);
    }
    this.contributions.splice(this.contributions.indexOf(contribution), 1);
    contribution.group = undefined;
  }

  /** A contribution that had ended came back. */
  revived(contribution: Contribution): void {
    this.#revive();
    this.#markGauges(contribution);
  }

  /** A living contribution ended, or went away. Returns whether none is left. */
  lost(contribution: Contribution): boolean {
    this.live--;
    if (this.live === 0) return true;
    this.#markGauges(contribution);
    return false;
  }

  /** The series end. Kept for a while: the same labels may be used again. */
  end(clockMs: number, unixMs: number, moved: boolean): void {
    this.ended = true;
    this.moved = moved;
    this.endedMs = clockMs;
    this.endedUnixMs = unixMs;
    this.dirty = true;
  }

  /** What is now is the sum of what lives. */
  #markGauges({ known }: Contribution): void {
    for (let field = 0; field < known.length; field++) if (known[field] === 1 && !this.source.counts[field]) this.mark(field);
  }

  #revive(): void {
    this.live++;
    if (!this.ended) return;
    this.ended = false;
    this.moved = false;
    this.markAll();
  }

  /** Most of what a namespace counted in its life is 0. */
  #pack(): void {
    if (this.packed !== undefined) return;
    const fields: number[] = [];
    for (let field = 0; field < this.base.length; field++) if (this.base[field] !== 0) fields.push(field);
    this.packed = { fields: Uint16Array.from(fields), totals: Float64Array.from(fields, (field) => this.base[field]) };
    this.base = noTotals;
  }

  #unpack(): void {
    if (this.packed === undefined) return;
    const { fields, totals } = this.packed;
    this.base = new Float64Array(this.flags.length);
    for (let at = 0; at < fields.length; at++) this.base[fields[at]] = totals[at];
    this.packed = undefined;
  }

  #makeRoom(field: number): void {
    if (field < this.flags.length) return;
    const { length } = this.source.fields;
    this.base = grown(this.base, length);
    const flags = new Uint8Array(length);
    flags.set(this.flags);
    this.flags = flags;
  }
}
