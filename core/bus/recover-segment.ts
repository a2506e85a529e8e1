import type { Hole } from './bus.ts';
import type { Disk } from './disk.ts';
import { encodeGroupEnd, HEADER_BYTES } from './frame.ts';
import type { Segment } from './segment.ts';
import { SegmentCursor } from './segment-cursor.ts';

/** Buffer of the scan, bytes. */
const SCAN_BYTES = 1024 * 1024;

/** What the scan of a partition's last segment found. */
export interface Recovery {
  /** Bytes of a write that was cut short: removed. */
  readonly tornBytes: number;
  /** Messages that cannot be read: kept, and skipped by readers. */
  readonly holes: readonly Hole[];
}

/**
 * Makes the last segment of a partition ready to be appended to: reads all of it, cuts what a crash left half
 * written, keeps damaged bytes in their place, and sets the segment's size and end.
 *
 * Only bytes that were never acknowledged may be cut, else an offset would be given out twice. A write that was cut
 * short is a part of a header, a whole header with too few bytes behind it, or zeros (a file that was extended
 * but not filled). Any other bytes at the end are damaged messages: they may have been as many as fit there.
 */
export async function recoverSegment(disk: Disk, fd: number, segment: Segment): Promise<Recovery> {
  const cursor = new SegmentCursor(disk, fd, Buffer.allocUnsafeSlow(Math.min(SCAN_BYTES, segment.size + HEADER_BYTES)), {
    offset: segment.base,
    position: 0,
  });
  const fileBytes = segment.size;
  const holes: Hole[] = [];
  while (!cursor.exhausted(fileBytes)) {
    const step = await cursor.step(fileBytes, segment.base, Number.MAX_SAFE_INTEGER);
    holes.push(...step.holes);
  }
  const { kind, position } = cursor.tail;
  segment.size = position;
  segment.end = cursor.expected;
  const tailBytes = fileBytes - position;
  if (kind !== 'damaged') {
    if (tailBytes > 0) await disk.truncate(fd, position);
    return { tornBytes: tailBytes, holes };
  }
  // The last header of a write belongs to the end of its group: what remains may have held messages.
  const lost = Math.floor((tailBytes - HEADER_BYTES) / HEADER_BYTES);
  if (lost < 1 || (await isZero(disk, fd, position, fileBytes))) {
    await disk.truncate(fd, position);
    return { tornBytes: tailBytes, holes };
  }
  const end = Buffer.allocUnsafe(HEADER_BYTES);
  encodeGroupEnd(end, 0, segment.end + lost);
  await disk.writev(fd, [end], fileBytes);
  segment.size = fileBytes + HEADER_BYTES;
  segment.end += lost;
  return { tornBytes: 0, holes: [...holes, { from: segment.end - lost, to: segment.end, reason: 'damaged' }] };
}

async function isZero(disk: Disk, fd: number, from: number, to: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(64 * 1024);
  for (let position = from; position < to; position += buffer.byteLength) {
    const length = await disk.read(fd, buffer, Math.min(buffer.byteLength, to - position), position);
    for (let at = 0; at < length; at++) if (buffer[at] !== 0) return false;
  }
  return true;
}
