import { AppError, messageOf } from '../../core/app-error.ts';
import { bounded } from './bounded.ts';
import { sinkError } from './errors.ts';
import type { DeliveryCounters } from './metrics.ts';
import type { OpenedSink } from './registry.ts';
import type { Batch, Sink } from './sink.ts';

/** What became of one event that was sent once more. */
export interface ReplayOutcome {
  /** Undefined: it is in the store. */
  readonly error: AppError | undefined;
  /** It may be in the store twice; with an error: it may be there. */
  readonly isDoubtful: boolean;
}

/**
 * Sends a batch to a store once, without waiting for it to recover: an outcome for each of `batch.items`, in their order.
 * Before that, and where no answer came, the store is asked which of them it holds.
 * @param signal a deadline: what has no answer by then is doubtful
 */
export async function replayOnce(
  name: string,
  opened: OpenedSink | undefined,
  batch: Batch,
  counters: DeliveryCounters,
  signal: AbortSignal,
): Promise<ReplayOutcome[]> {
  const all = (error: AppError, isDoubtful = false): ReplayOutcome[] => Array.from(batch.items, () => ({ error, isDoubtful }));
  if (opened === undefined) return all(sinkError('SINK_NOT_OPEN', { sink: name }));
  const { sink, maxBytes } = opened;
  // It would take the old origin for its newest.
  if (sink.delivered !== undefined) return all(sinkError('SINK_TAKES_NO_REPLAY', { sink: name }));
  try {
    const held = await sink.find?.(batch, signal);
    const outcomes: ReplayOutcome[] = Array.from(batch.items, () => ({ error: undefined, isDoubtful: false }));
    const missing = [...outcomes.keys()].filter((item) => held?.has(batch.view.id(batch.items[item])) !== true);
    counters.foundEvents += outcomes.length - missing.length;
    for (const item of missing) outcomes[item] = { error: undefined, isDoubtful: mayBeThere(sink, batch, item, held) };
    if (missing.length > 0) {
      const sent = await send(sink, maxBytes, part(batch, missing), signal);
      for (const [index, outcome] of sent.entries()) if (outcome !== undefined) outcomes[missing[index]] = outcome;
    }
    counters.possiblyDuplicatedEvents += outcomes.filter(({ error, isDoubtful }) => error === undefined && isDoubtful).length;
    return outcomes;
  } catch (thrown) {
    if (signal.aborted) return all(sinkError('SINK_REPLAY_UNANSWERED', { sink: name }, thrown), true);
    if (thrown instanceof AppError) return all(thrown);
    return all(sinkError('SINK_FAILED_UNEXPECTEDLY', { sink: name, cause: messageOf(thrown), pauseSeconds: 30 }, thrown), true);
  }
}

/** Whether the store may hold an event although it did not say so: a replay before may have sent it. */
function mayBeThere(sink: Sink, batch: Batch, item: number, held: ReadonlySet<string> | undefined): boolean {
  if (item >= (batch.possiblyStored ?? 0) || sink.find === undefined) return false;
  return held === undefined || (sink.mayMiss?.(part(batch, [item])) ?? 0) > 0;
}

/** Outcomes of those that were not delivered. */
async function send(sink: Sink, maxBytes: number, batch: Batch, signal: AbortSignal): Promise<(ReplayOutcome | undefined)[]> {
  const outcomes: (ReplayOutcome | undefined)[] = Array(batch.items.length).fill(undefined);
  const { rejected = [], retry, unknown } = await bounded(sink, { maxBytes }).deliver(batch, signal);
  for (const { item, error } of rejected) outcomes[item] = { error, isDoubtful: false };
  for (const item of retry?.items ?? []) outcomes[item] = { error: retry?.cause, isDoubtful: false };
  if (unknown === undefined) return outcomes;
  const held = await sink.find?.(part(batch, unknown.items), signal).catch(() => undefined);
  for (const item of unknown.items)
    if (held?.has(batch.view.id(batch.items[item])) !== true) outcomes[item] = { error: unknown.cause, isDoubtful: true };
  return outcomes;
}

function part({ partition, view, items }: Batch, positions: readonly number[]): Batch {
  return { partition, view, items: Uint32Array.from(positions, (position) => items[position]) };
}
