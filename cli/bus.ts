import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { AppError } from '../core/app-error.ts';
import type { Bus, BusObserver, Commit, LogStats, TopicSpec } from '../core/bus/bus.ts';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { deadLetterGroup } from '../core/dead-letter-box.ts';
import { type Log, LogLimiter } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { aggregatorGroup } from '../services/aggregator/main.ts';
import { sinkGroup } from '../services/sinks/pipeline.ts';
import { sinkRegistry } from '../services/sinks/registry.ts';
import type { Config } from './config.ts';

/** The bus that a configuration names. */
export interface PipelineBus extends Bus {
  /**
   * Fill and bounds of each partition's log; over Kafka as they were a moment ago, empty before that.
   * @param only of the partitions of this number
   */
  stats(only?: number): LogStats[];
  /** What one of `knownGroups` has committed; over Kafka a moment ago. */
  position(group: string, topic: string, partition: number): Commit | undefined;
  /** Why it cannot be worked with now. */
  readonly problem?: AppError | undefined;
}

/** Messages that the bus lost. */
export interface BusLoss {
  readonly topic: string;
  readonly reason: string;
  /** The consumer group that never got them; empty: nobody did. */
  readonly group: string;
  messages: number;
  bytes: number;
}

/** Sinks that read events. */
export const eventSinks: readonly string[] = Object.keys(sinkRegistry);

/** Groups of which everybody may know how far they came. */
const knownGroups = eventSinks.map((sink) => ({ group: sinkGroup(sink), topic: topics.events }));

export interface OpenBusOptions {
  readonly log: Log;
  readonly observer?: BusObserver;
  /** Ends the wait for a cluster that does not answer. */
  readonly signal?: AbortSignal;
}

/** Opens the bus: the logs of a data folder whose lock is held, or the topics of a cluster. */
export async function openBus(config: Config, dataDir: string, { log, observer, signal }: OpenBusOptions): Promise<PipelineBus> {
  const observed = observer === undefined ? {} : { observer };
  if (config.bus.type === 'embedded')
    return openEmbeddedLog({ dir: join(dataDir, 'bus'), topics: topicSpecs(config, 1), commitMs: config.bus.commitInterval, ...observed });
  const { kafka } = config.bus;
  const specs = topicSpecs(config, kafka.partitions);
  const state = { name: topics.state, partitions: kafka.partitions, maxBytes: config.bus.rawSize, retain: 'checkpoint' } as const;
  // Its library is loaded only where it is used.
  const { openKafkaBus } = await import('../core/bus/kafka/kafka-bus.ts');
  return openKafkaBus({
    config: kafka,
    topics: [...specs, state],
    watched: knownGroups,
    log,
    ...observed,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Names the bus in /metrics: the same in all processes that work on it, another one on any other bus. No path is told. */
export function busName({ bus, cluster }: Config, dataDir: string): string {
  if (bus.type === 'kafka') return `kafka/${cluster.name}/${bus.kafka.topicPrefix}`;
  const folder = createHash('sha256')
    .update(`${hostname()} ${resolve(dataDir)}`)
    .digest('hex');
  return `embedded/${folder.slice(0, 12)}`;
}

function topicSpecs({ bus }: Config, partitions: number): TopicSpec[] {
  const { rawSize, eventsSize, metricsSize, deadLettersSize } = bus;
  return [
    { name: topics.raw, partitions, maxBytes: rawSize, retain: 'checkpoint', checkpointGroup: aggregatorGroup },
    { name: topics.events, partitions, maxBytes: eventsSize, retain: 'oldest' },
    { name: topics.metrics, partitions, maxBytes: metricsSize, retain: 'oldest' },
    { name: topics.deadLetters, partitions, maxBytes: deadLettersSize, retain: 'oldest' },
  ];
}

/** Notes what a bus lost, and logs it. */
export function busObserver(losses: Map<string, BusLoss>, log: Log): BusObserver {
  const limiter = new LogLimiter();
  return {
    lost({ topic, partition, reason, group, messages, bytes }) {
      // What it commits is where the oldest letter waits, and not what it read: DeadLetterCount knows which letters went.
      if (group === deadLetterGroup) return;
      const key = [topic, reason, group].filter((part) => part !== undefined).join(' ');
      const loss = losses.get(key) ?? { topic, reason, group: group ?? '', messages: 0, bytes: 0 };
      loss.messages += messages;
      loss.bytes += bytes;
      losses.set(key, loss);
      limiter.once(key, (heldBack) =>
        log.warn({ code: 'BUS_MESSAGES_LOST', topic, partition, reason, group, messages, bytes, heldBack }, 'the bus lost messages'),
      );
    },
    warned({ code, message, remedy }) {
      log.warn({ code, remedy }, message);
    },
  };
}
