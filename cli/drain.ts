import type { ControlServer } from '../core/control.ts';
import { Deadline } from '../core/deadline.ts';
import type { Collector } from '../services/collector/main.ts';
import type { Sinks } from '../services/sinks/main.ts';
import type { Waiting } from './left-behind.ts';
import type { Pipeline } from './pipeline.ts';

/** A command that is asked to end does so within this time (docs: exit codes 130 and 143). */
export const drainMs = 10_000;

/** What is drained; `view` shows what was drained. */
export interface Drained {
  readonly pipeline: Pick<Pipeline, 'settled' | 'close'>;
  readonly collector?: Pick<Collector, 'close'> | undefined;
  readonly view?: { finish(signal: AbortSignal): Promise<void> } | undefined;
}

/** What stays for the next start. */
export interface Left {
  /** Messages in the spool. */
  readonly spooledMessages: number;
  /** On the bus, by who waits for it; undefined: the bus does not answer. */
  readonly waiting: readonly Waiting[] | undefined;
}

/** Ends what is asked of this process. A replay of dead letters settles what its store answers in a while, and leaves no claim open. */
export async function endRequests(control: ControlServer, sinks: Pick<Sinks, 'stopReplays'>, deadline: Deadline): Promise<void> {
  if (await control.close(deadline.share(0.2))) return;
  sinks.stopReplays();
  await control.close(deadline.share(0.2));
}

/** Ends in the direction of the data, all within one deadline; returns what stays behind. */
export async function drain({ pipeline, collector, view }: Drained, deadline = new Deadline(drainMs)): Promise<Left> {
  const spooledMessages = (await collector?.close(deadline.share(0.4))) ?? 0;
  await pipeline.settled(AbortSignal.timeout(deadline.share(0.5)));
  await view?.finish(AbortSignal.timeout(deadline.share(0.5)));
  return { spooledMessages, waiting: await pipeline.close(deadline) };
}
