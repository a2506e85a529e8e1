import type { AppError } from '../app-error.ts';
import type { BusObserver, TopicSpec } from './bus.ts';
import { DamageRecord } from './damage-record.ts';
import { busError, diskError } from './errors.ts';
import { type Disk, writeFully } from './disk.ts';
import { encodeGroupEnd, encodeMessageHeader, HEADER_BYTES } from './frame.ts';
import { createSegment, openPartitionFiles } from './partition-files.ts';
import { bytesOf, capBytes, segmentCapBytes, segmentsToDrop } from './retention.ts';
import type { Segment } from './segment.ts';

/** What a partition needs to know. */
export interface PartitionOptions {
  readonly disk: Disk;
  readonly topic: TopicSpec;
  readonly partition: number;
  readonly folder: string;
  readonly commitMs: number;
  /** Bytes waiting that are written without waiting for `commitMs`. */
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
export interface PartitionStats {
  readonly topic: string;
  readonly partition: number;
  /** Bytes on disk, frames included. */
  readonly bytes: number;
  /** Cap in force: the configured one, or less on a small file system. */
  readonly maxBytes: number;
  readonly earliest: number;
  readonly next: number;
  readonly segments: number;
  /** Bytes that wait to be written. */
  readonly pendingBytes: number;
  /** Durable writes since the log was opened. */
  readonly commits: number;
}

interface Pending {
  readonly values: readonly Uint8Array[];
  /** Bytes on disk. */
  readonly bytes: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: unknown) => void;
}

/** The append side of one partition: gathers what all callers append, and makes it durable in groups. */
export class PartitionLog {
  readonly #options: PartitionOptions;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #segments: Segment[];
  readonly #damage = new DamageRecord();
  readonly #waiters = new Set<() => void>();
  #fd: number;
  #next: number;
  /** Messages below are covered by a checkpoint. Told again by their owner after a start. */
  #floor = 0;
  #bytes: number;
  #queue: Pending[] = [];
  #pendingBytes = 0;
  #commits = 0;
  #lastCommitAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Bytes of a failed write may lie behind the last segment's end. */
  #dirty = false;
  #closed = false;

  private constructor(options: PartitionOptions, segments: Segment[], fd: number, maxBytes: number) {
    this.#options = options;
    this.#segments = segments;
    this.#fd = fd;
    this.#maxBytes = maxBytes;
    this.#segmentBytes = segmentCapBytes(options.segmentBytes, maxBytes);
    this.#bytes = bytesOf(segments);
    this.#next = Math.max(segments.at(-1)?.end ?? 0, options.minNext);
  }

  /** Opens a partition's folder, creating it, and recovers from a crash. */
  static async open(options: PartitionOptions): Promise<PartitionLog> {
    const { disk, folder, topic, partition, observer } = options;
    const { segments, fd, recovery } = await openPartitionFiles(disk, folder);
    const log = new PartitionLog(options, segments, fd, await capBytes(folder, topic.maxBytes, bytesOf(segments)));
    if (recovery.tornBytes > 0) {
      observer.lost?.({ topic: topic.name, partition, reason: 'torn_tail', messages: 0, bytes: recovery.tornBytes });
    }
    for (const hole of recovery.holes) log.damaged(hole.from, hole.to);
    const end = segments.at(-1)?.end ?? log.#next;
    if (log.#next > end) log.damaged(end, log.#next);
    return log;
  }

  /** Counts a range of unreadable offsets, once however often it is met. */
  damaged(from: number, to: number): void {
    const { topic, partition, observer } = this.#options;
    const messages = this.#damage.add(from, to);
    if (messages > 0) observer.lost?.({ topic: topic.name, partition, reason: 'damaged', messages, bytes: 0 });
  }

  get next(): number {
    return this.#next;
  }

  get earliest(): number {
    return this.#segments[0]?.base ?? this.#next;
  }

  get closed(): boolean {
    return this.#closed;
  }

  stats(): PartitionStats {
    const { topic, partition } = this.#options;
    const { earliest, next } = this;
    return {
      topic: topic.name, partition, bytes: this.#bytes, maxBytes: this.#maxBytes, earliest, next,
      segments: this.#segments.length, pendingBytes: this.#pendingBytes, commits: this.#commits,
    };
  }

  /** Appends messages; see Bus.append. */
  append(values: readonly Uint8Array[]): Promise<number> {
    const bytes = frameBytes(values);
    const refusal = this.#refusal(bytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#pendingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#queue.push({ values, bytes, resolve, reject });
      this.#schedule();
    });
  }

  /** Moves the floor below which retention may delete. */
  checkpointed(offset: number): void {
    this.#floor = Math.max(this.#floor, offset);
  }

  /** The segment that holds an offset, or the one after the gap in which it lies; undefined at the end of the log. */
  segmentOf(offset: number): Segment | undefined {
    if (offset >= this.#next) return undefined;
    return this.#segments.find((segment) => segment.end > offset);
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

  /** Writes what is pending, wakes the readers, closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#running !== undefined || this.#queue.length > 0) await (this.#running ?? this.#start());
    this.#wake();
    if (this.#fd !== -1) await this.#options.disk.close(this.#fd);
    this.#fd = -1;
  }

  #refusal(bytes: number): AppError | undefined {
    const { topic, partition, maxPendingBytes } = this.#options;
    const where = { topic: topic.name, partition };
    if (this.#closed) return busError('BUS_CLOSED');
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > maxPendingBytes) {
      return busError('BUS_BUSY', { ...where, found: this.#pendingBytes, limit: maxPendingBytes });
    }
    if (topic.retain === 'oldest') return undefined;
    const excess = this.#bytes + this.#pendingBytes + bytes + HEADER_BYTES - this.#maxBytes;
    const droppable = segmentsToDrop(this.#segments, excess, this.#floor);
    const freed = bytesOf(this.#segments.slice(0, droppable));
    return freed >= excess ? undefined : busError('BUS_FULL', { ...where, found: this.#bytes, limit: this.#maxBytes });
  }

  #schedule(): void {
    if (this.#running !== undefined) return;
    const { commitMs, commitBytes } = this.#options;
    const waitMs = this.#pendingBytes >= commitBytes ? 0 : this.#lastCommitAt + commitMs - performance.now();
    if (waitMs > 0) {
      this.#timer ??= setTimeout(() => void this.#start(), waitMs);
      return;
    }
    void this.#start();
  }

  /** Writes groups until the queue is empty or has to wait for its time. Never rejects. */
  #start(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running ??= this.#commitGroup().finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0) this.#schedule();
    });
    return this.#running;
  }

  async #commitGroup(): Promise<void> {
    // Whatever is appended in this turn of the event loop goes into the same group.
    await new Promise((resolve) => setImmediate(resolve));
    this.#lastCommitAt = performance.now();
    const group = this.#takeGroup();
    const bytes = group.reduce((sum, call) => sum + call.bytes, HEADER_BYTES);
    const first = this.#next;
    try {
      const { buffers, next } = encodeGroup(group, first);
      const segment = await this.#prepare(bytes);
      this.#dirty = true;
      await writeFully(this.#options.disk, this.#fd, buffers, bytes, segment.size);
      await this.#options.disk.fdatasync(this.#fd);
      this.#dirty = false;
      segment.grow(bytes, next);
      this.#bytes += bytes;
      this.#next = next;
      this.#commits++;
    } catch (error) {
      const cause = diskError('write', this.#options.folder, error);
      await this.#cutTorn().catch(() => undefined);
      for (const call of group) call.reject(cause);
      return;
    } finally {
      for (const call of group) this.#pendingBytes -= call.bytes;
    }
    let offset = first;
    for (const call of group) {
      call.resolve(offset);
      offset += call.values.length;
    }
    this.#options.observer.appended?.(this.#options.topic.name, this.#next - first, bytes);
    this.#wake();
  }

  #takeGroup(): Pending[] {
    let count = 0;
    for (let bytes = 0; count < this.#queue.length && (count === 0 || bytes + this.#queue[count].bytes <= this.#options.commitBytes * 2); count++) {
      bytes += this.#queue[count].bytes;
    }
    return this.#queue.splice(0, count);
  }

  /** Makes room and returns the segment to write to. */
  async #prepare(bytes: number): Promise<Segment> {
    const { disk, folder } = this.#options;
    await this.#cutTorn();
    const last = this.#segments.at(-1);
    // Offsets are in a row within a segment: after a jump a new one begins.
    if (last === undefined || last.end !== this.#next || (last.size > 0 && last.size + bytes > this.#segmentBytes)) {
      const { segment, fd } = await createSegment(disk, folder, this.#next);
      if (this.#fd !== -1) await disk.close(this.#fd).catch(() => undefined);
      this.#fd = fd;
      if (last !== undefined) last.end = this.#next;
      this.#segments.push(segment);
    }
    await this.#dropOld(bytes);
    return this.#segments[this.#segments.length - 1];
  }

  async #dropOld(bytes: number): Promise<void> {
    const { disk, folder, topic, dropped } = this.#options;
    const floor = topic.retain === 'oldest' ? Number.POSITIVE_INFINITY : this.#floor;
    const old = this.#segments.splice(0, segmentsToDrop(this.#segments, this.#bytes + bytes - this.#maxBytes, floor));
    if (old.length === 0) return;
    for (const segment of old) {
      segment.deleted = true;
      this.#bytes -= segment.size;
      if (topic.retain === 'oldest') dropped(segment);
      await disk.remove(segment.path);
    }
    await disk.syncFolder(folder);
  }

  /** Removes the bytes that a failed write left behind, so that they never look like messages. */
  async #cutTorn(): Promise<void> {
    if (!this.#dirty) return;
    await this.#options.disk.truncate(this.#fd, this.#segments[this.#segments.length - 1].size);
    this.#dirty = false;
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}

/** Bytes that messages take on disk. */
function frameBytes(values: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const value of values) bytes += HEADER_BYTES + value.byteLength;
  return bytes;
}

/** The buffers of one write: a header before each value, and the end of the group. Values are not copied. */
function encodeGroup(group: readonly Pending[], first: number): { readonly buffers: Uint8Array[]; readonly next: number } {
  let count = 0;
  for (const call of group) count += call.values.length;
  const headers = Buffer.allocUnsafe((count + 1) * HEADER_BYTES);
  const buffers: Uint8Array[] = [];
  let offset = first;
  let at = 0;
  for (const call of group) {
    for (const value of call.values) {
      encodeMessageHeader(headers, at, offset++, value);
      buffers.push(headers.subarray(at, at + HEADER_BYTES));
      if (value.byteLength > 0) buffers.push(value);
      at += HEADER_BYTES;
    }
  }
  encodeGroupEnd(headers, at, offset);
  buffers.push(headers.subarray(at));
  return { buffers, next: offset };
}
