/** Exponential backoff with full jitter: attempt n waits a random time below min(maxMs, initialMs * 2^n). */
export interface BackoffPolicy {
  readonly initialMs: number;
  readonly maxMs: number;
}

/** How long to wait before the attempt after `attempt` failures (0 = the first has failed), in ms. */
export function backoffMs(attempt: number, policy: BackoffPolicy, random: () => number = Math.random): number {
  return random() * Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(attempt, 52));
}

/** Waits. Rejects with the signal's reason as soon as it aborts, and leaves no timer behind. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

export interface RetryOptions extends BackoffPolicy {
  readonly signal: AbortSignal;
  /** Whether the failure may pass by itself; others are thrown. */
  retryable(thrown: unknown): boolean;
  /** Called before each wait. */
  failed?(thrown: unknown, attempt: number, waitMs: number): void;
}

/** Calls the action until it succeeds, fails for good, or the signal aborts. */
export async function retry<Result>(action: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    options.signal.throwIfAborted();
    try {
      return await action();
    } catch (thrown) {
      if (options.signal.aborted || !options.retryable(thrown)) throw thrown;
      const waitMs = backoffMs(attempt, options);
      options.failed?.(thrown, attempt, waitMs);
      await sleep(waitMs, options.signal);
    }
  }
}
