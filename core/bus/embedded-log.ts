import { mkdir } from 'node:fs/promises';
import { Deadline, endsWithin } from '../deadline.ts';
import { isSystemError } from '../system-error.ts';
import { valueBytes } from './append-queue.ts';
import type { Bus, BusObserver, Commit, ConsumeOptions, Consumer, Fetch, MessageValue, ReadOptions, TopicSpec } from './bus.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { type Disk, localDisk } from './disk.ts';
import { busError, diskError } from './errors.ts';
import { MAX_MESSAGE_BYTES } from './frame.ts';
import { GroupFolder } from './group-folder.ts';
import { GroupMember } from './group-member.ts';
import { PartitionLog, type PartitionStats } from './partition-log.ts';
import { readPartition } from './partition-reader.ts';
import { missedMessages } from './retention.ts';
import type { Segment } from './segment.ts';
import { checkName, checkSpec, openTopicFolder } from './topic-folder.ts';
import { tellUnflushed } from './unflushed.ts';

/** Sizes and times of an embedded log. */
export interface EmbeddedLogOptions {
  /** Folder of the log; one process at a time (core/lock.ts). */
  readonly dir: string;
  readonly topics: readonly TopicSpec[];
  readonly observer?: BusObserver;
  /** At most one durable write of a partition in this time. Default 20 ms. */
  readonly commitMs?: number;
  /** Size at which a segment is closed; at most a quarter of the topic's cap. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** Waiting bytes of a partition that are written at once, without waiting for `commitMs`. Default 4 MiB. */
  readonly commitBytes?: number;
  /** Bytes of a partition that may wait to be written; beyond, appends are refused with BUS_BUSY. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** For tests. */
  readonly disk?: Disk;
}

/** Of a close without one. */
const defaultGraceMs = 10_000;

interface Topic {
  readonly spec: TopicSpec;
  readonly partitions: PartitionLog[];
}

/**
 * Opens the bus of one process: each partition a row of segment files, each group a file of commits.
 * Checkpoints (Bus.checkpointed) are not stored here: their owner tells them again after a start.
 * Rejects with BUS_DISK_FULL or BUS_IO when the disk refuses.
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  try {
    return await openFolder(options);
  } catch (thrown) {
    throw isSystemError(thrown) ? diskError('open', options.dir, thrown) : thrown;
  }
}

async function openFolder(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const { dir, observer = {}, commitMs = 20, disk = localDisk, segmentBytes = 16 * 1024 * 1024 } = options;
  const { commitBytes = 4 * 1024 * 1024, maxPendingBytes = 64 * 1024 * 1024 } = options;
  for (const spec of options.topics) checkSpec(spec);
  await mkdir(dir, { recursive: true });
  const groups = await GroupFolder.open(disk, `${dir}/groups`, commitMs, observer);
  const topics = new Map<string, Topic>();
  try {
    for (const spec of options.topics) {
      const folder = await openTopicFolder(disk, dir, spec, observer);
      const topic: Topic = { spec, partitions: [] };
      topics.set(spec.name, topic);
      for (let partition = 0; partition < spec.partitions; partition++) {
        const minNext = groups.furthest(spec.name, partition);
        const dropped = (segment: Segment): void => tellMissed(groups, observer, spec.name, partition, segment);
        topic.partitions.push(
          await PartitionLog.open({
            disk,
            topic: spec,
            partition,
            folder: `${folder}/${partition}`,
            commitMs,
            commitBytes,
            maxPendingBytes,
            segmentBytes,
            minNext,
            observer,
            dropped,
          }),
        );
      }
    }
    await disk.syncFolder(dir);
  } catch (error) {
    await Promise.all([...topics.values()].flatMap((topic) => topic.partitions).map((log) => log.close()));
    throw error;
  }
  return new EmbeddedLog(disk, topics, groups, observer);
}

/** The embedded log: the bus of one process, in files. */
export class EmbeddedLog implements Bus {
  readonly #disk: Disk;
  readonly #topics: ReadonlyMap<string, Topic>;
  readonly #commits: GroupFolder;
  readonly #observer: BusObserver;
  readonly #groups = new Map<string, ConsumerGroup>();
  readonly #members = new Set<GroupMember>();
  #closing: Promise<void> | undefined;

  constructor(disk: Disk, topics: ReadonlyMap<string, Topic>, commits: GroupFolder, observer: BusObserver) {
    this.#disk = disk;
    this.#topics = topics;
    this.#commits = commits;
    this.#observer = observer;
  }

  partitions(topic: string): number {
    return this.#topic(topic).spec.partitions;
  }

  /** Fill and bounds of every partition, or of those of one number. */
  stats(only?: number): PartitionStats[] {
    return [...this.#topics.values()].flatMap(({ partitions }) =>
      (only === undefined ? partitions : partitions.slice(only, only + 1)).map((log) => log.stats()),
    );
  }

  /** See Bus.append. The values must not change until it resolves: they are written from where they are. */
  async append(topic: string, partition: number, values: readonly MessageValue[]): Promise<number> {
    const log = this.#partition(topic, partition);
    for (const value of values) {
      const byteLength = valueBytes(value);
      if (byteLength > MAX_MESSAGE_BYTES) throw busError('BUS_MESSAGE_TOO_LARGE', { topic, found: byteLength, limit: MAX_MESSAGE_BYTES });
    }
    return log.append(values);
  }

  async offsets(topic: string, partition: number): Promise<{ readonly earliest: number; readonly next: number }> {
    const { earliest, next } = this.#partition(topic, partition);
    return { earliest, next };
  }

  /** See Bus.read. A start beyond the end of the log is BUS_OFFSET. */
  read(topic: string, partition: number, from: number, options: ReadOptions): AsyncIterable<Fetch> {
    const log = this.#partition(topic, partition);
    return readPartition({ disk: this.#disk, log, topic, partition, from }, options);
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    this.#refuseClosed();
    const { group: name, topic } = options;
    checkName('group', name);
    const key = `${name}/${topic}`;
    const group = this.#groups.get(key) ?? this.#newGroup(name, topic);
    this.#groups.set(key, group);
    const member = new GroupMember(group, options);
    this.#members.add(member);
    const forget = (): void => void this.#members.delete(member);
    member.finished.then(forget, forget);
    this.#commits.joined(name, topic);
    group.join(member);
    return member;
  }

  async committed(group: string, topic: string, partition: number): Promise<Commit | undefined> {
    this.#partition(topic, partition);
    return this.#commits.get(group, topic, partition);
  }

  /** What a group has committed, as far as it is known without asking anybody: here all of it. */
  position(group: string, topic: string, partition: number): Commit | undefined {
    return this.#commits.get(group, topic, partition);
  }

  /** See Bus.commit. A lower offset than before is taken as it is, as Kafka does. */
  async commit(group: string, topic: string, partition: number, commit: Commit): Promise<void> {
    this.#refuseClosed();
    await this.#commit(group, topic, partition, commit);
  }

  async checkpointed(topic: string, partition: number, offset: number): Promise<void> {
    this.#partition(topic, partition).checkpointed(offset);
  }

  close(graceMs = defaultGraceMs): Promise<void> {
    this.#closing ??= this.#close(new Deadline(graceMs));
    return this.#closing;
  }

  async #close(deadline: Deadline): Promise<void> {
    const left = Promise.all([...this.#members].map((member) => member.close(deadline.share(0.5))));
    await endsWithin(left, deadline.share(0.8));
    const logs = [...this.#topics.values()].flatMap((topic) => topic.partitions);
    const flushed = Promise.all(logs.map((log) => log.close())).then(() => this.#commits.flush());
    if (await endsWithin(flushed, deadline.leftMs)) {
      await flushed;
      return;
    }
    tellUnflushed(
      logs.map(({ unflushed }) => unflushed),
      this.#observer,
    );
    for (const log of logs) log.abandon();
    this.#commits.abandon(busError('BUS_CLOSED'));
  }

  async #commit(group: string, topic: string, partition: number, commit: Commit): Promise<void> {
    const { next } = this.#partition(topic, partition);
    // A position beyond the end would move the end when the log is opened again.
    if (!Number.isSafeInteger(commit.offset) || commit.offset < 0 || commit.offset > next) {
      throw busError('BUS_OFFSET', { what: 'commit', found: commit.offset, topic, partition, next });
    }
    await this.#commits.commit(group, topic, partition, commit);
  }

  #newGroup(name: string, topic: string): ConsumerGroup {
    return new ConsumerGroup(name, topic, {
      partitions: this.partitions(topic),
      read: (partition, from, options) => this.read(topic, partition, from, options),
      offsets: (partition) => this.#partition(topic, partition),
      committed: (partition) => this.#commits.get(name, topic, partition),
      commit: (partition, commit) => this.#commit(name, topic, partition, commit),
      warned: (warning) => this.#observer.warned?.(warning),
    });
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw busError('BUS_TOPIC', { topic: name, expected: [...this.#topics.keys()].join(', ') });
    return topic;
  }

  #partition(topic: string, partition: number): PartitionLog {
    const { partitions } = this.#topic(topic);
    const log = partitions[partition];
    if (log === undefined) throw busError('BUS_PARTITION', { topic, found: partition, last: partitions.length - 1 });
    return log;
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw busError('BUS_CLOSED');
  }
}

/** Retention took a segment: each group that had not read all of it is told what it missed. */
function tellMissed(groups: GroupFolder, observer: BusObserver, topic: string, partition: number, segment: Segment): void {
  for (const group of groups.readersOf(topic, partition)) {
    const messages = missedMessages(segment.base, segment.end, groups.get(group, topic, partition)?.offset);
    if (messages === 0) continue;
    const bytes = Math.round((segment.size * messages) / (segment.end - segment.base));
    observer.lost?.({ topic, partition, reason: 'retention', group, messages, bytes });
  }
}
