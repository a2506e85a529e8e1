import { recordOffsets as at, recordBytes, tailBytes } from './record.gen.ts';

/** Fields of a record (bpf/include/record.h) as a plain object; what is left out is 0. */
export interface RecordFields {
  /** CLOCK_BOOTTIME, ns. */
  readonly ts?: bigint | number;
  readonly probe?: number;
  readonly variant?: number;
  readonly flags?: number;
  readonly cpu?: number;
  readonly tgid?: number;
  readonly tid?: number;
  readonly cgroup?: bigint | number;
  readonly net?: bigint | number;
  readonly ifindex?: number;
  readonly stack?: number;
  /** Cut to 16 bytes of UTF-8. */
  readonly comm?: string;
  /** 16 bytes, or 4 for IPv4: written as ::ffff:a.b.c.d. */
  readonly saddr?: readonly number[] | Uint8Array;
  readonly daddr?: readonly number[] | Uint8Array;
  readonly sport?: number;
  readonly dport?: number;
  readonly family?: number;
  readonly proto?: number;
  readonly state?: number;
  readonly side?: number;
  readonly sock?: bigint | number;
  readonly code?: number;
  readonly v?: readonly number[];
  /** 0, 64 or 128 bytes. */
  readonly tail?: Uint8Array;
}

/** Makes the bytes of one record: for tests, benches and captures made by hand, not for the hot path. */
export function writeRecord(fields: RecordFields): Uint8Array {
  const tail = fields.tail ?? new Uint8Array(0);
  if (tail.length % tailBytes !== 0 || tail.length > 2 * tailBytes)
    throw new RangeError(`a record's tail is 0, 64 or 128 bytes long, not ${tail.length}`);
  const bytes = new Uint8Array(recordBytes + tail.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(at.ts, BigInt(fields.ts ?? 0), true);
  view.setUint16(at.probe, fields.probe ?? 0, true);
  view.setUint8(at.variant, fields.variant ?? 0);
  view.setUint8(at.len, bytes.length / tailBytes);
  view.setUint16(at.flags, fields.flags ?? 0, true);
  view.setUint16(at.cpu, fields.cpu ?? 0, true);
  view.setUint32(at.tgid, fields.tgid ?? 0, true);
  view.setUint32(at.tid, fields.tid ?? 0, true);
  view.setBigUint64(at.cgroup, BigInt(fields.cgroup ?? 0), true);
  view.setBigUint64(at.net, BigInt(fields.net ?? 0), true);
  view.setUint32(at.ifindex, fields.ifindex ?? 0, true);
  view.setInt32(at.stack, fields.stack ?? 0, true);
  new TextEncoder().encodeInto(fields.comm ?? '', bytes.subarray(at.comm, at.saddr));
  bytes.set(address(fields.saddr), at.saddr);
  bytes.set(address(fields.daddr), at.daddr);
  view.setUint16(at.sport, fields.sport ?? 0, true);
  view.setUint16(at.dport, fields.dport ?? 0, true);
  view.setUint8(at.family, fields.family ?? 0);
  view.setUint8(at.proto, fields.proto ?? 0);
  view.setUint8(at.state, fields.state ?? 0);
  view.setUint8(at.side, fields.side ?? 0);
  view.setBigUint64(at.sock, BigInt(fields.sock ?? 0), true);
  view.setUint32(at.code, fields.code ?? 0, true);
  for (let index = 0; index < 3; index++) view.setUint32(at.v + index * 4, fields.v?.[index] ?? 0, true);
  bytes.set(tail, at.x);
  return bytes;
}

/** Records end to end. */
export function writeRecords(records: readonly RecordFields[]): Uint8Array {
  return Buffer.concat(records.map(writeRecord));
}

function address(bytes: readonly number[] | Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) return new Uint8Array(16);
  if (bytes.length === 4) return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes);
  if (bytes.length !== 16) throw new RangeError(`an address is 4 or 16 bytes long, not ${bytes.length}`);
  return Uint8Array.from(bytes);
}
