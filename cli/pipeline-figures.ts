import type { Commit, LogStats } from '../core/bus/bus.ts';
import { type PipelineFiguresBody, type QueueFiguresBody, topics } from '../proto/bus.ts';
import { aggregatorGroup } from '../services/aggregator/main.ts';
import { decodeReport } from '../services/aggregator/report.ts';
import type { GatewayMetrics } from '../services/gateway/metrics.ts';
import { sinkGroup } from '../services/sinks/pipeline.ts';
import { decodePosition } from '../services/sinks/position.ts';
import type { PipelineBus } from './bus.ts';

/** Where figures are read from, and their bounds. */
export interface FigureSources {
  readonly bus: Pick<PipelineBus, 'stats' | 'position'>;
  /** Sinks that are told in any case; the others as soon as they have committed. */
  readonly ownSinks: () => readonly string[];
  /** Sinks that other processes may run. */
  readonly otherSinks: readonly string[];
  /** Under which name the gateway's queue is told: those of several are told apart. */
  readonly gatewayQueue: () => string;
  readonly maxHeldBytes: number;
}

/**
 * What is known of a partition's pipeline, for ticks and metrics. All but the gateway's own queue is read from what groups have
 * committed, and their commits say besides how far they came: so it is the same in every process, whoever runs the hops.
 */
export function pipelineFigures(sources: FigureSources): (partition: number, gateway: GatewayMetrics) => PipelineFiguresBody {
  return (partition, gateway) => {
    const { bus, maxHeldBytes } = sources;
    const aggregator = bus.position(aggregatorGroup, topics.raw, partition);
    const report = decodeReport(aggregator?.metadata ?? '');
    const logs = bus.stats(partition);
    const sinks = sinksOf(partition, sources);
    const queues: QueueFiguresBody[] = [
      { queue: 'raw', ...unread(logs, topics.raw, aggregator) },
      ...sinks.map(({ name, commit }) => ({ queue: `events/${name}`, ...unread(logs, topics.events, commit) })),
      { queue: 'held', depthBytes: report?.heldBytes ?? 0, capacityBytes: maxHeldBytes },
      { queue: sources.gatewayQueue(), depthBytes: gateway.queuedBytes, capacityBytes: gateway.queueCapacityBytes },
    ];
    // Of what nobody has told nothing is told: 0 would look as if its totals began anew.
    const dispositions = sinks.flatMap(({ name, commit }) => {
      const position = decodePosition(commit?.metadata ?? '');
      return position === undefined ? [] : [{ name, counts: position.dispositions }];
    });
    return {
      queues,
      deadLetters: [
        ...(report === undefined ? [] : [{ name: 'aggregator', total: report.refusedMessages }]),
        ...dispositions.map(({ name, counts }) => ({ name, total: counts.rejected + counts.undecodableMessages })),
      ],
      lostEvents: dispositions.map(({ name, counts }) => ({ name, total: Object.values(counts.lost).reduce((sum, n) => sum + n, 0) })),
      stateLost: report?.stateLost ?? false,
    };
  };
}

function sinksOf(partition: number, { bus, ownSinks, otherSinks }: FigureSources): { name: string; commit: Commit | undefined }[] {
  const own = ownSinks();
  return [...new Set([...own, ...otherSinks])]
    .map((name) => ({ name, commit: bus.position(sinkGroup(name), topics.events, partition) }))
    .filter(({ name, commit }) => commit !== undefined || own.includes(name));
}

/** A log is kept up to its cap; what fills it is what somebody still needs. All messages are taken for equally large. */
function unread(logs: readonly LogStats[], topic: string, commit: Commit | undefined): { depthBytes: number; capacityBytes: number } {
  const log = logs.find((one) => one.topic === topic);
  if (log === undefined) return { depthBytes: 0, capacityBytes: 0 };
  const { bytes, maxBytes, earliest, next } = log;
  const lag = Math.max(0, next - Math.max(earliest, commit?.offset ?? earliest));
  return { depthBytes: next > earliest ? Math.round((bytes * lag) / (next - earliest)) : 0, capacityBytes: maxBytes };
}
