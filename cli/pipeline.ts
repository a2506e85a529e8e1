import { join } from 'node:path';
import { probes } from '../bpf/registry.ts';
import { AppError, errorTable, messageOf } from '../core/app-error.ts';
import type { BusObserver, TopicSpec } from '../core/bus/bus.ts';
import { type EmbeddedLog, openEmbeddedLog } from '../core/bus/embedded-log.ts';
import type { Deadline } from '../core/deadline.ts';
import { lockDataDir } from '../core/lock.ts';
import { type Log, LogLimiter, limitedLog, logOf } from '../core/log.ts';
import { sleep } from '../core/retry.ts';
import { type PipelineFiguresBody, topics } from '../proto/bus.ts';
import { fileCheckpoints } from '../services/aggregator/checkpoint.ts';
import { type Aggregator, startAggregator } from '../services/aggregator/main.ts';
import { tcpOptions } from '../services/gateway/config.ts';
import { type Gateway, startGateway } from '../services/gateway/main.ts';
import { type Sinks, startSinks } from '../services/sinks/main.ts';
import { PrometheusSink } from '../services/sinks/prometheus/index.ts';
import { type Aggregation, aggregationOf } from './aggregation.ts';
import type { Config } from './config.ts';
import { metricDescriptions } from './metric-descriptions.ts';
import { pipelineFigures } from './pipeline-figures.ts';
import { shortSocketPath } from './socket-path.ts';

/** Everything behind the collector, in one process over the embedded bus. */
export interface Pipeline {
  readonly bus: EmbeddedLog;
  readonly gateway: Gateway;
  readonly aggregator: Aggregator;
  /** What the aggregator was started with; its rules may have changed since. */
  readonly aggregation: Aggregation;
  readonly sinks: Sinks;
  /** Undefined when it is not enabled. */
  readonly prometheus: PrometheusSink | undefined;
  /** gRPC target of the gateway. */
  readonly gatewayAddress: string;
  /** What the bus lost, by topic, reason and group. */
  readonly busLosses: ReadonlyMap<string, BusLoss>;
  /** What is known of a partition's queues and losses, now. */
  figures(partition: number): Promise<PipelineFiguresBody>;
  /** Resolves when everything that is in the raw log has reached the sinks; false when the signal aborted before. */
  settled(signal: AbortSignal): Promise<boolean>;
  /** Ends hop by hop, in the direction of the data, all of them by the deadline. */
  close(deadline: Deadline): Promise<void>;
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

const partitions = 1;
/** A start waits this long for the series of its last run to be shown. */
const maxLoadMs = 10_000;

const pipelineError = errorTable({
  AGGREGATOR_STOPPED: {
    message: 'the aggregator cannot go on: {cause}',
    retryable: false,
    remedy: '{remedy}',
  },
});

/** What the aggregator ended with, as it is told to people. */
export function aggregatorStopped(thrown: unknown): AppError {
  const remedy = thrown instanceof AppError ? thrown.remedy : 'The raw log is kept: the next start goes on from the newest checkpoint.';
  return pipelineError('AGGREGATOR_STOPPED', { cause: messageOf(thrown), remedy }, thrown);
}

/** Takes the data folder and starts gateway, aggregator and sinks. `ticks`: false for a replay. */
export async function startPipeline(config: Config, dataDir: string, ticks: boolean, log: Log): Promise<Pipeline> {
  const aggregation = aggregationOf(config);
  const lock = await lockDataDir(dataDir);
  const busLosses = new Map<string, BusLoss>();
  const bus = await openBus(config, dataDir, busObserver(busLosses, limitedLog(logOf(log, 'bus'))));
  const aggregator = await startAggregator({
    bus,
    checkpoints: fileCheckpoints(join(dataDir, 'state')),
    ...aggregation,
    lingerMs: config.aggregator.batchLinger,
    checkpointMs: config.aggregator.checkpointInterval,
    log: limitedLog(logOf(log, 'aggregator')),
  });
  const sinksLog = limitedLog(logOf(log, 'sinks'));
  const sinks = await startSinks({ bus, config: config.sinks, dataDir, clusterName: config.cluster.name, log: sinksLog });
  const prometheus = config.sinks.prometheus.enabled
    ? PrometheusSink.start({ bus, config: config.sinks.prometheus, describe: metricDescriptions(probes), log: sinksLog })
    : undefined;
  // What is shown first must be whole: a scrape of half of it would make the other half look new.
  await Promise.race([prometheus?.loaded, sleep(maxLoadMs)]);
  const socketPath = shortSocketPath(join(dataDir, 'collect.sock'));
  const { inFlightSize, messageSize } = config.gateway;
  const figures = pipelineFigures({
    bus,
    aggregator,
    sinks,
    maxInFlightBytes: inFlightSize,
    maxHeldBytes: config.aggregator.heldSize,
  });
  const gateway = await startGateway({
    bus,
    socketPath,
    tcp: ticks ? tcpOptions(config.gateway) : undefined,
    ticks: ticks && !config.gateway.replays,
    maxInFlightBytes: inFlightSize,
    maxMessageBytes: messageSize,
    log: limitedLog(logOf(log, 'gateway')),
    figures,
  });

  async function settled(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      const behind = [...(await aggregator.lag()).values(), ...[...(await sinks.lag()).values()].flatMap((lag) => [...lag.values()])];
      if (behind.every((lag) => lag === 0) && !aggregator.pending()) return true;
      await sleep(20, signal).catch(() => undefined);
    }
    return false;
  }

  return {
    bus,
    gateway,
    aggregator,
    aggregation,
    sinks,
    prometheus,
    gatewayAddress: `unix:${socketPath}`,
    busLosses,
    figures: (partition) => figures(partition, gateway.metrics),
    settled,
    async close(deadline) {
      await closeHops({ gateway, settled, aggregator, sinks }, deadline);
      await prometheus?.close();
      await bus.close();
      await lock.release();
    },
  };
}

/** Ends the hops in the direction of the data. One that hangs leaves time to those behind it. */
export async function closeHops(
  hops: Pick<Pipeline, 'settled'> & { readonly [Hop in 'gateway' | 'aggregator' | 'sinks']: Pick<Pipeline[Hop], 'close'> },
  deadline: Deadline,
): Promise<void> {
  await hops.gateway.close(deadline.share(0.4));
  await hops.settled(AbortSignal.timeout(deadline.share(0.4)));
  await hops.aggregator.close(deadline.share(0.5));
  await hops.sinks.close(deadline.leftMs);
}

/** The logs of a data folder whose lock is held. */
export function openBus(config: Config, dataDir: string, observer?: BusObserver): Promise<EmbeddedLog> {
  return openEmbeddedLog({
    dir: join(dataDir, 'bus'),
    topics: topicSpecs(config),
    commitMs: config.bus.commitInterval,
    ...(observer === undefined ? {} : { observer }),
  });
}

function topicSpecs(config: Config): TopicSpec[] {
  const { rawSize, eventsSize, metricsSize, deadLettersSize } = config.bus;
  return [
    { name: topics.raw, partitions, maxBytes: rawSize, retain: 'checkpoint' },
    { name: topics.events, partitions, maxBytes: eventsSize, retain: 'oldest' },
    { name: topics.metrics, partitions, maxBytes: metricsSize, retain: 'oldest' },
    { name: topics.deadLetters, partitions, maxBytes: deadLettersSize, retain: 'oldest' },
  ];
}

function busObserver(losses: Map<string, BusLoss>, log: Log): BusObserver {
  const limiter = new LogLimiter();
  return {
    lost({ topic, partition, reason, group, messages, bytes }) {
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
