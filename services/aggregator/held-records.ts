import type { Instant } from '../../core/time.ts';

/** A record that waits for the identity of its namespace. */
export interface HeldRecord {
  readonly item: number;
  /** Event time, boot ns. */
  readonly bootNs: number;
  readonly netLo: number;
  readonly netHi: number;
  readonly clockOffset: Instant;
  readonly bytes: Uint8Array;
}

/** Held records in a checkpoint: bytes as base64. */
export type HeldSnapshot = readonly (Omit<HeldRecord, 'bytes'> & { readonly bytes: string })[];

/** Bytes of all held records of a partition: one counter that its sessions share. */
export interface HeldTotal {
  bytes: number;
}

/** What an entry costs beside its bytes. */
const entryBytes = 96;

/**
 * Records of one session that wait: a binary heap by event time, then item number, so that each one comes and goes in
 * logarithmic time. What comes out, and in which order, follows from what went in.
 */
export class HeldRecords {
  #heap: HeldRecord[] = [];
  readonly #total: HeldTotal;

  constructor(total: HeldTotal) {
    this.#total = total;
  }

  get count(): number {
    return this.#heap.length;
  }

  /** Event time of the oldest; Infinity when none is held. CPUs' records may come out of order. */
  get oldestBootNs(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0].bootNs;
  }

  add(record: HeldRecord): void {
    this.#total.bytes += bytesOf(record);
    const heap = this.#heap;
    let at = heap.length;
    heap.push(record);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(record, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = record;
  }

  /** Takes out the oldest. */
  shift(): HeldRecord | undefined {
    const heap = this.#heap;
    const oldest = heap[0];
    const last = heap.pop();
    if (last === undefined) return undefined;
    if (heap.length > 0) this.#sink(last);
    this.#total.bytes -= bytesOf(oldest);
    return oldest;
  }

  /** Takes out those for which `ready` holds, in the order of their items. */
  take(ready: (record: HeldRecord) => boolean): HeldRecord[] {
    const taken: HeldRecord[] = [];
    const kept: HeldRecord[] = [];
    for (const record of this.#heap) (ready(record) ? taken : kept).push(record);
    for (const record of taken) this.#total.bytes -= bytesOf(record);
    // A sorted array is a heap.
    this.#heap = kept.sort((a, b) => (before(a, b) ? -1 : 1));
    return taken.sort((a, b) => a.item - b.item);
  }

  snapshot(): HeldSnapshot {
    return this.#heap.map((record) => ({ ...record, bytes: Buffer.from(record.bytes).toString('base64') }));
  }

  restore(snapshot: HeldSnapshot): void {
    for (const record of snapshot) this.add({ ...record, bytes: Buffer.from(record.bytes, 'base64') });
  }

  /** Puts a record into the place of the first one, and down to where it belongs. */
  #sink(record: HeldRecord): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], record)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = record;
  }
}

/** A total order: two records of a session never have the same item number. */
function before(a: HeldRecord, b: HeldRecord): boolean {
  return a.bootNs < b.bootNs || (a.bootNs === b.bootNs && a.item < b.item);
}

function bytesOf(record: HeldRecord): number {
  return record.bytes.length + entryBytes;
}
