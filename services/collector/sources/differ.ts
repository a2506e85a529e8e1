import type { Baseline } from './baselines.ts';
import { type FieldTable, fieldKinds, type Reading } from './field-table.ts';

const wrap32 = 2 ** 32;
const wrap64 = 2 ** 64;
/** A counter of 32 bits that would have gone further than this between two reads has been reset: 10 M/s for most of a minute. */
const mostPlausibleStep32 = 2 ** 29;
/** A counter that fell to less than this share of its value began anew; one that fell less is only read a little early. */
const resetShare = 0.5;

/** A counter that is below what was told. */
interface Held {
  /** What the kernel printed last. */
  readonly value: number;
  /** Reads that found it below. */
  readonly reads: number;
}

/** A counter that stays below for so many reads is not read early: the kernel has set it back. */
const setBackReads = 3;

/** What happened to counters that did not simply grow. */
export interface DifferCounts {
  /** Counters that began anew. */
  resets: number;
  /** Counters that went past their width. */
  wraps: number;
  /** Counters whose total was not the kernel's value at a keyframe, and is from then on. */
  repairs: number;
}

/**
 * Values of one target over its life, as the kernel counts them, extended to 64 bits. A total is what the kernel prints
 * plus a base, and the base is 0 until a counter falls:
 * - a wrap adds the counter's width;
 * - a reset adds what was counted before;
 * - a counter that falls a little (per-CPU sums read while they change, times that are scaled anew) is held until the
 *   kernel has caught up. If it has not by the next keyframe, over several reads, the total goes on from there.
 * A total never falls, and grows by nothing that was not counted.
 */
export class TargetTotals {
  readonly table: FieldTable;
  #raw = new Float64Array(0);
  #base: Float64Array | undefined;
  #held: Map<number, Held> | undefined;
  readonly #restored: Baseline | undefined;

  /** @param restored what an earlier collector of this kernel kept of the target */
  constructor(table: FieldTable, restored?: Baseline) {
    this.table = table;
    this.#restored = restored;
  }

  /** Number of fields that have a value. */
  get length(): number {
    return this.#raw.length;
  }

  /** Absolute value of a field; 0 for a counter that the kernel does not print as long as it is 0. */
  total(index: number): number {
    return (this.#raw[index] ?? 0) + (this.#base?.[index] ?? 0);
  }

  /**
   * Takes in what was read now.
   * @param changed indexes of what changed are written here, from 0 on, in no order
   * @returns how many they are
   */
  update({ columns, values }: Reading, counts: DifferCounts, changed: Int32Array): number {
    let n = 0;
    for (let i = 0; i < values.length; i++) {
      const index = columns[i];
      if (index < 0) continue;
      const value = values[i];
      if (index >= this.#raw.length) this.#grow();
      const before = this.#raw[index];
      if (value === before) {
        if (this.#held !== undefined) this.#held.delete(index);
        continue;
      }
      if (value > before || this.table.kindAt(index) === fieldKinds.asIs) {
        if (this.#held !== undefined) this.#held.delete(index);
        this.#raw[index] = value;
      } else if (!this.#fell(index, before, value, counts)) continue;
      changed[n++] = index;
    }
    return n;
  }

  /** Whether a counter is below what was read last. */
  falls({ columns, values }: Reading): boolean {
    for (let i = 0; i < values.length; i++) {
      const index = columns[i];
      if (values[i] < (this.#raw[index] ?? 0) && this.table.kindAt(index) !== fieldKinds.asIs) return true;
    }
    return false;
  }

  /** At a keyframe: totals that are still held go on from what the kernel says. Returns how many they were. */
  repair(): number {
    let repaired = 0;
    for (const [index, { value, reads }] of this.#held ?? []) {
      if (reads < setBackReads) continue;
      this.#addBase(index, this.#raw[index] - value);
      this.#raw[index] = value;
      this.#held?.delete(index);
      repaired++;
    }
    return repaired;
  }

  /**
   * What a later collector needs to go on: only of counters whose total is not what the kernel prints, or that may wrap
   * while nobody looks. All others are read from the kernel as they are. Undefined when there is nothing to keep.
   */
  baseline(): Baseline | undefined {
    const kept: Record<string, readonly [base: number, raw: number]> = {};
    let any = false;
    for (let index = 0; index < this.#raw.length; index++) {
      const base = this.#base?.[index] ?? 0;
      if (base === 0 && this.table.kindAt(index) !== fieldKinds.counter32) continue;
      kept[this.table.fieldAt(index) ?? ''] = [base, this.#raw[index]];
      any = true;
    }
    return any ? kept : undefined;
  }

  /** Whether the total changed. */
  #fell(index: number, before: number, value: number, counts: DifferCounts): boolean {
    if (this.table.kindAt(index) === fieldKinds.counter32 && value + wrap32 - before < mostPlausibleStep32) {
      counts.wraps++;
      this.#addBase(index, wrap32);
    } else if (before >= wrap64 / 2) {
      counts.wraps++;
      this.#addBase(index, wrap64);
    } else if (value < before * resetShare) {
      counts.resets++;
      this.#addBase(index, before);
    } else {
      this.#held ??= new Map();
      this.#held.set(index, { value, reads: (this.#held.get(index)?.reads ?? 0) + 1 });
      return false;
    }
    this.#held?.delete(index);
    this.#raw[index] = value;
    return true;
  }

  #addBase(index: number, add: number): void {
    this.#base ??= new Float64Array(this.#raw.length);
    this.#base[index] = this.#base[index] + add;
  }

  /** New fields begin at 0, or where an earlier collector left them. */
  #grow(): void {
    const from = this.#raw.length;
    const raw = new Float64Array(this.table.layout().fields.length);
    raw.set(this.#raw);
    this.#raw = raw;
    if (this.#base !== undefined) {
      const base = new Float64Array(raw.length);
      base.set(this.#base);
      this.#base = base;
    }
    if (this.#restored === undefined) return;
    for (let index = from; index < raw.length; index++) {
      const [base, last] = this.#restored[this.table.fieldAt(index) ?? ''] ?? [0, 0];
      raw[index] = last;
      if (base !== 0) this.#addBase(index, base);
    }
  }
}
