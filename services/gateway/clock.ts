import { messageOf } from '../../core/app-error.ts';
import { appendRetrying } from '../../core/bus/append-retrying.ts';
import type { Bus } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import { type PipelineFiguresBody, topics } from '../../proto/bus.ts';
import { encodeTick } from './raw-encoder.ts';

export interface TickOptions {
  readonly bus: Bus;
  readonly log: Log;
  /** What a partition's tick says of the pipeline. */
  figures(partition: number): PipelineFiguresBody | undefined;
  /** Ends those that wait. */
  readonly signal: AbortSignal;
}

const tickMs = 1_000;

/**
 * Each second: a tick into every raw partition. While the bus takes nothing of one of them its ticks do not queue up; its time
 * goes on when it does, and that of the others meanwhile.
 */
export function startTicks({ bus, log, figures, signal }: TickOptions): NodeJS.Timeout {
  const numbers = new Map<number, number>();
  const waiting = new Set<number>();
  const tick = async (partition: number): Promise<void> => {
    waiting.add(partition);
    try {
      const number = (numbers.get(partition) ?? 0) + 1;
      numbers.set(partition, number);
      await appendRetrying(bus, topics.raw, partition, [encodeTick(number, figures(partition))], log, signal);
    } catch (thrown) {
      log.debug({ partition, cause: messageOf(thrown) }, 'tick not written');
    } finally {
      waiting.delete(partition);
    }
  };
  return setInterval(() => {
    for (let partition = 0; partition < bus.partitions(topics.raw); partition++) if (!waiting.has(partition)) void tick(partition);
  }, tickMs);
}
