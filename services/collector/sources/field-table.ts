import type { SampleLayout } from '../../../proto/collect.ts';
import { describeMetric } from '../../../schema/metrics.ts';

/** How a field's values are to be read. */
export const fieldKinds = {
  /** Shown as the kernel prints it: a gauge, or a field that nobody knows. */
  asIs: 0,
  /** A counter of 64 bits. */
  counter: 1,
  /** A counter of 32 bits, which wraps. */
  counter32: 2,
} as const;

/** Numbers of layouts within the session, from 1. */
export class LayoutNumbers {
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

/** A layout as it is now. */
export type GrownLayout = SampleLayout & { readonly id: number; readonly fields: string[] };

/** Names that a namespace can make the kernel print (ICMP types) must not fill the memory. */
const maxFields = 1024;

/**
 * Fields of one source, in the order in which they were first seen. They are only added: the layout keeps its number and
 * the indexes their meaning, it only grows.
 */
export class FieldTable {
  readonly source: string;
  readonly #bits: 32 | 64;
  readonly #fields: string[] = [];
  readonly #index = new Map<string, number>();
  readonly #kinds = new Uint8Array(maxFields);
  #layout: GrownLayout;

  /** @param bits width of the source's counters in the kernel */
  constructor(source: string, numbers: LayoutNumbers, bits: 32 | 64) {
    this.source = source;
    this.#bits = bits;
    this.#layout = { id: numbers.next(), source, fields: [] };
  }

  /** Index of a field, which is added where it is new; -1 when there is no room for it. */
  indexOf(field: string): number {
    const known = this.#index.get(field);
    if (known !== undefined) return known;
    if (this.#fields.length >= maxFields) return -1;
    const index = this.#fields.push(field) - 1;
    this.#index.set(field, index);
    const counter = this.#bits === 32 ? fieldKinds.counter32 : fieldKinds.counter;
    this.#kinds[index] = describeMetric(this.source, field).type === 'counter' ? counter : fieldKinds.asIs;
    return index;
  }

  /** Name of a field. */
  fieldAt(index: number): string | undefined {
    return this.#fields[index];
  }

  /** How the values of a field are to be read (fieldKinds). */
  kindAt(index: number): number {
    return this.#kinds[index] ?? fieldKinds.asIs;
  }

  /** The layout of all fields so far. */
  layout(): GrownLayout {
    if (this.#layout.fields.length < this.#fields.length) this.#layout = { ...this.#layout, fields: [...this.#fields] };
    return this.#layout;
  }
}

/** Values of one target, as one read found them. */
export interface Reading {
  readonly table: FieldTable;
  /** Index of the field of each value. */
  readonly columns: Int32Array;
  /** Overwritten by the next read. */
  readonly values: Float64Array;
}
