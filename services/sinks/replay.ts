import { AppError, messageOf } from '../../core/app-error.ts';
import { bounded } from './bounded.ts';
import { sinkError } from './errors.ts';
import type { OpenedSink } from './registry.ts';
import type { Batch } from './sink.ts';

/** What became of one event that was sent once more: undefined = it is in the store. */
export type ReplayOutcome = AppError | undefined;

/**
 * Sends a batch to a store once, without waiting for it to recover: an outcome for each of `batch.items`, in their order.
 * What got no answer is looked up where the store can be asked.
 */
export async function replayOnce(
  name: string,
  opened: OpenedSink | undefined,
  batch: Batch,
  signal: AbortSignal,
): Promise<ReplayOutcome[]> {
  const outcomes: ReplayOutcome[] = Array(batch.items.length).fill(undefined);
  if (opened === undefined) return outcomes.fill(sinkError('SINK_NOT_OPEN', { sink: name }));
  const { sink, maxBytes } = opened;
  // It would take the old origin for its newest.
  if (sink.delivered !== undefined) return outcomes.fill(sinkError('SINK_TAKES_NO_REPLAY', { sink: name }));
  try {
    const { rejected = [], retry, unknown } = await bounded(sink, { maxBytes }).deliver(batch, signal);
    for (const { item, error } of rejected) outcomes[item] = error;
    for (const item of retry?.items ?? []) outcomes[item] = retry?.cause;
    const held = unknown === undefined ? undefined : await sink.find?.(batch, signal).catch(() => undefined);
    for (const item of unknown?.items ?? []) if (!held?.has(batch.view.id(batch.items[item]))) outcomes[item] = unknown?.cause;
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof AppError) return outcomes.fill(thrown);
    return outcomes.fill(sinkError('SINK_FAILED_UNEXPECTEDLY', { sink: name, cause: messageOf(thrown), pauseSeconds: 30 }, thrown));
  }
  return outcomes;
}
