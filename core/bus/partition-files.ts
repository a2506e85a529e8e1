import * as fs from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import type { Disk } from './disk.ts';
import { type Recovery, recoverSegment } from './recover-segment.ts';
import { Segment, segmentBase } from './segment.ts';

/** The files of a partition as they were found. */
export interface PartitionFiles {
  readonly segments: Segment[];
  /** Descriptor of the last segment, for appending; -1 when there is none. */
  readonly fd: number;
  readonly recovery: Recovery;
}

/** Opens the segments of a partition, oldest first, recovers the last one, and removes what a crash left over. */
export async function openPartitionFiles(disk: Disk, folder: string): Promise<PartitionFiles> {
  await mkdir(folder, { recursive: true });
  const bases: number[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const base = segmentBase(entry.name);
    if (entry.isFile() && base !== undefined) bases.push(base);
    else if (entry.isFile() && entry.name.endsWith('.tmp')) await disk.remove(`${folder}/${entry.name}`);
  }
  bases.sort((a, b) => a - b);
  const segments: Segment[] = [];
  for (const [index, base] of bases.entries()) {
    const segment = new Segment(folder, base, 0, bases[index + 1] ?? base);
    segment.size = (await stat(segment.path)).size;
    segments.push(segment);
  }
  const last = segments.at(-1);
  if (last === undefined) return { segments, fd: -1, recovery: { tornBytes: 0, holes: [] } };
  const fd = await disk.open(last.path, fs.constants.O_RDWR);
  try {
    const recovery = await recoverSegment(disk, fd, last);
    // Messages that the crashed process had not made durable are handed out from now on: their offsets must stay theirs.
    await disk.fdatasync(fd);
    return { segments, fd, recovery };
  } catch (error) {
    await disk.close(fd);
    throw error;
  }
}

/** Creates an empty segment file, and makes its name durable. */
export async function createSegment(disk: Disk, folder: string, base: number): Promise<{ readonly segment: Segment; readonly fd: number }> {
  const segment = new Segment(folder, base, 0, base);
  const fd = await disk.open(segment.path, fs.constants.O_CREAT | fs.constants.O_RDWR | fs.constants.O_TRUNC);
  try {
    await disk.syncFolder(folder);
    return { segment, fd };
  } catch (error) {
    await disk.close(fd);
    throw error;
  }
}
