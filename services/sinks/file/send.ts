import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import type { Log } from '../../../core/log.ts';
import { classify, errnoOf } from './classify.ts';
import { pathOf } from './file-names.ts';
import { type Manifest, type ManifestEntry, syncFolder } from './manifest.ts';

/** What is known behind a write. */
export type Written = Pick<ManifestEntry, 'last' | 'nextEvent'> & { readonly events: number };

const maxBlocks = 512;

/** The file of one partition that is written to. One call at a time. */
export class PartitionFile {
  readonly #dir: string;
  readonly #partition: number;
  readonly #manifest: Manifest;
  readonly #log: Log;
  #entry: ManifestEntry;
  #handle: FileHandle | undefined;
  /** Bytes may stand behind the durable length. */
  #torn = false;

  /** @param entry What is durable, or, for a partition without a file, the number before its first one. */
  constructor(dir: string, partition: number, manifest: Manifest, entry: ManifestEntry, log: Log) {
    this.#dir = dir;
    this.#partition = partition;
    this.#manifest = manifest;
    this.#entry = entry;
    this.#log = log;
  }

  /** Number of the file and its durable length. */
  get position(): { readonly seq: number; readonly bytes: number } {
    return { seq: this.#entry.file, bytes: this.#entry.bytes };
  }

  /** Appends whole lines; resolved: they and the manifest are durable. Rejected: the file is as it was before. */
  async append(blocks: readonly Uint8Array[], written: Written): Promise<void> {
    const path = pathOf(this.#dir, this.#partition, this.#entry.file);
    const handle = await this.#writable(path);
    const at = this.#entry.bytes;
    try {
      const bytes = await writeAll(handle, blocks, at);
      await handle.datasync();
      const { events, ...rest } = written;
      const entry: ManifestEntry = {
        ...this.#entry,
        ...rest,
        bytes: at + bytes,
        totalEvents: this.#entry.totalEvents + events,
        totalBytes: this.#entry.totalBytes + bytes,
      };
      await this.#manifest.save(this.#partition, entry);
      this.#entry = entry;
    } catch (thrown) {
      this.#torn = true;
      await this.#cut(handle).catch(() => undefined);
      throw classify(thrown, 'write', path);
    }
  }

  /** Goes on in a new, empty file with the next number; resolves with the number of the file before. */
  async rotate(): Promise<number> {
    const before = this.#entry.file;
    const path = pathOf(this.#dir, this.#partition, before + 1);
    const handle = await this.#create(path);
    const entry = { ...this.#entry, file: before + 1, bytes: 0 };
    try {
      await syncFolder(this.#dir);
      await this.#manifest.save(this.#partition, entry);
    } catch (thrown) {
      await handle.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      throw classify(thrown, 'create', path);
    }
    await this.#handle?.close().catch(() => undefined);
    this.#handle = handle;
    this.#entry = entry;
    this.#torn = false;
    return before;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** The open file, whole to its durable length. A file that somebody deleted is not written on. */
  async #writable(path: string): Promise<FileHandle> {
    try {
      this.#handle ??= await open(path, 'r+');
      if ((await this.#handle.stat()).nlink === 0) throw Object.assign(new Error('deleted'), { code: 'ENOENT' });
      if (this.#torn) await this.#cut(this.#handle);
      return this.#handle;
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') throw classify(thrown, 'open', path);
    }
    this.#log.warn({ code: 'FILE_DELETED', path, bytes: this.#entry.bytes }, 'the current event file was deleted; going on in a new one');
    await this.rotate();
    return this.#handle as FileHandle;
  }

  async #cut(handle: FileHandle): Promise<void> {
    await handle.truncate(this.#entry.bytes);
    this.#torn = false;
  }

  /** A new file. What stands in its place is not the sink's, and is moved aside. */
  async #create(path: string): Promise<FileHandle> {
    for (;;) {
      try {
        return await open(path, 'wx+', 0o640);
      } catch (thrown) {
        const errno = errnoOf(thrown);
        if (errno === 'ENOENT') await this.#makeFolder();
        else if (errno !== 'EEXIST') throw classify(thrown, 'create', path);
        else await setAside(path, this.#log);
      }
    }
  }

  async #makeFolder(): Promise<void> {
    this.#log.warn({ code: 'FILE_FOLDER_DELETED', dir: this.#dir }, 'the folder of the event files was deleted; making it anew');
    await mkdir(this.#dir, { recursive: true, mode: 0o750 }).catch((thrown: unknown) =>
      Promise.reject(classify(thrown, 'make the folder', this.#dir)),
    );
  }
}

/** Renames a file that the manifest does not know to `<name>.orphan`, `<name>.orphan-2` and so on. */
export async function setAside(path: string, log: Log): Promise<void> {
  for (let number = 1; ; number++) {
    const aside = number === 1 ? `${path}.orphan` : `${path}.orphan-${number}`;
    try {
      await (await open(aside, 'wx')).close();
      await rename(path, aside);
      log.warn({ code: 'FILE_MOVED_ASIDE', path, aside }, 'a file the manifest does not know was moved aside');
      return;
    } catch (thrown) {
      if (errnoOf(thrown) !== 'EEXIST') throw classify(thrown, 'move aside', path);
    }
  }
}

async function writeAll(handle: FileHandle, blocks: readonly Uint8Array[], position: number): Promise<number> {
  let rest = blocks.length > maxBlocks ? [Buffer.concat(blocks)] : [...blocks];
  let written = 0;
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest, position + written);
    written += bytesWritten;
    while (rest[0] !== undefined && bytesWritten >= rest[0].length) {
      bytesWritten -= rest[0].length;
      rest = rest.slice(1);
    }
    if (rest[0] !== undefined && bytesWritten > 0) rest[0] = rest[0].subarray(bytesWritten);
  }
  return written;
}
