import type { AppError } from '../../core/app-error.ts';
import type { EventBatchView } from '../../schema/batch.ts';

/**
 * What became of a batch. Every item that is not named is delivered. Items are named by their position in
 * `batch.items`, each at most once.
 */
export interface Delivery {
  /** Never taken as they are: to the DLQ, each with its reason. */
  readonly rejected?: readonly ItemError[];
  /** Only these again, after the store's own delay if it named one; `smaller`: in requests of half the size. */
  readonly retry?: { readonly items: readonly number[]; readonly cause: AppError; readonly afterMs?: number; readonly smaller?: boolean };
  /** Sent, and no answer came: find() before sending again. */
  readonly unknown?: { readonly items: readonly number[]; readonly cause: AppError };
}

export interface ItemError {
  readonly item: number;
  readonly error: AppError;
}

/** Where an output item came from; strictly increasing within a partition. */
export interface Origin {
  readonly rawOffset: number;
  readonly ordinal: number;
}

/** The last event that is durable in a store. */
export interface StoredOrigin extends Origin {
  /** Its id: tells whether the store was filled from this stream. */
  readonly eventId: string;
}

/** Events of one partition for a sink: the whole of a view, or the part of it that is still to be delivered. */
export interface Batch {
  readonly partition: number;
  readonly view: EventBatchView;
  /** Indices into the view, rising: what is to be delivered. */
  readonly items: Uint32Array;
  /** So many of the first items may be stored already: a delivery before was cut off by a crash. find() before sending them. */
  readonly possiblyStored?: number;
  /**
   * So many of those a life before is known to have begun to send: counted where the store does not tell. The others are a
   * guess: asked for, and not counted. Left out: all of them.
   */
  readonly begun?: number;
}

/** The rows of the view that some positions in `items` stand for. */
export function rowsAt({ items }: Batch, positions: readonly number[]): Uint32Array {
  const rows = new Uint32Array(positions.length);
  for (let index = 0; index < rows.length; index++) rows[index] = items[positions[index]];
  return rows;
}

/** A store. Adapters neither retry nor count: wrappers do (delivery.ts). */
export interface Sink {
  /** Whether the store can be used; rejects with an AppError that says what is wrong. */
  check(signal: AbortSignal): Promise<void>;
  /**
   * Stores a batch; resolved = durable in the store. A rejection means that nothing of the batch was stored (what
   * cannot be known is answered as `unknown`): retryable, it is sent again; otherwise an operator has to mend
   * something, and the sink pauses.
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<Delivery>;
  /**
   * Which of the batch's event ids the store holds. Undefined: it may not be asked, and the batch is sent again. A rejection
   * that is not retryable: an operator has to mend something, and the sink pauses.
   */
  find?(batch: Batch, signal: AbortSignal): Promise<ReadonlySet<string> | undefined>;
  /** How many of these events `find` may not see although the store holds them: sent again, they may be stored twice. */
  mayMiss?(batch: Batch): number;
  /** Last event that is durable in the store, where the store itself knows (files). Such a sink rejects no items. */
  delivered?(partition: number): StoredOrigin | undefined;
  /** What it takes on this machine's disk, where it is files, bytes; undefined: it cannot be measured. */
  diskBytes?(): Promise<number | undefined>;
  /** What the adapter itself counts, by name. */
  readonly counters?: Readonly<Record<string, number>>;
  /** Lets go of everything; a second call does nothing. */
  close(): Promise<void>;
}
