import { crc32c } from '../../crc32c.ts';
import type { Hole, Message } from '../bus.ts';
import { decompress } from './compression.ts';
import { batchField, batchHeaderBytes, lengthFrom, magic } from './record-batch.ts';

const codecMask = 7;
const controlFlag = 0x20;

/** What a range of record batches holds. */
export interface DecodedBatches {
  readonly messages: readonly Message[];
  readonly holes: readonly Hole[];
  /** Offset behind the last whole batch. */
  readonly next: number;
  /** Codecs that are not spoken here: their batches are holes. */
  readonly unknownCodecs: ReadonlySet<number>;
  /** Offsets of the batches that match their checksums, from the first to the last, and their bytes; undefined: there is none. */
  readonly extent: { readonly from: number; readonly to: number; readonly bytes: number } | undefined;
}

/**
 * Reads record batches as a broker sends them: from an offset within the first one, the last one cut off anywhere.
 * What does not match its checksum is a hole: brokers do not look at it when they read. So is what matches it and cannot be
 * read: its producer was faulty, and whoever reads it next could not read it either. Offsets that no batch or no record has
 * are holes, too (a topic that somebody compacted), but for those of markers of transactions, which were never messages.
 * @param from offset asked for; what lies before it in its batch is left out
 */
export async function decodeRecordBatches(bytes: Buffer, from: number): Promise<DecodedBatches> {
  const messages: Message[] = [];
  const holes: Hole[] = [];
  const unknownCodecs = new Set<number>();
  let extent: DecodedBatches['extent'];
  let next = from;
  for (let at = 0; at + batchHeaderBytes <= bytes.length; ) {
    const end = at + lengthFrom + bytes.readInt32BE(at + batchField.length);
    if (end > bytes.length || end < at + batchHeaderBytes) break;
    const batch = bytes.subarray(at, end);
    const base = Number(batch.readBigInt64BE(batchField.baseOffset));
    const lastDelta = batch.readInt32BE(batchField.lastOffsetDelta);
    const behind = base + lastDelta + 1;
    const attributes = batch.readInt16BE(batchField.attributes);
    if (base > next) {
      holes.push({ from: next, to: base, reason: 'damaged' });
      next = base;
    }
    if (batch[batchField.magic] !== magic || crc32c(batch.subarray(batchField.attributes)) !== batch.readUInt32BE(batchField.crc)) {
      holes.push({ from: next, to: behind, reason: 'damaged' });
      next = Math.max(next, behind);
      at = end;
      continue;
    }
    extent = { from: extent?.from ?? base, to: behind, bytes: (extent?.bytes ?? 0) + batch.length };
    if ((attributes & controlFlag) === 0) {
      const held = messages.length;
      try {
        const records = await decompress(attributes & codecMask, batch.subarray(batchHeaderBytes));
        if (records === undefined) {
          unknownCodecs.add(attributes & codecMask);
          throw new RangeError('a codec that is not known');
        }
        readRecords(records, { base, lastDelta, count: batch.readInt32BE(batchField.count) }, next, messages);
        holes.push(...holesBetween(messages.slice(held), next, behind));
      } catch {
        messages.length = held;
        holes.push({ from: next, to: behind, reason: 'damaged' });
      }
    }
    next = Math.max(next, behind);
    at = end;
  }
  return { messages, holes, next, unknownCodecs, extent };
}

/** Offsets of a range that no message has. */
function* holesBetween(messages: readonly Message[], from: number, to: number): Generator<Hole> {
  let at = from;
  for (const { offset } of messages) {
    if (offset > at) yield { from: at, to: offset, reason: 'damaged' };
    at = offset + 1;
  }
  if (to > at) yield { from: at, to, reason: 'damaged' };
}

/** What the header of a batch says of its records. */
interface RecordsHeader {
  readonly base: number;
  readonly lastDelta: number;
  readonly count: number;
}

/** Throws where a record does not lie within the records, a value not within its record, an offset not within the batch. */
function readRecords(records: Buffer, { base, lastDelta, count }: RecordsHeader, from: number, into: Message[]): void {
  const cursor = new Cursor(records);
  for (let index = 0; index < count; index++) {
    const bytes = cursor.varint();
    const end = cursor.at + bytes;
    if (bytes <= 0 || end > records.length) throw new RangeError(`record ${index} has ${bytes} bytes`);
    cursor.at++;
    cursor.skipVarint();
    const delta = cursor.varint();
    if (delta < 0 || delta > lastDelta) throw new RangeError(`record ${index} has offset delta ${delta}`);
    const offset = base + delta;
    const keyBytes = Math.max(0, cursor.varint());
    cursor.at += keyBytes;
    const valueBytes = Math.max(0, cursor.varint());
    if (cursor.at + valueBytes > end) throw new RangeError(`record ${index} has a value of ${valueBytes} bytes`);
    if (offset >= from) into.push({ offset, value: records.subarray(cursor.at, cursor.at + valueBytes) });
    cursor.at = end;
  }
}

class Cursor {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Zigzag, up to 32 bits. */
  varint(): number {
    let raw = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = this.#bytes[this.at++];
      raw |= (byte & 127) << shift;
      shift += 7;
    } while (byte > 127);
    return (raw >>> 1) ^ -(raw & 1);
  }

  skipVarint(): void {
    while (this.#bytes[this.at++] > 127);
  }
}
