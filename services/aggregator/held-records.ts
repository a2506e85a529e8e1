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

/** What an entry costs beside its bytes. */
const entryBytes = 96;

/** Records of one session that wait, in the order they came. */
export class HeldRecords {
  #records: HeldRecord[] = [];
  #oldestBootNs = Infinity;
  bytes = 0;

  get count(): number {
    return this.#records.length;
  }

  add(record: HeldRecord): void {
    this.#records.push(record);
    this.#oldestBootNs = Math.min(this.#oldestBootNs, record.bootNs);
    this.bytes += record.bytes.length + entryBytes;
  }

  /** Takes out those for which `ready` holds, in order. */
  take(ready: (record: HeldRecord) => boolean): HeldRecord[] {
    const taken: HeldRecord[] = [];
    const kept: HeldRecord[] = [];
    for (const record of this.#records) (ready(record) ? taken : kept).push(record);
    this.#reset(kept);
    return taken;
  }

  /** Takes out the one that came first. */
  shift(): HeldRecord | undefined {
    const record = this.#records.shift();
    if (record !== undefined) this.bytes -= record.bytes.length + entryBytes;
    if (this.#records.length === 0) this.#oldestBootNs = Infinity;
    return record;
  }

  /** No held record is of an earlier event time than this; Infinity when none is held. CPUs' records may come out of order. */
  get oldestBootNs(): number {
    return this.#oldestBootNs;
  }

  snapshot(): HeldSnapshot {
    return this.#records.map((record) => ({ ...record, bytes: Buffer.from(record.bytes).toString('base64') }));
  }

  restore(snapshot: HeldSnapshot): void {
    this.#reset(snapshot.map((record) => ({ ...record, bytes: Buffer.from(record.bytes, 'base64') })));
  }

  #reset(records: HeldRecord[]): void {
    this.#records = records;
    this.bytes = records.reduce((sum, record) => sum + record.bytes.length + entryBytes, 0);
    this.#oldestBootNs = records.reduce((oldest, record) => Math.min(oldest, record.bootNs), Infinity);
  }
}
