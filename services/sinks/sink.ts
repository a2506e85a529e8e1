import type { AppError } from '../../core/app-error.ts';
import type { EventBatchView } from '../../schema/batch.ts';

/** What became of a batch. Every item that is not named is delivered. Items are named by index. */
export interface Delivery {
  /** Never taken as they are: to the DLQ, each with its reason. */
  readonly rejected?: readonly ItemError[];
  /** Only these again, after the store's own delay if it named one. */
  readonly retry?: { readonly items: readonly number[]; readonly cause: AppError; readonly afterMs?: number };
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

/** Events of one partition for a sink: the whole of an EventBatch, or the part of it that is still to be delivered. */
export interface Batch {
  readonly partition: number;
  readonly view: EventBatchView;
  /** Indices into the view, rising: what is to be delivered. */
  readonly items: Uint32Array;
}

/** A store. Adapters neither retry nor count: wrappers do (delivery.ts). */
export interface Sink {
  /** Whether the store can be used; rejects with an AppError that says what is wrong. */
  check(signal: AbortSignal): Promise<void>;
  /** Stores a batch; resolved = durable in the store. Indices in the answer are positions in `batch.items`. */
  deliver(batch: Batch, signal: AbortSignal): Promise<Delivery>;
  /** Which of the batch's event ids the store holds. */
  find?(batch: Batch, signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Last origin that is durable in the store, where the store itself knows (files). */
  delivered?(partition: number): Origin | undefined;
  close(): Promise<void>;
}
