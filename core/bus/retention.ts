import { statfs } from 'node:fs/promises';
import type { Segment } from './segment.ts';

/** Part of the free space that one partition may take at most. */
const FREE_SPACE_SHARE = 0.8;
/** Segments that a full partition has at least, so that retention drops a small part of it. */
const SEGMENTS_AT_CAP = 4;

/**
 * How many of the oldest segments to drop so that `excessBytes` go. The newest is never dropped, nor one that holds a
 * message at or above the floor.
 */
export function segmentsToDrop(segments: readonly Segment[], excessBytes: number, floor: number): number {
  let count = 0;
  let left = excessBytes;
  while (left > 0 && count < segments.length - 1 && segments[count].end <= floor) left -= segments[count++].size;
  return count;
}

/** Bytes of all segments. */
export function bytesOf(segments: readonly Segment[]): number {
  let bytes = 0;
  for (const segment of segments) bytes += segment.size;
  return bytes;
}

/**
 * Messages of a dropped range that a group had not committed.
 * @param committed next offset the group would read; undefined if it never committed
 */
export function missedMessages(from: number, to: number, committed: number | undefined): number {
  return Math.max(0, to - Math.max(from, committed ?? 0));
}

/** Cap of a partition: what is configured, but not more than 80 % of what it holds and what is free. */
export async function capBytes(folder: string, maxBytes: number, heldBytes: number): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.min(maxBytes, Math.floor(FREE_SPACE_SHARE * (bavail * bsize + heldBytes)));
}

/** Size at which a segment is closed. */
export function segmentCapBytes(segmentBytes: number, partitionBytes: number): number {
  return Math.max(1, Math.min(segmentBytes, Math.floor(partitionBytes / SEGMENTS_AT_CAP)));
}
