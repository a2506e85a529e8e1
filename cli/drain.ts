import { Deadline } from '../core/deadline.ts';
import type { Collector } from '../services/collector/main.ts';
import type { Pipeline } from './pipeline.ts';

/** A command that is asked to end does so within this time (docs: exit codes 130 and 143). */
export const drainMs = 10_000;

/** What is drained; `view` shows what was drained. */
export interface Drained {
  readonly pipeline: Pick<Pipeline, 'settled' | 'close'>;
  readonly collector?: Pick<Collector, 'close'> | undefined;
  readonly view?: { finish(signal: AbortSignal): Promise<void> } | undefined;
}

/** Ends in the direction of the data, all within one deadline; returns messages that stay in the spool for the next start. */
export async function drain({ pipeline, collector, view }: Drained, deadline = new Deadline(drainMs)): Promise<number> {
  const left = (await collector?.close(deadline.share(0.4))) ?? 0;
  await pipeline.settled(AbortSignal.timeout(deadline.share(0.5)));
  await view?.finish(AbortSignal.timeout(deadline.share(0.5)));
  await pipeline.close(deadline);
  return left;
}
