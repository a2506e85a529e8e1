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

/** Records of one session that wait, oldest first. */
export class HeldRecords {
  #records: HeldRecord[] = [];
  bytes = 0;

  get count(): number {
    return this.#records.length;
  }

  add(record: HeldRecord): void {
    this.#records.push(record);
    this.bytes += record.bytes.length + entryBytes;
  }

  /** Takes out those for which `ready` holds, in order. */
  take(ready: (record: HeldRecord) => boolean): HeldRecord[] {
    const taken: HeldRecord[] = [];
    const kept: HeldRecord[] = [];
    for (const record of this.#records) (ready(record) ? taken : kept).push(record);
    if (taken.length > 0) this.#reset(kept);
    return taken;
  }

  /** Takes out the oldest. */
  shift(): HeldRecord | undefined {
    const record = this.#records.shift();
    if (record !== undefined) this.bytes -= record.bytes.length + entryBytes;
    return record;
  }

  /** Event time of the oldest; Infinity when none is held. */
  get oldestBootNs(): number {
    return this.#records[0]?.bootNs ?? Infinity;
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
  }
}
