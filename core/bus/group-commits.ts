import { crc32c } from '../crc32c.ts';
import type { Commit } from './bus.ts';
import { type Disk, replaceFile } from './disk.ts';
import { diskError } from './errors.ts';

/** Metadata of one commit, bytes of UTF-8. */
export const MAX_METADATA_BYTES = 4096;

interface Entry extends Commit {
  readonly topic: string;
  readonly partition: number;
}

interface Waiter {
  readonly entry: Entry;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Commits of one consumer group: one small file, replaced as a whole, at most once every `commitMs`. */
export class GroupCommits {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #name: string;
  readonly #commitMs: number;
  /** What the file holds, by topic and partition. */
  #durable: ReadonlyMap<string, Entry>;
  #waiting: Waiter[] = [];
  #writing: readonly Waiter[] = [];
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastWriteAt = 0;

  constructor(disk: Disk, folder: string, name: string, commitMs: number, entries: readonly Entry[]) {
    this.#disk = disk;
    this.#folder = folder;
    this.#name = name;
    this.#commitMs = commitMs;
    this.#durable = new Map(entries.map((entry) => [key(entry.topic, entry.partition), entry]));
  }

  get(topic: string, partition: number): Commit | undefined {
    const entry = this.#durable.get(key(topic, partition));
    return entry === undefined ? undefined : { offset: entry.offset, metadata: entry.metadata };
  }

  /** Durable when resolved. A lower offset than before is taken as it is: the group wants to read again. */
  commit(topic: string, partition: number, commit: Commit): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry: { topic, partition, offset: commit.offset, metadata: commit.metadata }, resolve, reject });
      this.#schedule();
    });
  }

  /** Rejects what waits, and what is being written. */
  abandon(error: unknown): void {
    for (const { reject } of [...this.#writing, ...this.#waiting.splice(0)]) reject(error);
  }

  /** Writes everything that waits. Never rejects: each commit's own promise does. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#running !== undefined) await this.#start();
  }

  #schedule(): void {
    if (this.#running !== undefined) return;
    const waitMs = this.#lastWriteAt + this.#commitMs - performance.now();
    if (waitMs > 0) this.#timer ??= setTimeout(() => void this.#start(), waitMs);
    else void this.#start();
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running ??= this.#write().finally(() => {
      this.#running = undefined;
      if (this.#waiting.length > 0) this.#schedule();
    });
    return this.#running;
  }

  async #write(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#lastWriteAt = performance.now();
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#writing = waiting;
    const entries = new Map(this.#durable);
    for (const { entry } of waiting) entries.set(key(entry.topic, entry.partition), entry);
    try {
      await replaceFile(this.#disk, this.#folder, groupFileName(this.#name), encodeGroupFile([...entries.values()]));
      this.#durable = entries;
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      const path = `${this.#folder}/${groupFileName(this.#name)}`;
      for (const { reject } of waiting) reject(diskError('write', path, error));
    }
    this.#writing = [];
  }
}

/** File name of a group's commits. */
export function groupFileName(group: string): string {
  return `${group}.json`;
}

function encodeGroupFile(entries: readonly Entry[]): string {
  const commits = JSON.stringify(entries);
  return `{"version":1,"crc32c":${crc32c(Buffer.from(commits, 'utf8'))},"commits":${commits}}\n`;
}

/** Reads what `encodeGroupFile` wrote; throws an Error that says what is wrong with it. */
export function decodeGroupFile(text: string): Entry[] {
  const file = JSON.parse(text) as { version?: unknown; crc32c?: unknown; commits?: unknown } | null;
  if (file === null || file.version !== 1 || !Array.isArray(file.commits)) throw new Error('it is not a file of commits, version 1');
  if (file.crc32c !== crc32c(Buffer.from(JSON.stringify(file.commits), 'utf8'))) throw new Error('its checksum does not match');
  return file.commits as Entry[];
}

function key(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
