import { mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AppError } from '../../core/app-error.ts';
import { messageOf } from '../../core/app-error.ts';
import { crc32c } from '../../core/crc32c.ts';
import { aggregatorError } from './errors.ts';
import { type PartitionSnapshot, snapshotVersion } from './partition-state.ts';

/** Where checkpoints are kept: files here, a topic over Kafka. */
export interface CheckpointStore {
  /** Durable when resolved. */
  save(partition: number, snapshot: PartitionSnapshot): Promise<void>;
  /** The newest whole one; damaged ones are reported and passed over. */
  load(partition: number): Promise<{ snapshot: PartitionSnapshot | undefined; damaged: readonly AppError[] }>;
}

const magic = 'JSCKPT1\n';
const headerBytes = magic.length + 8;
const keep = 2;

/** Checkpoints as `<dir>/<partition>/<raw offset, 20 digits>.ckpt`: magic, length, CRC-32C, JSON. The newest two are kept. */
export function fileCheckpoints(dir: string): CheckpointStore {
  return {
    async save(partition, snapshot) {
      const folder = join(dir, String(partition));
      const file = join(folder, `${String(snapshot.rawOffset).padStart(20, '0')}.ckpt`);
      try {
        await mkdir(folder, { recursive: true });
        await writeDurably(file, encode(snapshot));
      } catch (thrown) {
        await rm(`${file}.tmp`, { force: true }).catch(() => undefined);
        throw aggregatorError('AGGREGATOR_CHECKPOINT_FAILED', { file, cause: messageOf(thrown) }, thrown);
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
          return { snapshot: decode(await readFile(file)), damaged };
        } catch (thrown) {
          damaged.push(aggregatorError('AGGREGATOR_CHECKPOINT_DAMAGED', { file, cause: messageOf(thrown) }, thrown));
        }
      }
      return { snapshot: undefined, damaged };
    },
  };
}

/** What a save that was cut short left behind. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (name.endsWith('.ckpt.tmp')) await rm(join(folder, name), { force: true });
}

async function list(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.ckpt')).sort();
}

async function writeDurably(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(`${file}.tmp`, 'w');
  try {
    await handle.writeFile(bytes);
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

function encode(snapshot: PartitionSnapshot): Buffer {
  const body = Buffer.from(JSON.stringify(snapshot));
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 'latin1');
  header.writeUInt32LE(body.length, magic.length);
  header.writeUInt32LE(crc32c(body), magic.length + 4);
  return Buffer.concat([header, body]);
}

function decode(bytes: Buffer): PartitionSnapshot {
  if (bytes.length < headerBytes || bytes.toString('latin1', 0, magic.length) !== magic)
    throw new Error('it does not start as a checkpoint');
  const length = bytes.readUInt32LE(magic.length);
  if (bytes.length !== headerBytes + length) throw new Error(`it has ${bytes.length} bytes, expected ${headerBytes + length}`);
  const body = bytes.subarray(headerBytes);
  if (crc32c(body) !== bytes.readUInt32LE(magic.length + 4)) throw new Error('its checksum does not match');
  const snapshot = JSON.parse(body.toString()) as PartitionSnapshot;
  if (snapshot.version !== snapshotVersion) throw new Error(`it has version ${String(snapshot.version)}, expected ${snapshotVersion}`);
  return snapshot;
}
