import { type PipelineFiguresBody, type QueueFiguresBody, topics } from '../proto/bus.ts';
import type { Aggregator } from '../services/aggregator/main.ts';
import type { GatewayMetrics } from '../services/gateway/metrics.ts';
import type { Sinks } from '../services/sinks/main.ts';

import type { PipelineBus } from './bus.ts';

/** A lost state is told for this long behind the start. */
const toldStateLostMs = 60_000;

/** The hops that figures are read from, and their bounds. */
export interface FigureSources {
  readonly bus: PipelineBus;
  readonly aggregator: Aggregator;
  readonly sinks: Sinks;
  /** Bytes of one stream that may wait for durability. */
  readonly maxInFlightBytes: number;
  readonly maxHeldBytes: number;
}

/** Reads what the process knows of a partition's pipeline, for its ticks. */
export function pipelineFigures(sources: FigureSources): (partition: number, gateway: GatewayMetrics) => Promise<PipelineFiguresBody> {
  const startedMs = performance.now();
  return async (partition, gateway) => {
    const { aggregator, sinks } = sources;
    const state = aggregator.partitions().get(partition);
    // Of a partition that is another process's nothing is told: 0 would look as if its totals began anew.
    const ofSinks = sinks.stats().flatMap(({ sink, partitions }) => {
      const counts = partitions.get(partition);
      return counts === undefined ? [] : [{ name: sink, counts }];
    });
    return {
      queues: await queuesOf(partition, sources, gateway),
      deadLetters: [
        ...(state === undefined ? [] : [{ name: 'aggregator', total: state.dispositions.refusedMessages }]),
        ...ofSinks.map(({ name, counts }) => ({ name, total: counts.rejected + counts.undecodableMessages })),
      ],
      lostEvents: ofSinks.map(({ name, counts }) => ({ name, total: Object.values(counts.lost).reduce((sum, n) => sum + n, 0) })),
      stateLost: aggregator.statesLost().has(partition) && performance.now() - startedMs < toldStateLostMs,
    };
  };
}

async function queuesOf(
  partition: number,
  { bus, aggregator, sinks, ...bounds }: FigureSources,
  { queuedBytes, streams }: GatewayMetrics,
): Promise<QueueFiguresBody[]> {
  const unread = (topic: string, lag: number): { depthBytes: number; capacityBytes: number } => {
    const { bytes, maxBytes, earliest, next } = bus.stats().find((log) => log.topic === topic && log.partition === partition) ?? noLog;
    // A log is kept up to its cap; what fills it is what somebody still needs. All messages are taken for equally large.
    return { depthBytes: next > earliest ? Math.round((bytes * lag) / (next - earliest)) : 0, capacityBytes: maxBytes };
  };
  const uncheckpointed = (await aggregator.uncheckpointed()).get(partition) ?? 0;
  const queues: QueueFiguresBody[] = [{ queue: 'raw', ...unread(topics.raw, uncheckpointed) }];
  for (const [sink, lags] of await sinks.lag())
    queues.push({ queue: `events/${sink}`, ...unread(topics.events, lags.get(partition) ?? 0) });
  const heldBytes = aggregator.partitions().get(partition)?.heldBytes ?? 0;
  queues.push({ queue: 'held', depthBytes: heldBytes, capacityBytes: bounds.maxHeldBytes });
  queues.push({ queue: 'gateway', depthBytes: queuedBytes, capacityBytes: bounds.maxInFlightBytes * Math.max(1, streams) });
  return queues;
}

const noLog = { bytes: 0, maxBytes: 0, earliest: 0, next: 0 };
