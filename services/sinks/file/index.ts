import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../../core/log.ts';
import type { SinkDefinition } from '../registry.ts';
import type { Batch, Delivery, Sink, StoredOrigin } from '../sink.ts';
import { classify } from './classify.ts';
import { Compressor } from './compress.ts';
import { fileSinkSchema } from './config.ts';
import { type FileCounters, newFileCounters } from './counters.ts';
import { pathOf } from './file-names.ts';
import { folderBytes } from './folder-bytes.ts';
import { Manifest } from './manifest.ts';
import { type Recovered, recover } from './recover.ts';
import { retain } from './retain.ts';
import { PartitionFile } from './send.ts';

export interface FileSinkOptions {
  /** Folder of the files; made if it is not there. It belongs to one process. */
  readonly dir: string;
  readonly maxFileBytes: number;
  /** Files kept per partition. */
  readonly maxFiles: number;
  readonly gzip: boolean;
  readonly log: Log;
}

/** The file sink for the registry. */
export const fileSink: SinkDefinition<typeof fileSinkSchema> = {
  schema: fileSinkSchema,
  async open({ dir, maxFileSize, maxFiles, gzip }, { dataDir, log }) {
    const sink = await openFileSink({ dir: dir ?? join(dataDir, 'events'), maxFileBytes: maxFileSize, maxFiles, gzip, log });
    return { sink, maxBytes: maxFileSize };
  },
};

/** Opens the folder, brings it to what the manifest says, and goes on behind the last delivered event. */
export async function openFileSink(options: FileSinkOptions): Promise<FileSink> {
  const { dir, log } = options;
  const counters = newFileCounters();
  await mkdir(dir, { recursive: true, mode: 0o750 }).catch((thrown: unknown) => Promise.reject(classify(thrown, 'make the folder', dir)));
  const { manifest, state, problem } = await Manifest.read(dir);
  if (state === 'damaged')
    log.error(
      { code: 'FILE_MANIFEST_DAMAGED', dir, problem },
      'the manifest of the event files is damaged; it was renamed to manifest.json.damaged',
    );
  const found = await recover(dir, manifest, counters, log);
  return new FileSink(options, manifest, found, counters);
}

/** Events as NDJSON files, one series per partition, each event exactly once. */
export class FileSink implements Sink {
  readonly counters: Readonly<FileCounters>;
  readonly #counters: FileCounters;
  readonly #options: FileSinkOptions;
  readonly #manifest: Manifest;
  readonly #files = new Map<number, PartitionFile>();
  /** Ids of the last events where the manifest was lost, until an event comes that is not among them. */
  readonly #tails = new Map<number, ReadonlySet<string>>();
  readonly #compressor: Compressor;

  constructor(options: FileSinkOptions, manifest: Manifest, found: ReadonlyMap<number, Recovered>, counters: FileCounters) {
    this.#options = options;
    this.#manifest = manifest;
    this.#counters = counters;
    this.counters = counters;
    this.#compressor = new Compressor(options.log, counters);
    for (const [partition, { entry, tail, closed }] of found) {
      this.#files.set(partition, new PartitionFile(options.dir, partition, manifest, entry, options.log));
      if (tail !== undefined && tail.size > 0) this.#tails.set(partition, tail);
      if (options.gzip) for (const path of closed) this.#compressor.add(path);
    }
  }

  async check(): Promise<void> {
    const { dir } = this.#options;
    await access(dir, constants.W_OK | constants.X_OK).catch((thrown: unknown) => Promise.reject(classify(thrown, 'write to', dir)));
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<Delivery> {
    signal.throwIfAborted();
    const items = this.#notInTail(batch);
    if (items.length === 0) return {};
    const blocks = blocksOf(batch, items);
    let bytes = 0;
    for (const block of blocks) bytes += block.length;
    const file = await this.#fileFor(batch.partition, bytes);
    const { view } = batch;
    const row = items[items.length - 1];
    const last = { rawOffset: view.rawOffset(row), ordinal: view.ordinal(row), eventId: view.id(row) };
    await file.append(blocks, { events: items.length, last, nextEvent: view.eventNumber(row) + 1 });
    if (items.length === batch.items.length) this.#tails.delete(batch.partition);
    return {};
  }

  delivered(partition: number): StoredOrigin | undefined {
    return this.#manifest.entry(partition)?.last;
  }

  diskBytes(): Promise<number | undefined> {
    return folderBytes(this.#options.dir);
  }

  /** Resolves when closed files are compressed. */
  idle(): Promise<void> {
    return this.#compressor.idle();
  }

  async close(): Promise<void> {
    await this.#compressor.close();
    for (const file of this.#files.values()) await file.close();
  }

  /** The file to write to, with room for `bytes`: a batch is not cut in two. */
  async #fileFor(partition: number, bytes: number): Promise<PartitionFile> {
    const { dir, log, gzip, maxFileBytes, maxFiles } = this.#options;
    let file = this.#files.get(partition);
    if (file === undefined) {
      file = new PartitionFile(dir, partition, this.#manifest, { file: 0, bytes: 0, totalEvents: 0, totalBytes: 0 }, log);
      this.#files.set(partition, file);
    }
    const { seq, bytes: held } = file.position;
    if (seq === 0) await file.rotate();
    else if (held > 0 && held + bytes > maxFileBytes) {
      const closed = await file.rotate();
      this.#counters.rotations += 1;
      if (gzip) this.#compressor.add(pathOf(dir, partition, closed));
      await retain(dir, partition, maxFiles, this.#counters, log);
    }
    return file;
  }

  #notInTail({ partition, view, items }: Batch): Uint32Array {
    const tail = this.#tails.get(partition);
    if (tail === undefined) return items;
    let held = 0;
    while (held < items.length && tail.has(view.id(items[held]))) held++;
    if (held > 0) this.#options.log.info({ partition, events: held }, 'events that the files held already were not written again');
    return items.subarray(held);
  }
}

/** The lines of the items, in blocks as large as runs of neighbours allow. */
function blocksOf({ view }: Batch, items: Uint32Array): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (let from = 0; from < items.length; ) {
    const first = items[from];
    let to = from + 1;
    while (to < items.length && items[to] === first + to - from) to++;
    blocks.push(...view.blocks(first, first + to - from));
    from = to;
  }
  return blocks;
}
