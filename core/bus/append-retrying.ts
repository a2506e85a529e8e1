import { AppError } from '../app-error.ts';
import { type Log, LogLimiter } from '../log.ts';
import { retry } from '../retry.ts';
import type { Bus, MessageValue } from './bus.ts';

const limiter = new LogLimiter();

/** Appends for as long as it takes while the bus may recover (a full disk, a broker away). Rejects when the signal aborts or the failure is for good. */
export function appendRetrying(
  bus: Bus,
  topic: string,
  partition: number,
  values: readonly MessageValue[],
  log: Log,
  signal: AbortSignal,
): Promise<number> {
  return retry(() => bus.append(topic, partition, values), {
    initialMs: 50,
    maxMs: 2_000,
    signal,
    retryable: (thrown) => thrown instanceof AppError && thrown.retryable,
    failed(thrown) {
      const error = thrown as AppError;
      // Whatever it is, all partitions of the topic have it.
      limiter.once(`${topic}/${error.code}`, (heldBack) =>
        log.warn({ code: error.code, topic, partition, remedy: error.remedy, heldBack }, error.message),
      );
    },
  });
}
