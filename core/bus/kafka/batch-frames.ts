import { crc32c } from '../../crc32c.ts';
import { batchField, batchHeaderBytes, lengthFrom, magic } from './record-batch.ts';

/** Checksums of places where no batch turns out to begin: so many bytes for each byte of the answer, at most. */
const searchFactor = 16;

/** Offsets, the end exclusive. */
export interface OffsetRange {
  readonly from: number;
  readonly to: number;
}

/** A batch that matches its checksum, by its place in the bytes. Its base is outside of what that covers. */
export interface BatchFrame {
  readonly at: number;
  readonly end: number;
  readonly base: number;
  /** Offset behind its last one. */
  readonly next: number;
}

/**
 * The batches that match their checksums, in the order of their bytes. What does not match is passed over: its own length is
 * believed only where a batch of the right offset follows there; else the next one is looked for at every byte. A last batch
 * that is cut off ends the search, unless it is the only one: a broker sends the first one whole.
 * @param offsets that a batch found in that way may have
 */
export function batchFrames(bytes: Buffer, offsets: OffsetRange): BatchFrame[] {
  const frames: BatchFrame[] = [];
  const search = { leftBytes: searchFactor * bytes.length };
  for (let at = 0; at < bytes.length; at = frames[frames.length - 1].end) {
    const frame = frameAt(bytes, at) ?? (frames.length > 0 && isCutOff(bytes, at) ? undefined : frameBehind(bytes, at, offsets, search));
    if (frame === undefined) break;
    frames.push(frame);
  }
  return frames;
}

/** Whether the bytes end before the batch does, by its own length. */
function isCutOff(bytes: Buffer, at: number): boolean {
  return at + batchHeaderBytes > bytes.length || endAt(bytes, at) > bytes.length;
}

/**
 * Where a batch that is not believed ends, as far as it can be told of itself: no further than any of its numbers says, and
 * the very next offset where they say nothing that is possible.
 * @param offsets from the one that is wanted to the end of the log
 * @param isBase whether the batch begins at the one that is wanted, whatever it says
 */
export function doubtfulEnd(bytes: Buffer, { from, to }: OffsetRange, isBase: boolean): number {
  const base = baseAt(bytes, 0);
  const start = isBase || base < 0 || base > from ? from : base;
  const claims = [start + lastDeltaAt(bytes, 0) + 1, start + bytes.readInt32BE(batchField.count)];
  const possible = claims.filter((end) => end > from && end <= to);
  return possible.length === 0 ? from + 1 : Math.min(...possible);
}

/** The batch that begins there, whole; undefined: none that matches its checksum. */
function frameAt(bytes: Buffer, at: number): BatchFrame | undefined {
  if (isCutOff(bytes, at) || bytes[at + batchField.magic] !== magic || lastDeltaAt(bytes, at) < 0) return undefined;
  const end = endAt(bytes, at);
  if (end < at + batchHeaderBytes) return undefined;
  if (crc32c(bytes.subarray(at + batchField.attributes, end)) !== bytes.readUInt32BE(at + batchField.crc)) return undefined;
  const base = baseAt(bytes, at);
  return { at, end, base, next: base + lastDeltaAt(bytes, at) + 1 };
}

/** The first batch behind what begins there and is damaged. */
function frameBehind(bytes: Buffer, at: number, { from, to }: OffsetRange, search: { leftBytes: number }): BatchFrame | undefined {
  if (at + batchHeaderBytes > bytes.length) return undefined;
  const claimedEnd = endAt(bytes, at);
  const follower = claimedEnd > at ? frameAt(bytes, claimedEnd) : undefined;
  if (follower?.base === baseAt(bytes, at) + lastDeltaAt(bytes, at) + 1) return follower;
  for (let place = at + 1; place + batchHeaderBytes <= bytes.length && search.leftBytes > 0; place++) {
    if (bytes[place + batchField.magic] !== magic || isCutOff(bytes, place)) continue;
    const next = baseAt(bytes, place) + lastDeltaAt(bytes, place) + 1;
    if (baseAt(bytes, place) < 0 || next <= from || next > to) continue;
    search.leftBytes -= Math.max(0, endAt(bytes, place) - place);
    const frame = frameAt(bytes, place);
    if (frame !== undefined) return frame;
  }
  return undefined;
}

function endAt(bytes: Buffer, at: number): number {
  return at + lengthFrom + bytes.readInt32BE(at + batchField.length);
}

function baseAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at + batchField.baseOffset) * 2 ** 32 + bytes.readUInt32BE(at + batchField.baseOffset + 4);
}

function lastDeltaAt(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at + batchField.lastOffsetDelta);
}
