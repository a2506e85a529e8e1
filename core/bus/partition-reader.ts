import * as fs from 'node:fs';
import type { Fetch, Hole, Message, ReadOptions } from './bus.ts';
import type { Disk } from './disk.ts';
import { busError, diskError } from './errors.ts';
import type { PartitionLog } from './partition-log.ts';
import type { Segment } from './segment.ts';
import { pushHole, SegmentCursor, type Step } from './segment-cursor.ts';

/** Bytes of one fetch when the reader names no other. */
const DEFAULT_FETCH_BYTES = 1024 * 1024;
/** A smaller buffer would make a read of each frame. */
const MIN_FETCH_BYTES = 4096;

/** Where a reader reads. */
export interface ReadPlace {
  readonly disk: Disk;
  readonly log: PartitionLog;
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
}

interface OpenSegment {
  readonly segment: Segment;
  readonly fd: number;
  readonly cursor: SegmentCursor;
}

/** Reads one partition in order; one reader has one buffer and at most one open file. */
export class PartitionReader {
  readonly #place: ReadPlace;
  readonly #signal: AbortSignal | undefined;
  readonly #until: number;
  readonly #fetchBytes: number;
  #buffer: Buffer | undefined;
  #open: OpenSegment | undefined;
  /** Next offset to hand out. */
  #position: number;

  constructor(place: ReadPlace, options: ReadOptions) {
    this.#place = place;
    this.#signal = options.signal;
    this.#until = options.until ?? Number.MAX_SAFE_INTEGER;
    this.#fetchBytes = Math.max(MIN_FETCH_BYTES, options.maxBytes ?? DEFAULT_FETCH_BYTES);
    this.#position = place.from;
  }

  /** The next fetch; undefined when `until` is reached, the signal aborted, or the log was closed. */
  async next(): Promise<Fetch | undefined> {
    const { log } = this.#place;
    while (this.#position < this.#until && !this.#ended()) {
      if (this.#position >= log.next) {
        await log.reached(this.#position, this.#signal);
        continue;
      }
      const fetch = await this.#fetch();
      if (fetch !== undefined) return fetch;
    }
    return undefined;
  }

  /** Lets go of the open file. Not while `next` runs. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) await this.#place.disk.close(open.fd);
  }

  #ended(): boolean {
    return this.#place.log.closed || this.#signal?.aborted === true;
  }

  async #fetch(): Promise<Fetch | undefined> {
    const { log } = this.#place;
    const holes: Hole[] = [];
    if (this.#position < log.earliest) {
      await this.close();
      const to = Math.min(log.earliest, this.#until);
      holes.push({ from: this.#position, to, reason: 'retention' });
      this.#position = to;
      return this.#told([], holes);
    }
    const found = log.segmentOf(this.#position);
    if (found === undefined) {
      // The end of the log was lost, and only a group's commit tells how far it went.
      holes.push({ from: this.#position, to: Math.min(log.next, this.#until), reason: 'damaged' });
      this.#position = holes[0].to;
      return this.#told([], holes);
    }
    const open = await this.#opened(found);
    if (open === undefined) return undefined;
    const { segment, cursor } = open;
    // Taken before the read: the writer moves both while it runs.
    const { size, end } = segment;
    const from = this.#position;
    const to = Math.min(this.#until, end);
    const step = await this.#step(open, size, from, to);
    for (const hole of step.holes) pushHole(holes, hole.from, hole.to);
    this.#position = Math.max(from, Math.min(cursor.expected, to));
    if (cursor.exhausted(size)) {
      if (this.#position < to) pushHole(holes, this.#position, to);
      // A damaged end is passed: what is appended behind it is looked for anew.
      if (this.#position < to || cursor.tail.kind !== 'whole') await this.close();
      this.#position = to;
    }
    for (const hole of holes) log.damaged(hole.from, hole.to);
    return step.messages.length === 0 && holes.length === 0 ? undefined : this.#told(step.messages, holes);
  }

  async #step({ segment, cursor }: OpenSegment, size: number, from: number, to: number): Promise<Step> {
    if (cursor.exhausted(size)) return { messages: [], holes: [] };
    try {
      return await cursor.step(size, from, to);
    } catch (error) {
      throw diskError('read', segment.path, error);
    }
  }

  #told(messages: readonly Message[], holes: readonly Hole[]): Fetch {
    const { topic, partition } = this.#place;
    return { topic, partition, messages, next: this.#position, holes };
  }

  /** The segment, open; undefined when retention was faster, and the position has to be looked at again. */
  async #opened(segment: Segment): Promise<OpenSegment | undefined> {
    if (this.#open?.segment === segment) return this.#open;
    await this.close();
    let fd: number;
    try {
      fd = await this.#place.disk.open(segment.path, fs.constants.O_RDONLY);
    } catch (error) {
      if (segment.deleted) return undefined;
      throw diskError('open', segment.path, error);
    }
    this.#buffer ??= Buffer.allocUnsafeSlow(this.#fetchBytes);
    this.#open = { segment, fd, cursor: new SegmentCursor(this.#place.disk, fd, this.#buffer, segment.placeOf(this.#position)) };
    return this.#open;
  }
}

/** A reader as the bus hands it out; its file is closed when the loop over it ends. */
export async function* readPartition(place: ReadPlace, options: ReadOptions): AsyncGenerator<Fetch, void, undefined> {
  const { log, topic, partition, from } = place;
  if (from > log.next) throw busError('BUS_OFFSET', { what: 'start', found: from, topic, partition, next: log.next });
  const reader = new PartitionReader(place, options);
  try {
    for (let fetch = await reader.next(); fetch !== undefined; fetch = await reader.next()) yield fetch;
  } finally {
    await reader.close();
  }
}
