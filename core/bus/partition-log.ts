import type { AppError } from '../app-error.ts';
import { type AppendCall, AppendQueue, encodeGroup, frameBytes } from './append-queue.ts';
import type { BusObserver, LogStats, MessageValue, TopicSpec } from './bus.ts';
import { DamageRecord } from './damage-record.ts';
import type { Disk } from './disk.ts';
import { busError, diskError } from './errors.ts';
import { HEADER_BYTES } from './frame.ts';
import { openPartitionFiles, type PartitionFiles } from './partition-files.ts';
import { bytesOf, capBytes, segmentCapBytes, segmentsToDrop } from './retention.ts';
import type { Segment } from './segment.ts';
import { SegmentFiles } from './segment-files.ts';
import type { Unflushed } from './unflushed.ts';

/** What a partition needs to know. */
export interface PartitionOptions {
  readonly disk: Disk;
  readonly topic: TopicSpec;
  readonly partition: number;
  readonly folder: string;
  readonly commitMs: number;
  /** Waiting bytes that are written without waiting for `commitMs`. */
  readonly commitBytes: number;
  /** Bytes that may wait to be written. */
  readonly maxPendingBytes: number;
  readonly segmentBytes: number;
  /** First offset that may be given out: never below what a group has committed. */
  readonly minNext: number;
  readonly observer: BusObserver;
  /** Retention has dropped a segment of a `retain: 'oldest'` topic. */
  readonly dropped: (segment: Segment) => void;
}

/** Fill and bounds of one partition. */
export interface PartitionStats extends LogStats {
  readonly segments: number;
}

/** One partition: what was appended, what may be read, who waits for more. */
export class PartitionLog {
  readonly #options: PartitionOptions;
  readonly #maxBytes: number;
  readonly #files: SegmentFiles;
  readonly #queue: AppendQueue;
  readonly #damage = new DamageRecord();
  readonly #waiters = new Set<() => void>();
  #next: number;
  /** Messages below are covered by a checkpoint. Told again by their owner after a start. */
  #floor = 0;
  #commits = 0;
  #closing: Promise<void> | undefined;
  #closed = false;

  private constructor(options: PartitionOptions, files: PartitionFiles, maxBytes: number) {
    const { disk, folder, commitMs, commitBytes, minNext, segmentBytes } = options;
    this.#options = options;
    this.#maxBytes = maxBytes;
    this.#files = new SegmentFiles(disk, folder, segmentCapBytes(segmentBytes, maxBytes), files);
    this.#queue = new AppendQueue({ commitMs, commitBytes, write: (group) => this.#write(group) });
    this.#next = Math.max(files.segments.at(-1)?.end ?? 0, minNext);
  }

  /** Opens a partition's folder, creating it, and recovers from a crash. */
  static async open(options: PartitionOptions): Promise<PartitionLog> {
    const { disk, folder, topic, partition, observer } = options;
    const files = await openPartitionFiles(disk, folder);
    const log = new PartitionLog(options, files, await capBytes(folder, topic.maxBytes, bytesOf(files.segments)));
    const { tornBytes, holes } = files.recovery;
    if (tornBytes > 0) observer.lost?.({ topic: topic.name, partition, reason: 'torn_tail', messages: 0, bytes: tornBytes });
    for (const hole of holes) log.damaged(hole.from, hole.to);
    const end = files.segments.at(-1)?.end ?? log.next;
    if (log.next > end) log.damaged(end, log.next);
    return log;
  }

  /** Offset that the next message will get. */
  get next(): number {
    return this.#next;
  }

  /** First offset that can still be read. */
  get earliest(): number {
    return this.#files.all[0]?.base ?? this.#next;
  }

  get closed(): boolean {
    return this.#closed;
  }

  stats(): PartitionStats {
    const { topic, partition } = this.#options;
    const { bytes, all } = this.#files;
    const { earliest, next } = this;
    const { pendingBytes } = this.#queue;
    return {
      topic: topic.name,
      partition,
      bytes,
      maxBytes: this.#maxBytes,
      earliest,
      next,
      segments: all.length,
      pendingBytes,
      commits: this.#commits,
    };
  }

  /** See Bus.append. */
  append(values: readonly MessageValue[]): Promise<number> {
    const bytes = frameBytes(values);
    const refusal = this.#refusal(bytes);
    return refusal === undefined ? this.#queue.push(values, bytes) : Promise.reject(refusal);
  }

  /** Moves the floor below which retention may delete. */
  checkpointed(offset: number): void {
    this.#floor = Math.max(this.#floor, offset);
  }

  /** Counts a range of unreadable offsets, once however often it is met. */
  damaged(from: number, to: number): void {
    const { topic, partition, observer } = this.#options;
    const messages = this.#damage.add(from, to);
    if (messages > 0) observer.lost?.({ topic: topic.name, partition, reason: 'damaged', messages, bytes: 0 });
  }

  /** The segment that holds an offset, or the first one behind the gap in which it lies; undefined at the end of the log. */
  segmentOf(offset: number): Segment | undefined {
    return this.#files.all.find((segment) => segment.end > offset);
  }

  /** Resolves when an offset is appended, the signal aborts, or the log closes. */
  async reached(offset: number, signal: AbortSignal | undefined): Promise<void> {
    while (this.#next <= offset && !this.#closed && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiters.add(wake);
        signal?.addEventListener('abort', wake);
      });
    }
  }

  /** Writes what is pending, ends the readers, closes the file. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What waits for durability, to be told. */
  get unflushed(): Unflushed {
    return { topic: this.#options.topic.name, messages: this.#queue.pendingMessages, bytes: this.#queue.pendingBytes };
  }

  /** Ends while it closes, without what the disk has not taken yet. */
  abandon(): void {
    this.#queue.abandon(busError('BUS_CLOSED'));
    this.#closed = true;
    this.#wake();
  }

  async #close(): Promise<void> {
    await this.#queue.drain();
    this.#closed = true;
    this.#wake();
    await this.#files.close();
  }

  #refusal(bytes: number): AppError | undefined {
    const { topic, partition, maxPendingBytes } = this.#options;
    const where = { topic: topic.name, partition };
    if (this.#closing !== undefined) return busError('BUS_CLOSED');
    const { pendingBytes } = this.#queue;
    if (pendingBytes > 0 && pendingBytes + bytes > maxPendingBytes) {
      return busError('BUS_BUSY', { ...where, found: pendingBytes, limit: maxPendingBytes });
    }
    if (topic.retain === 'oldest') return undefined;
    const excess = this.#files.bytes + pendingBytes + bytes + HEADER_BYTES - this.#maxBytes;
    const freed = bytesOf(this.#files.all.slice(0, segmentsToDrop(this.#files.all, excess, this.#floor)));
    return freed >= excess ? undefined : busError('BUS_FULL', { ...where, found: this.#files.bytes, limit: this.#maxBytes });
  }

  /** Writes one group of the queue, and answers its callers. */
  async #write(calls: readonly AppendCall[]): Promise<void> {
    const { topic, folder, observer } = this.#options;
    try {
      const group = encodeGroup(calls, this.#next);
      await this.#makeRoom(group.bytes);
      await this.#files.append(group);
      this.#next = group.next;
      this.#commits++;
      let offset = group.first;
      for (const call of calls) {
        call.resolve(offset);
        offset += call.values.length;
      }
      this.#wake();
      observer.appended?.(topic.name, group.next - group.first, group.bytes);
    } catch (error) {
      const failure = diskError('write', folder, error);
      for (const call of calls) call.reject(failure);
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    const { topic, dropped } = this.#options;
    const newestWins = topic.retain === 'oldest';
    if (topic.deleteCheckpointed === true) await this.#files.drop(Number.POSITIVE_INFINITY, this.#floor).removed;
    const excess = this.#files.bytes + bytes - this.#maxBytes;
    const { segments, removed } = this.#files.drop(excess, newestWins ? Number.POSITIVE_INFINITY : this.#floor);
    if (newestWins) for (const segment of segments) dropped(segment);
    await removed;
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
