import { open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../../core/log.ts';
import { classify } from './classify.ts';
import type { FileCounters } from './counters.ts';
import { type EventFile, parseName, pathOf } from './file-names.ts';
import type { Manifest, ManifestEntry } from './manifest.ts';
import { setAside } from './send.ts';
import { tailIds } from './tail.ts';

/** One partition as it was found at start. */
export interface Recovered {
  readonly entry: ManifestEntry;
  /** Ids of the last events in the files, where the manifest does not say which the last one is. */
  readonly tail?: ReadonlySet<string>;
  /** Closed files that are not compressed. */
  readonly closed: readonly string[];
}

/**
 * Brings the folder to what the manifest says: each partition's current file is cut to its durable length. Where the
 * manifest says nothing, or claims more than there is, the files are kept to their last whole line and the ids of
 * the last events are handed back, so that these are not written again. Nothing else is deleted but what a stopped
 * compression left over.
 */
export async function recover(dir: string, manifest: Manifest, counters: FileCounters, log: Log): Promise<Map<number, Recovered>> {
  const files = (await readdir(dir)).map(parseName).filter((file) => file !== undefined);
  const found = new Map<number, Recovered>();
  for (const partition of new Set([...manifest.partitions, ...files.map((file) => file.partition)])) {
    const own = files.filter((file) => file.partition === partition).sort((a, b) => a.seq - b.seq);
    try {
      const recovered = await recoverPartition(dir, partition, own, manifest.entry(partition), counters, log);
      manifest.assume(partition, recovered.entry);
      found.set(partition, recovered);
    } catch (thrown) {
      throw classify(thrown, 'recover the event files in', dir);
    }
  }
  return found;
}

async function recoverPartition(
  dir: string,
  partition: number,
  files: readonly EventFile[],
  entry: ManifestEntry | undefined,
  counters: FileCounters,
  log: Log,
): Promise<Recovered> {
  await removeLeftovers(dir, files);
  const plain = files.filter((file) => file.kind === 'plain' && !files.some((other) => other.kind === 'gzip' && other.seq === file.seq));
  const zipped = files.filter((file) => file.kind === 'gzip');
  if (entry !== undefined) {
    for (const file of plain) {
      if (file.seq <= entry.file) continue;
      const path = join(dir, file.name);
      if ((await stat(path)).size === 0) await rm(path);
      else await setAside(path, log);
    }
    const bytes = await sizeOf(pathOf(dir, partition, entry.file));
    const closed = plain.filter((file) => file.seq < entry.file).map((file) => join(dir, file.name));
    if (bytes >= entry.bytes) {
      await cut(pathOf(dir, partition, entry.file), bytes, entry.bytes, counters, log);
      return { entry, closed };
    }
    log.error(
      { code: 'FILE_END_LOST', partition, file: entry.file, deliveredBytes: entry.bytes, foundBytes: bytes },
      'an event file is shorter than what was delivered to it: its end is lost',
    );
  }
  const known = plain.filter((file) => entry === undefined || file.seq <= entry.file);
  return rebuild(dir, partition, known, zipped, entry, counters, log);
}

async function rebuild(
  dir: string,
  partition: number,
  plain: readonly EventFile[],
  zipped: readonly EventFile[],
  entry: ManifestEntry | undefined,
  counters: FileCounters,
  log: Log,
): Promise<Recovered> {
  const seq = Math.max(0, entry?.file ?? 0, ...plain.map((file) => file.seq), ...zipped.map((file) => file.seq));
  const path = pathOf(dir, partition, seq);
  const isOpen = plain.some((file) => file.seq === seq);
  let bytes = 0;
  if (isOpen) {
    const found = await sizeOf(path);
    bytes = await endOfLines(path, found);
    await cut(path, found, bytes, counters, log);
  }
  const tail = await tailIds([...plain, ...zipped].sort((a, b) => b.seq - a.seq).map((file) => join(dir, file.name)));
  log.warn(
    { code: 'FILE_MANIFEST_INCOMPLETE', partition, file: seq, bytes, events: tail.size },
    'the manifest does not tell the last event: the files stay, and their last events are not written again',
  );
  const closed = plain.filter((file) => file.seq < seq).map((file) => join(dir, file.name));
  return { entry: { file: seq, bytes, totalEvents: entry?.totalEvents ?? 0, totalBytes: entry?.totalBytes ?? 0 }, tail, closed };
}

/** What a compression left that was stopped: half a file, or the plain one beside the whole compressed one. */
async function removeLeftovers(dir: string, files: readonly EventFile[]): Promise<void> {
  for (const file of files) {
    const isDone = file.kind === 'plain' && files.some((other) => other.kind === 'gzip' && other.seq === file.seq);
    if (file.kind === 'partial' || isDone) await rm(join(dir, file.name), { force: true });
  }
}

async function cut(path: string, found: number, bytes: number, counters: FileCounters, log: Log): Promise<void> {
  if (found <= bytes) return;
  await truncate(path, bytes);
  counters.cutBytes += found - bytes;
  log.info({ path, cutBytes: found - bytes, bytes }, 'bytes behind the last delivered event were cut off; their events are written again');
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.size,
    () => -1,
  );
}

/** Length of a file up to its last whole line. */
async function endOfLines(path: string, size: number): Promise<number> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - buffer.length);
      const { bytesRead } = await file.read(buffer, 0, end - start, start);
      const newline = buffer.subarray(0, bytesRead).lastIndexOf(10);
      if (newline >= 0) return start + newline + 1;
      end = start;
    }
    return 0;
  } finally {
    await file.close();
  }
}
