import { setMaxListeners } from 'node:events';

/** A signal that aborts with the first of some others. */
export interface JoinedSignal {
  readonly signal: AbortSignal;
  /** Lets go of the others: nothing of it stays with them. */
  release(): void;
}

/**
 * As AbortSignal.any, for work that is shorter than a signal that it hangs on: Node.js keeps an entry for each signal that was
 * made by `any` in the ones that it was made of, for as long as those live.
 */
export function joinSignals(...signals: readonly (AbortSignal | undefined)[]): JoinedSignal {
  const joined = new AbortController();
  const sources = signals.filter((signal) => signal !== undefined);
  const release = (): void => {
    for (const source of sources) source.removeEventListener('abort', abort);
  };
  const abort = (): void => {
    release();
    joined.abort(sources.find(({ aborted }) => aborted)?.reason);
  };
  for (const source of sources) source.addEventListener('abort', abort, { once: true });
  if (sources.some(({ aborted }) => aborted)) abort();
  return { signal: joined.signal, release };
}

/** For a signal that as many things hang on at once as there are partitions: Node.js warns of a leak from 11 on. */
export function sharedAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
