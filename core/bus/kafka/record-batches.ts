import type { Hole, Message } from '../bus.ts';
import { type BatchFrame, batchFrames, doubtfulEnd, type OffsetRange } from './batch-frames.ts';
import { decompress } from './compression.ts';
import { batchField, batchHeaderBytes } from './record-batch.ts';

const codecMask = 7;
const controlFlag = 0x20;

/** What is known of an answer besides its bytes: the offset that was asked for, and the high watermark. */
export interface Asked extends OffsetRange {
  /** A batch begins at the offset that was asked for, because the one before ended there. Default: it is not known. */
  readonly isBase?: boolean;
  /** Nothing comes behind these bytes, however much is asked for: the end of a segment, or of the log. Default false. */
  readonly isAll?: boolean;
}

/** What a range of record batches holds. */
export interface DecodedBatches {
  readonly messages: readonly Message[];
  readonly holes: readonly Hole[];
  /** Offset behind what could be judged; where it began, if that needs to see what follows, or nothing can be read. */
  readonly next: number;
  /** Codecs that are not spoken here: their batches are holes. */
  readonly unknownCodecs: ReadonlySet<number>;
  /** Offsets of the batches that are believed, from the first to the last, and their bytes; undefined: there is none. */
  readonly extent: { readonly from: number; readonly to: number; readonly bytes: number } | undefined;
}

/**
 * Reads record batches as a broker sends them: from an offset within the first one, the last one cut off anywhere.
 * What does not match its checksum is a hole: brokers do not look at it when they read. Nothing that it says of itself is
 * believed: it ends where the next batch begins. So is what matches it and cannot be read: its producer was faulty, and whoever
 * reads it next could not read it either. Offsets that no batch or no record has are holes, too (a topic that somebody
 * compacted), but for those of markers of transactions, which were never messages.
 */
export async function decodeRecordBatches(bytes: Buffer, asked: Asked): Promise<DecodedBatches> {
  const messages: Message[] = [];
  const holes: Hole[] = [];
  const unknownCodecs = new Set<number>();
  let extent: DecodedBatches['extent'];
  let next = asked.from;
  const damaged = (to: number): void => {
    if (to > next) holes.push({ from: next, to, reason: 'damaged' });
  };
  for (const { at, end, base, next: behind } of believed(batchFrames(bytes, asked), asked)) {
    const batch = bytes.subarray(at, end);
    const attributes = batch.readInt16BE(batchField.attributes);
    damaged(base);
    next = Math.max(next, base);
    extent = { from: extent?.from ?? base, to: behind, bytes: (extent?.bytes ?? 0) + batch.length };
    if ((attributes & controlFlag) === 0) {
      const held = messages.length;
      try {
        const records = await decompress(attributes & codecMask, batch.subarray(batchHeaderBytes));
        if (records === undefined) {
          unknownCodecs.add(attributes & codecMask);
          throw new RangeError('a codec that is not known');
        }
        const header = { base, lastDelta: behind - base - 1, count: batch.readInt32BE(batchField.count) };
        readRecords(records, header, next, messages);
        holes.push(...holesBetween(messages.slice(held), next, behind));
      } catch {
        messages.length = held;
        damaged(behind);
      }
    }
    next = behind;
  }
  if (asked.isAll === true && next === asked.from && next < asked.to && bytes.length >= batchHeaderBytes) {
    const end = doubtfulEnd(bytes, asked, asked.isBase === true);
    damaged(end);
    next = end;
  }
  return { messages, holes, next, unknownCodecs, extent };
}

/**
 * Batches whose offsets agree with those around them. A base is not covered by the checksum; brokers give offsets without gaps,
 * so one that is damaged overlaps a neighbour, or lies beyond the end of the log.
 */
function* believed(frames: readonly BatchFrame[], { from, to, isBase = false, isAll = false }: Asked): Generator<BatchFrame> {
  let next = from;
  for (const [index, frame] of frames.entries()) {
    const isFirst = next === from;
    const mayBeginBefore = isFirst && !isBase;
    if (frame.base < 0 || frame.next > to || frame.next <= next || (frame.base < next && !mayBeginBefore)) continue;
    const [follower, second] = [frames[index + 1], frames[index + 2]];
    if (follower === undefined) {
      // Behind a gap, at the end of the bytes: whether the gap or the base is damage is seen by what follows.
      if (frame.base > next && !(isFirst && isAll)) return;
      // A reader that begins here cannot know of a base a little too low or too high: that is seen by what follows, too.
      if (mayBeginBefore && frame.next !== to && !isAll) return;
    } else if (frame.next > follower.base) {
      const isFollowerAlone = second === undefined || follower.next !== second.base;
      if (frame.base > next || !isFollowerAlone) continue;
    } else if (frame.base < from && frame.next < follower.base && frame.end === follower.at) continue;
    yield frame;
    next = frame.next;
  }
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
