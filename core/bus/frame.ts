import { crc32c } from '../crc32c.ts';

/*
 * A segment file is a row of frames, little-endian, without padding:
 *
 *    0  u32  magic         'JSLM' a message, 'JSLC' the end of a commit group
 *    4  u32  length        bytes of payload that follow the header (0 for the end of a group)
 *    8  u64  offset        of the message; at the end of a group: of the message that comes next
 *   16  u32  payload CRC   CRC-32C of the payload
 *   20  u32  header CRC    CRC-32C of bytes 0 to 19
 *   24       payload
 *
 * Each durable write ends with the end of a group: without it a damaged header of the last message could not be
 * told from a write that a crash cut short, and an acknowledged offset might be given out twice.
 */

/** Bytes of a frame's header. */
export const HEADER_BYTES = 24;
/** Largest payload of one message, bytes. */
export const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

const MESSAGE_MAGIC = 0x4d4c534a;
const GROUP_END_MAGIC = 0x434c534a;
const MAGIC_PREFIX = Buffer.from('JSL', 'latin1');
const TWO_POW_32 = 0x1_0000_0000;
/** High half of the largest safe integer. */
const MAX_OFFSET_HIGH = 0x1f_ffff;

/** Writes a message's header at `at`. */
export function encodeMessageHeader(out: Buffer, at: number, offset: number, payload: readonly Uint8Array[]): void {
  let length = 0;
  let crc = 0;
  for (const part of payload) {
    length += part.byteLength;
    crc = crc32c(part, crc);
  }
  encode(out, at, MESSAGE_MAGIC, length, offset, crc);
}

/** Writes the end of a commit group at `at`; `next` is the offset of the message that comes next. */
export function encodeGroupEnd(out: Buffer, at: number, next: number): void {
  encode(out, at, GROUP_END_MAGIC, 0, next, 0);
}

function encode(out: Buffer, at: number, magic: number, length: number, offset: number, payloadCrc: number): void {
  out.writeUInt32LE(magic, at);
  out.writeUInt32LE(length, at + 4);
  out.writeUInt32LE(offset % TWO_POW_32, at + 8);
  out.writeUInt32LE(Math.floor(offset / TWO_POW_32), at + 12);
  out.writeUInt32LE(payloadCrc, at + 16);
  out.writeUInt32LE(crc32c(out.subarray(at, at + 20)), at + 20);
}

/** Header of the frame that was read last: one object, moved over a buffer. */
export class FrameHeader {
  /** The end of a commit group, not a message. */
  groupEnd = false;
  /** Payload bytes. */
  length = 0;
  offset = 0;
  payloadCrc = 0;

  /** Reads the header at `at`, of which 24 bytes must be there. False when there is none that is whole. */
  read(buffer: Buffer, at: number): boolean {
    const magic = buffer.readUInt32LE(at);
    if (magic !== MESSAGE_MAGIC && magic !== GROUP_END_MAGIC) return false;
    if (buffer.readUInt32LE(at + 20) !== crc32c(buffer.subarray(at, at + 20))) return false;
    const high = buffer.readUInt32LE(at + 12);
    this.groupEnd = magic === GROUP_END_MAGIC;
    this.length = buffer.readUInt32LE(at + 4);
    this.offset = high * TWO_POW_32 + buffer.readUInt32LE(at + 8);
    this.payloadCrc = buffer.readUInt32LE(at + 16);
    return high <= MAX_OFFSET_HIGH && this.length <= (this.groupEnd ? 0 : MAX_MESSAGE_BYTES);
  }
}

/**
 * The next place at or after `at` where a header may begin, with its 24 bytes before `end`. When there is none:
 * the first place that cannot be judged, because fewer than 24 bytes follow it.
 */
export function nextHeaderCandidate(buffer: Buffer, at: number, end: number): number {
  const last = end - HEADER_BYTES;
  if (at > last) return at;
  const found = buffer.subarray(0, last + MAGIC_PREFIX.length).indexOf(MAGIC_PREFIX, at);
  return found === -1 ? last + 1 : found;
}
