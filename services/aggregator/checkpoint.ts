import { mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AppError } from '../../core/app-error.ts';
import { messageOf } from '../../core/app-error.ts';
import { crc32c } from '../../core/crc32c.ts';
import { aggregatorError } from './errors.ts';
import { type PartitionSnapshot, snapshotVersion } from './partition-state.ts';

/** Where checkpoints are kept: files here, a topic over Kafka. */
export interface CheckpointStore {
  /** Durable when resolved. @param blocks what is too large for one piece: taken one after the other */
  save(partition: number, snapshot: PartitionSnapshot, blocks?: AsyncIterable<Uint8Array>): Promise<void>;
  /** The newest whole one; damaged ones are reported and passed over. */
  load(partition: number): Promise<LoadedCheckpoint & { readonly damaged: readonly AppError[] }>;
}

/** A checkpoint as it was saved; without a snapshot there is none. */
export interface LoadedCheckpoint {
  readonly snapshot: PartitionSnapshot | undefined;
  readonly blocks: readonly Uint8Array[];
}

const magic = 'JSCKPT2\n';
const frameBytes = 8;
const keep = 2;

/**
 * Checkpoints as `<dir>/<partition>/<raw offset, 20 digits>.ckpt`: magic, then frames of length, CRC-32C and bytes: the
 * snapshot as JSON, the blocks; last an empty frame with the number of frames as its sum. The newest two are kept.
 */
export function fileCheckpoints(dir: string): CheckpointStore {
  return {
    async save(partition, snapshot, blocks) {
      const folder = join(dir, String(partition));
      const file = join(folder, `${String(snapshot.rawOffset).padStart(20, '0')}.ckpt`);
      try {
        await mkdir(folder, { recursive: true });
        await writeDurably(file, framesOf(snapshot, blocks));
      } catch (thrown) {
        await rm(`${file}.tmp`, { force: true }).catch(() => undefined);
        const remedy = 'Free space in the data folder.';
        throw aggregatorError('AGGREGATOR_CHECKPOINT_FAILED', { file, cause: messageOf(thrown), remedy }, thrown);
      }
      const old = (await list(folder)).slice(0, -keep);
      await Promise.all(old.map((name) => unlink(join(folder, name))));
    },
    async load(partition) {
      const folder = join(dir, String(partition));
      const damaged: AppError[] = [];
      await removeLeftovers(folder);
      for (const name of (await list(folder)).reverse()) {
        const file = join(folder, name);
        try {
          return { ...decodeFrames(await readFile(file)), damaged };
        } catch (thrown) {
          damaged.push(aggregatorError('AGGREGATOR_CHECKPOINT_DAMAGED', { file, cause: messageOf(thrown) }, thrown));
        }
      }
      return { snapshot: undefined, blocks: [], damaged };
    },
  };
}

/** What a save that was cut short left behind. A disk that refuses keeps it: the next save tells of the disk. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (name.endsWith('.ckpt.tmp')) await rm(join(folder, name), { force: true }).catch(() => undefined);
}

async function list(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.ckpt')).sort();
}

async function writeDurably(file: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(`${file}.tmp`, 'w');
  try {
    for await (const piece of pieces) await handle.writeFile(piece);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.tmp`, file);
  // The name is durable with its folder: what lies below the checkpoint may be deleted next.
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A checkpoint as bytes: see fileCheckpoints. */
export async function* framesOf(snapshot: PartitionSnapshot, blocks: AsyncIterable<Uint8Array> | undefined): AsyncGenerator<Uint8Array> {
  let frames = 1;
  yield Buffer.from(magic, 'latin1');
  yield* frameOf(Buffer.from(JSON.stringify(snapshot)));
  for await (const block of blocks ?? []) {
    frames++;
    yield* frameOf(block);
  }
  yield header(0, frames);
}

function* frameOf(bytes: Uint8Array): Generator<Uint8Array> {
  yield header(bytes.length, crc32c(bytes));
  yield bytes;
}

function header(length: number, sum: number): Buffer {
  const bytes = Buffer.alloc(frameBytes);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt32LE(sum, 4);
  return bytes;
}

/** The checkpoint that `framesOf` made. Throws what is wrong with it. */
export function decodeFrames(bytes: Buffer): LoadedCheckpoint {
  if (bytes.toString('latin1', 0, magic.length) !== magic) throw new Error('it does not start as a checkpoint');
  const frames: Buffer[] = [];
  for (let at = magic.length; at + frameBytes <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const sum = bytes.readUInt32LE(at + 4);
    at += frameBytes;
    if (length === 0) {
      if (sum !== frames.length || at !== bytes.length) throw new Error(`it ends behind ${frames.length} frames, expected ${sum}`);
      const snapshot = JSON.parse(frames[0].toString()) as PartitionSnapshot;
      if (snapshot.version !== snapshotVersion) throw new Error(`it has version ${String(snapshot.version)}, expected ${snapshotVersion}`);
      return { snapshot, blocks: frames.slice(1) };
    }
    const frame = bytes.subarray(at, at + length);
    if (crc32c(frame) !== sum) throw new Error('a checksum does not match');
    frames.push(frame);
    at += length;
  }
  throw new Error(`it has ${bytes.length} bytes and no end`);
}
