import type { Instant } from '../../core/time.ts';
import type { Translated } from './far-end.ts';

/** A record that waits for the identity of its ends. */
export interface HeldRecord {
  readonly item: number;
  /** Event time up to which it waits, boot ns. */
  readonly untilNs: number;
  readonly clockOffset: Instant;
  readonly translated: Translated | undefined;
  readonly bytes: Uint8Array;
}

/** A held record in a checkpoint: bytes as base64. */
export interface HeldRecordSnapshot {
  readonly item: number;
  readonly untilNs: number;
  readonly clockOffset: Instant;
  readonly translated?: { readonly address: string; readonly port: number };
  readonly bytes: string;
}

export type HeldSnapshot = readonly HeldRecordSnapshot[];

/** Bytes of all held records of a partition: one counter that its sessions share. */
export interface HeldTotal {
  bytes: number;
}

/** What an entry costs beside its bytes. */
const entryBytes = 96;

/**
 * Records of one session that wait: a binary heap by the time up to which they wait, then item number, so that each one comes and goes in
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

  /** When the first of them has waited long enough; Infinity when none is held. CPUs' records may come out of order. */
  get dueNs(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0].untilNs;
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

  /** Takes out the first that is due. */
  shift(): HeldRecord | undefined {
    const heap = this.#heap;
    const oldest = heap[0];
    const last = heap.pop();
    if (last === undefined) return undefined;
    if (heap.length > 0) this.#sink(last);
    this.#total.bytes -= bytesOf(oldest);
    return oldest;
  }

  /**
   * Asks anew until when each record waits, and takes out those that wait no longer than `nowNs`, in the order of their
   * items.
   */
  reconsider(untilNs: (record: HeldRecord) => number, nowNs: number): HeldRecord[] {
    const taken: HeldRecord[] = [];
    const kept: HeldRecord[] = [];
    for (const record of this.#heap) {
      const until = untilNs(record);
      if (until <= nowNs) taken.push(record);
      else kept.push(until === record.untilNs ? record : { ...record, untilNs: until });
    }
    for (const record of taken) this.#total.bytes -= bytesOf(record);
    // A sorted array is a heap.
    this.#heap = kept.sort((a, b) => (before(a, b) ? -1 : 1));
    return taken.sort((a, b) => a.item - b.item);
  }

  /** Takes out all, in the order of their items. */
  takeAll(): HeldRecord[] {
    return this.reconsider(() => 0, 0);
  }

  snapshot(): HeldSnapshot {
    return this.#heap.map(({ translated, bytes, ...rest }) => ({
      ...rest,
      ...(translated === undefined ? {} : { translated: { address: base64(translated.address), port: translated.port } }),
      bytes: base64(bytes),
    }));
  }

  restore(snapshot: HeldSnapshot): void {
    for (const { translated, bytes, ...rest } of snapshot) {
      const far = translated === undefined ? undefined : { address: Buffer.from(translated.address, 'base64'), port: translated.port };
      this.add({ ...rest, translated: far, bytes: Buffer.from(bytes, 'base64') });
    }
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
  return a.untilNs < b.untilNs || (a.untilNs === b.untilNs && a.item < b.item);
}

function bytesOf(record: HeldRecord): number {
  return record.bytes.length + entryBytes;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}
