import { mkdir, readdir, readFile } from 'node:fs/promises';
import { messageOf } from '../app-error.ts';
import type { BusObserver, Commit } from './bus.ts';
import type { Disk } from './disk.ts';
import { busError } from './errors.ts';
import { decodeGroupFile, GroupCommits, groupFileName, MAX_METADATA_BYTES } from './group-commits.ts';
import { checkName } from './topic-folder.ts';

/** The commits of all consumer groups of an embedded log. */
export class GroupFolder {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #commitMs: number;
  readonly #groups = new Map<string, GroupCommits>();
  /** Groups by topic. */
  readonly #joined = new Map<string, Set<string>>();

  private constructor(disk: Disk, folder: string, commitMs: number) {
    this.#disk = disk;
    this.#folder = folder;
    this.#commitMs = commitMs;
  }

  /** Reads the folder, creating it. A file that cannot be read is put aside, reported, and counts as no commit. */
  static async open(disk: Disk, folder: string, commitMs: number, observer: BusObserver): Promise<GroupFolder> {
    await mkdir(folder, { recursive: true });
    const groups = new GroupFolder(disk, folder, commitMs);
    for (const name of await readdir(folder)) {
      if (name.endsWith('.tmp')) await disk.remove(`${folder}/${name}`);
      if (name.endsWith('.json')) await groups.#load(name.slice(0, -'.json'.length), observer);
    }
    return groups;
  }

  get(group: string, topic: string, partition: number): Commit | undefined {
    return this.#groups.get(group)?.get(topic, partition);
  }

  /** A group has a member now: it misses what retention drops, also before its first commit. */
  joined(group: string, topic: string): void {
    let groups = this.#joined.get(topic);
    if (groups === undefined) this.#joined.set(topic, (groups = new Set()));
    groups.add(group);
  }

  /** Names of the groups that read a partition: they have committed in it, or had a member in this process. */
  readersOf(topic: string, partition: number): Set<string> {
    const readers = new Set(this.#joined.get(topic));
    for (const [name, commits] of this.#groups) if (commits.get(topic, partition) !== undefined) readers.add(name);
    return readers;
  }

  /** The furthest offset that any group has committed in a partition. */
  furthest(topic: string, partition: number): number {
    let offset = 0;
    for (const commits of this.#groups.values()) offset = Math.max(offset, commits.get(topic, partition)?.offset ?? 0);
    return offset;
  }

  async commit(group: string, topic: string, partition: number, commit: Commit): Promise<void> {
    const found = Buffer.byteLength(commit.metadata, 'utf8');
    if (found > MAX_METADATA_BYTES) throw busError('BUS_METADATA_TOO_LARGE', { group, found, limit: MAX_METADATA_BYTES });
    let commits = this.#groups.get(group);
    if (commits === undefined) {
      checkName('group', group);
      commits = new GroupCommits(this.#disk, this.#folder, group, this.#commitMs, []);
      this.#groups.set(group, commits);
    }
    await commits.commit(topic, partition, commit);
  }

  /** Rejects what was not written yet. */
  abandon(error: unknown): void {
    for (const commits of this.#groups.values()) commits.abandon(error);
  }

  async flush(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((commits) => commits.flush()));
  }

  async #load(group: string, observer: BusObserver): Promise<void> {
    const path = `${this.#folder}/${groupFileName(group)}`;
    try {
      const entries = decodeGroupFile(await readFile(path, 'utf8'));
      this.#groups.set(group, new GroupCommits(this.#disk, this.#folder, group, this.#commitMs, entries));
    } catch (error) {
      const kept = `${path}.damaged`;
      await this.#disk.rename(path, kept);
      observer.warned?.(busError('BUS_GROUP_FILE', { group, path, cause: messageOf(error), kept }));
    }
  }
}
