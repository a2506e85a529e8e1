import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Log } from '../../../core/log.ts';
import { classify, errnoOf } from './classify.ts';
import type { FileCounters } from './counters.ts';
import { syncFolder } from './manifest.ts';

/**
 * Compresses closed files in the background, one at a time, each to `<name>.gz`. At any moment of a crash the plain
 * file or a whole compressed one exists; a half one is called `.gz.tmp`.
 */
export class Compressor {
  readonly #log: Log;
  readonly #counters: FileCounters;
  readonly #closing = new AbortController();
  #queue: Promise<void> = Promise.resolve();

  constructor(log: Log, counters: FileCounters) {
    this.#log = log;
    this.#counters = counters;
  }

  add(path: string): void {
    this.#queue = this.#queue.then(() => this.#compress(path));
  }

  /** Resolves when all that was added is done. */
  idle(): Promise<void> {
    return this.#queue;
  }

  /** Ends at once; what is not done is taken up at the next start. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#queue;
  }

  async #compress(path: string): Promise<void> {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    const partial = `${path}.gz.tmp`;
    try {
      await pipeline(
        createReadStream(path, { highWaterMark: 256 * 1024 }),
        createGzip({ level: 1 }),
        createWriteStream(partial, { mode: 0o640 }),
        { signal },
      );
      const file = await open(partial, 'r+');
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(partial, `${path}.gz`);
      await syncFolder(dirname(path));
      await rm(path);
      this.#counters.compressedFiles += 1;
    } catch (thrown) {
      await rm(partial, { force: true }).catch(() => undefined);
      // Deleted meanwhile by retention, or stopped: nothing to tell.
      if (signal.aborted || errnoOf(thrown) === 'ENOENT') return;
      this.#log.warn({ err: classify(thrown, 'compress', path) }, 'an event file stays uncompressed until the next start');
    }
  }
}
