/** A stream of messages that wait for durability. */
export interface BudgetedStream {
  /** Bytes of it that wait. */
  readonly queuedBytes: number;
  pause(): void;
  resume(): void;
}

/** A share is used up to this part before a stream that was paused goes on. */
const resumeShare = 0.5;

/**
 * The memory of all streams together. Each raw partition has an equal part of its own, whether it has streams or not: what waits
 * for partitions that stand still is never taken from those that do not.
 */
export class MemoryBudget {
  readonly #parts: readonly PartitionBudget[];

  /** @param maxStreamBytes of one stream, however few there are */
  constructor(maxBytes: number, maxStreamBytes: number, partitions: number) {
    this.#parts = Array.from({ length: partitions }, () => new PartitionBudget(Math.floor(maxBytes / partitions), maxStreamBytes));
  }

  part(partition: number): PartitionBudget {
    return this.#parts[partition];
  }

  /** What the streams that are there may hold. */
  get capacityBytes(): number {
    const used = this.#parts.filter(({ streams }) => streams > 0);
    return (used.length === 0 ? this.#parts.slice(0, 1) : used).reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  }

  /** Bytes of all streams that wait. */
  get queuedBytes(): number {
    return this.#parts.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
  }
}

/**
 * The memory of the streams of one partition. Each may use the same share of it; when all of it is used none of them reads on,
 * however little of it is his: what is above it then is one message of each stream at most.
 */
export class PartitionBudget {
  readonly #maxBytes: number;
  readonly #maxStreamBytes: number;
  /** In the order in which they go on. */
  readonly #paused = new Set<BudgetedStream>();
  readonly #streams = new Set<BudgetedStream>();
  #bytes = 0;

  /** @param maxStreamBytes of one stream, however few there are */
  constructor(maxBytes: number, maxStreamBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxStreamBytes = Math.min(maxStreamBytes, maxBytes);
  }

  /** What the streams that are there may hold. */
  get capacityBytes(): number {
    return Math.min(this.#maxBytes, this.#maxStreamBytes * Math.max(1, this.#streams.size));
  }

  /** Bytes of all streams that wait. */
  get queuedBytes(): number {
    return this.#bytes;
  }

  get streams(): number {
    return this.#streams.size;
  }

  join(stream: BudgetedStream): void {
    this.#streams.add(stream);
    if (this.#bytes >= this.#maxBytes) this.#pause(stream);
  }

  leave(stream: BudgetedStream): void {
    this.#streams.delete(stream);
    this.#paused.delete(stream);
    this.#goOn();
  }

  /** A message of the stream waits now. */
  took(stream: BudgetedStream, bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= this.#maxBytes) for (const one of this.#streams) this.#pause(one);
    else if (stream.queuedBytes >= this.#shareBytes) this.#pause(stream);
  }

  /** Some of a stream, which may have left, waits no more. */
  gave(bytes: number): void {
    this.#bytes -= bytes;
    this.#goOn();
  }

  get #shareBytes(): number {
    return Math.min(this.#maxStreamBytes, this.#maxBytes / Math.max(1, this.#streams.size));
  }

  #pause(stream: BudgetedStream): void {
    if (this.#paused.has(stream)) return;
    this.#paused.add(stream);
    stream.pause();
  }

  /** Who waited longest first, as many as there are free shares; who holds much of his own waits on. */
  #goOn(): void {
    let freeBytes = this.#maxBytes - this.#bytes;
    for (const stream of [...this.#paused]) {
      if (freeBytes <= 0) return;
      if (stream.queuedBytes > resumeShare * this.#shareBytes) continue;
      freeBytes -= this.#shareBytes;
      this.#paused.delete(stream);
      stream.resume();
    }
  }
}
