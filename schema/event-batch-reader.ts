import { messageOf } from '../core/app-error.ts';
import { EventBatch } from '../proto/bus.ts';
import { type EventBatchView, eventKinds, severities } from './batch.ts';
import { eventBatchError } from './event-batch-errors.ts';
import { WordReader } from './word-reader.ts';

const two16 = 0x1_0000;
const two32 = 0x1_0000_0000;
const newline = 10;
const empty = new Uint8Array(0);

type Body = InstanceType<typeof EventBatch>;

/**
 * Decodes an EventBatch and checks all of it: column lengths, indices, origins, one line a row. Whatever the
 * bytes are, the answer is a view that cannot be read out of bounds, or EVENT_BATCH_INVALID is thrown.
 * `line` and `lines` are views of `bytes`: valid as long as they are.
 */
export function decodeEventBatch(bytes: Uint8Array): EventBatchView {
  let body: Body;
  if (bytes.length === 0) throw eventBatchError('EVENT_BATCH_INVALID', { bytes: 0, found: 'nothing', expected: 'a protobuf message' });
  try {
    // Plain: a Buffer's views cost several times as much.
    body = EventBatch.decode(new WordReader(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)));
  } catch (thrown) {
    throw eventBatchError('EVENT_BATCH_INVALID', { bytes: bytes.length, found: messageOf(thrown), expected: 'a protobuf message' }, thrown);
  }
  return new DecodedEventBatch(body, bytes.length);
}

class DecodedEventBatch implements EventBatchView {
  readonly baseRawOffset: number;
  readonly firstEvent: number;
  readonly count: number;
  readonly #time: Uint32Array;
  readonly #origins: Uint32Array;
  readonly #idNumber: Uint32Array;
  readonly #idPrefix: Uint16Array;
  readonly #kind: Uint8Array;
  readonly #type: Uint16Array;
  readonly #severity: Uint8Array;
  readonly #namespace: Uint16Array;
  readonly #pod: Uint16Array;
  readonly #node: Uint16Array;
  readonly #podUid: Uint16Array;
  readonly #lineOffsets: Uint32Array;
  readonly #lines: Uint8Array;
  readonly #appendedDay: number;
  readonly #dictionary: readonly string[];

  constructor(body: Body, bytes: number) {
    const invalid = (found: string, expected: string) => eventBatchError('EVENT_BATCH_INVALID', { bytes, found, expected });
    const count = body.count ?? 0;
    /** An aligned copy of a column: protobufjs gives a view at any offset. */
    const column = <Numbers extends Uint8Array | Uint16Array | Uint32Array>(
      name: string,
      raw: Uint8Array | null | undefined,
      perRow: number,
      make: (length: number) => Numbers,
    ): Numbers => {
      const found = raw ?? empty;
      const expected = count * perRow;
      if (found.length !== expected) throw invalid(`${found.length} bytes in column ${name}`, `${expected} for ${count} events`);
      const numbers = make(expected);
      new Uint8Array(numbers.buffer, 0, expected).set(found);
      return numbers;
    };
    const u32 = (length: number) => new Uint32Array(length / 4);
    const u16 = (length: number) => new Uint16Array(length / 2);
    const u8 = (length: number) => new Uint8Array(length);

    this.baseRawOffset = body.baseRawOffset ?? 0;
    this.firstEvent = body.firstEvent ?? 0;
    this.count = count;
    this.#time = column('time_unix_ns', body.timeUnixNs, 8, u32);
    this.#origins = column('origins', body.origins, 8, u32);
    this.#idNumber = column('id_number', body.idNumber, 8, u32);
    this.#idPrefix = column('id_prefix', body.idPrefix, 2, u16);
    this.#kind = column('kind', body.kind, 1, u8);
    this.#type = column('type', body.type, 2, u16);
    this.#severity = column('severity', body.severity, 1, u8);
    this.#namespace = column('namespace', body.namespace, 2, u16);
    this.#pod = column('pod', body.pod, 2, u16);
    this.#node = column('node', body.node, 2, u16);
    // Absent: index 0, the empty string.
    this.#podUid = body.podUid?.length ? column('pod_uid', body.podUid, 2, u16) : new Uint16Array(count);
    this.#lineOffsets = column('line_offsets', body.lineOffsets, 4, u32);
    this.#lines = body.lines ?? empty;
    this.#appendedDay = body.appendedDay ?? 0;
    this.#dictionary = body.dictionary ?? [];

    if (!Number.isSafeInteger(this.baseRawOffset + two32)) throw invalid(`base_raw_offset ${this.baseRawOffset}`, 'less than 2^53 - 2^32');
    if (!Number.isSafeInteger(this.firstEvent + count)) throw invalid(`first_event ${this.firstEvent}`, 'less than 2^53 - count');
    if (this.#dictionary.length > two16) throw invalid(`${this.#dictionary.length} strings in the dictionary`, 'at most 65536');
    const problem = this.#unindexed() ?? this.#unordered() ?? this.#unlined();
    if (problem !== undefined) throw invalid(problem[0], problem[1]);
  }

  eventNumber(row: number): number {
    return this.firstEvent + row;
  }

  appendedDay(): number {
    return this.#appendedDay;
  }

  timeSeconds(row: number): number {
    const low = this.#time[row * 2];
    const guess = Math.floor((this.#time[row * 2 + 1] * two32 + low) / 1e9);
    const nanos = (low - Math.imul(guess, 1e9)) | 0;
    if (nanos < 0) return guess - 1;
    return nanos < 1e9 ? guess : guess + 1;
  }

  timeNanos(row: number): number {
    const low = this.#time[row * 2];
    // A double is exact to 2 µs there, so that the quotient is off by one at most: the remainder fits 32 bits, and tells.
    const guess = Math.floor((this.#time[row * 2 + 1] * two32 + low) / 1e9);
    const nanos = (low - Math.imul(guess, 1e9)) | 0;
    if (nanos < 0) return nanos + 1e9;
    return nanos < 1e9 ? nanos : nanos - 1e9;
  }

  rawOffset(row: number): number {
    return this.baseRawOffset + this.#origins[row * 2];
  }

  ordinal(row: number): number {
    return this.#origins[row * 2 + 1];
  }

  id(row: number): string {
    return `${this.idPrefix(row)}-${this.idNumber(row)}`;
  }

  idPrefix(row: number): string {
    return this.#word(this.#idPrefix, row);
  }

  idNumber(row: number): number | bigint {
    const low = this.#idNumber[row * 2];
    const high = this.#idNumber[row * 2 + 1];
    return high < 0x20_0000 ? high * two32 + low : (BigInt(high) << 32n) | BigInt(low);
  }

  kind(row: number): (typeof eventKinds)[number] {
    return eventKinds[this.#kind[row]];
  }

  type(row: number): string {
    return this.#word(this.#type, row);
  }

  severity(row: number): (typeof severities)[number] {
    return severities[this.#severity[row]];
  }

  namespace(row: number): string {
    return this.#word(this.#namespace, row);
  }

  pod(row: number): string {
    return this.#word(this.#pod, row);
  }

  podUid(row: number): string {
    return this.#word(this.#podUid, row);
  }

  node(row: number): string {
    return this.#word(this.#node, row);
  }

  lineLength(row: number): number {
    return (row + 1 < this.count ? this.#lineOffsets[row + 1] : this.#lines.length) - this.#lineOffsets[row];
  }

  line(row: number): Uint8Array {
    return this.#block(row, row + 1);
  }

  blocks(from: number, to: number): readonly Uint8Array[] {
    return from < to ? [this.#block(from, to)] : [];
  }

  #block(from: number, to: number): Uint8Array {
    return this.#lines.subarray(this.#lineOffsets[from], to < this.count ? this.#lineOffsets[to] : this.#lines.length);
  }

  #word(column: Uint16Array, row: number): string {
    return this.#dictionary[column[row]];
  }

  #unindexed(): [string, string] | undefined {
    const words = this.#dictionary.length;
    for (const column of [this.#idPrefix, this.#type, this.#namespace, this.#pod, this.#node, this.#podUid]) {
      for (let row = 0; row < this.count; row++) {
        if (column[row] >= words) return [`dictionary index ${column[row]}`, `less than ${words}`];
      }
    }
    for (let row = 0; row < this.count; row++) {
      if (this.#kind[row] >= eventKinds.length) return [`kind ${this.#kind[row]}`, `less than ${eventKinds.length}`];
      if (this.#severity[row] >= severities.length) return [`severity ${this.#severity[row]}`, `less than ${severities.length}`];
    }
    return undefined;
  }

  #unordered(): [string, string] | undefined {
    const origins = this.#origins;
    for (let at = 2; at < origins.length; at += 2) {
      const rawDelta = origins[at];
      const before = origins[at - 2];
      if (rawDelta < before || (rawDelta === before && origins[at + 1] <= origins[at - 1])) {
        return [`the origin of row ${at / 2} not behind that of the row before`, 'strictly increasing origins'];
      }
    }
    return undefined;
  }

  #unlined(): [string, string] | undefined {
    // A Buffer looks for a byte with memchr, a plain array one by one.
    const lines = Buffer.from(this.#lines.buffer, this.#lines.byteOffset, this.#lines.length);
    const count = this.count;
    if (count === 0) return lines.length === 0 ? undefined : [`${lines.length} bytes of lines`, 'none for 0 events'];
    if (this.#lineOffsets[0] !== 0) return [`the first line at ${this.#lineOffsets[0]}`, '0'];
    let at = 0;
    for (let row = 0; row < count; row++) {
      const end = row + 1 < count ? this.#lineOffsets[row + 1] : lines.length;
      // Offsets rise and stay inside, and the row's only newline is its last byte.
      if (end <= at || end > lines.length || lines.indexOf(newline, at) !== end - 1) {
        return [`row ${row} in bytes ${at} to ${end} of ${lines.length}`, 'one line with one newline, at its end'];
      }
      at = end;
    }
    return undefined;
  }
}
