import { OffsetBytes, SeenBytes } from './offset-bytes.ts';

/** What is known of a partition. */
export interface WatchedLog {
  readonly earliest: number;
  readonly next: number;
  readonly bytes: OffsetBytes;
}

class WatchedPartition implements WatchedLog {
  earliest = 0;
  next = 0;
  readonly bytes: OffsetBytes;
  /** Whether a broker has told its bounds. */
  isKnown = false;
  /** Offset behind what was written and read since a broker was last asked for the bounds. */
  seenNext = 0;

  constructor(topic: SeenBytes) {
    this.bytes = new OffsetBytes(topic);
  }
}

interface WatchedTopic {
  readonly seen: SeenBytes;
  readonly partitions: Map<number, WatchedPartition>;
}

/** Bounds of the logs, and the size of what they hold: by what brokers told, and by what this process wrote and read. */
export class WatchedLogs {
  readonly #topics = new Map<string, WatchedTopic>();

  /** Undefined: no broker has told its bounds yet. */
  log(topic: string, partition: number): WatchedLog | undefined {
    const found = this.#topics.get(topic)?.partitions.get(partition);
    return found?.isKnown === true ? found : undefined;
  }

  /** Bytes of what this process wrote and read of a log, be its bounds known or not. */
  seenBytes(topic: string, partition: number): number {
    return this.#partition(topic, partition).bytes.seenBytes;
  }

  /** Whether the size of any message of a topic is known. */
  isSeen(topic: string): boolean {
    return !this.#topic(topic).seen.isEmpty;
  }

  /** A range was written or read by this process. @param bytes at the broker */
  seen(topic: string, partition: number, from: number, to: number, bytes: number): void {
    const log = this.#partition(topic, partition);
    log.seenNext = Math.max(log.seenNext, to);
    log.next = Math.max(log.next, to);
    log.bytes.note(from, to, bytes);
  }

  /** A broker is about to be asked for the bounds: what is seen from now on may be newer than its answer. */
  asked(topic: string, partition: number): void {
    this.#partition(topic, partition).seenNext = 0;
  }

  /** What the broker answered. An end that went back is that of another log than before: the topic was made anew. */
  told(topic: string, partition: number, earliest: number, next: number): void {
    const log = this.#partition(topic, partition);
    log.isKnown = true;
    log.earliest = earliest;
    log.next = Math.max(next, log.seenNext);
    if (log.bytes.end > log.next) log.bytes.clear();
    log.bytes.trim(earliest);
  }

  #partition(topic: string, partition: number): WatchedPartition {
    const { partitions, seen } = this.#topic(topic);
    const found = partitions.get(partition) ?? new WatchedPartition(seen);
    partitions.set(partition, found);
    return found;
  }

  #topic(topic: string): WatchedTopic {
    const found = this.#topics.get(topic) ?? { seen: new SeenBytes(), partitions: new Map() };
    this.#topics.set(topic, found);
    return found;
  }
}
