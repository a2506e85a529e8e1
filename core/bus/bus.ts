import type { AppError } from '../app-error.ts';

/**
 * The bus: named topics of ordered, durable partitions, and groups of consumers that remember how far they came.
 * Two adapters keep this contract under one suite (contract.ts): the embedded log and Kafka.
 *
 * Offsets are counted per partition from 0, safe integers, and never reused. They rise by one a message, but a
 * reader may see holes: a message that was damaged, or dropped by retention, is skipped, and the holes are told.
 */
export interface Bus {
  /** Number of partitions of a topic. */
  partitions(topic: string): number;
  /**
   * Appends messages to one partition, in order. Resolves with the first one's offset once all are durable.
   * Calls for one partition take effect in the order in which they were made, and never interleave.
   * Rejects with BUS_FULL (retryable) when the topic refuses at its cap; then none of the messages was appended.
   */
  append(topic: string, partition: number, values: readonly MessageValue[]): Promise<number>;
  /** First offset that can still be read, and the offset the next message will get. */
  offsets(topic: string, partition: number): Promise<{ readonly earliest: number; readonly next: number }>;
  /**
   * Reads one partition from an offset on, without a group. Ends at `until` (exclusive); without it, waits for
   * more until the signal aborts. An offset below the earliest starts at the earliest, with the hole told.
   */
  read(topic: string, partition: number, from: number, options: ReadOptions): AsyncIterable<Fetch>;
  /** Joins a consumer group. One `handle` call at a time per partition. */
  consume(options: ConsumeOptions): Promise<Consumer>;
  /** What a group has committed, or undefined. */
  committed(group: string, topic: string, partition: number): Promise<Commit | undefined>;
  /** Durable when resolved. For producers that keep their position beside the topic (the gateway); consumers use theirs. */
  commit(group: string, topic: string, partition: number, commit: Commit): Promise<void>;
  /** Messages below this offset are no longer needed to rebuild state: retention of `retain: 'checkpoint'` topics may delete them. */
  checkpointed(topic: string, partition: number, offset: number): Promise<void>;
  /**
   * Ends consumers and readers, flushes what was appended, lets go of files and locks, all within `graceMs` and a moment. Appends
   * that are not durable by then are rejected with BUS_CLOSED, though they may become so, and told (BusObserver.warned).
   */
  close(graceMs?: number): Promise<void>;
}

/** Bytes of one message, in one piece or in several that follow each other: a header before bytes that somebody else made needs no copy. */
export type MessageValue = Uint8Array | readonly Uint8Array[];

/** A topic as the service needs it. */
export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /** Cap of one partition in bytes. */
  readonly maxBytes: number;
  /**
   * What happens at the cap. `checkpoint`: only messages below the newest checkpoint go, else appends are
   * refused. `oldest`: the oldest go, counted for each group that had not read them.
   */
  readonly retain: 'checkpoint' | 'oldest';
  /**
   * The group whose commits are the checkpoints, where another process than the one that appends writes them (Kafka): what
   * lies above counts against the cap. Without it such a log has none there.
   */
  readonly checkpointGroup?: string;
  /** Messages below the newest checkpoint go as soon as their segment is full, not only at the cap: for a spool. Default false. */
  readonly deleteCheckpointed?: boolean;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Read up to, not including. */
  readonly until?: number;
  /** Bytes of one fetch, about. Default 1 MiB; one message always fits. */
  readonly maxBytes?: number;
}

export interface Message {
  readonly offset: number;
  /** Valid until the next fetch is asked for: copy what is kept. */
  readonly value: Uint8Array;
}

/** Some messages of one partition, in order. */
export interface Fetch {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly Message[];
  /** Offset after the fetch: what to commit once it is done with. */
  readonly next: number;
  /** Offsets between the fetch before and `next` that hold no readable message. */
  readonly holes: readonly Hole[];
}

/** A range of offsets that cannot be read. */
export interface Hole {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** `damaged`: the bytes do not match their checksum. `retention`: deleted before this reader came. */
  readonly reason: 'damaged' | 'retention';
}

/** A group's position in one partition. */
export interface Commit {
  /** Next offset to read. */
  readonly offset: number;
  /** Anything the group wants back, at most 4 KiB. */
  readonly metadata: string;
}

export interface ConsumeOptions {
  readonly group: string;
  readonly topic: string;
  /**
   * Called when a partition is given to this member, before its first fetch. Says where to start; default: the
   * committed offset, else the earliest.
   */
  assigned?(partition: number, committed: Commit | undefined): Promise<number | undefined>;
  /** One fetch. The next one of this partition comes after the promise resolved. A rejection stops the consumer: see `failed`. */
  handle(fetch: Fetch, signal: AbortSignal): Promise<void>;
  /** A partition is taken away or the consumer closes; `handle` has ended or was aborted. */
  revoked?(partition: number): Promise<void>;
  readonly maxBytes?: number;
}

export interface Consumer {
  /** Records the group's position; durable when resolved. */
  commit(partition: number, commit: Commit): Promise<void>;
  /** Messages appended and not yet committed, per assigned partition. */
  lag(): Promise<ReadonlyMap<number, number>>;
  /** Rejects when `handle` rejected; resolves at close. */
  readonly finished: Promise<void>;
  /**
   * Lets the running `handle` end (up to `graceMs`, then aborts its signal), then leaves the group. What does not end even then is
   * left behind.
   */
  close(graceMs?: number): Promise<void>;
}

/** Fill and bounds of one partition's log. */
export interface LogStats {
  readonly topic: string;
  readonly partition: number;
  /** Bytes on disk; over Kafka those of what can still be read, about. */
  readonly bytes: number;
  /** Cap in force: the configured one, or less on a small file system. */
  readonly maxBytes: number;
  readonly earliest: number;
  readonly next: number;
  /** Bytes that wait to be written. */
  readonly pendingBytes: number;
  /** Durable writes since the bus was opened. */
  readonly commits: number;
}

/** What a bus counts. The owner turns it into metrics. */
export interface BusObserver {
  /** Messages cut, skipped or dropped, by reason: torn_tail (bytes), damaged, retention (with the group that missed them). */
  lost?(loss: {
    topic: string;
    partition: number;
    reason: 'torn_tail' | 'damaged' | 'retention';
    group?: string;
    messages: number;
    bytes: number;
  }): void;
  /** Durable appends. */
  appended?(topic: string, messages: number, bytes: number): void;
  /** Something was found or repaired that an operator should know of (a file of commits that cannot be read). */
  warned?(warning: AppError): void;
}
