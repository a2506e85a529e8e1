import { hostname } from 'node:os';
import { join } from 'node:path';
import { probes } from '../bpf/registry.ts';
import { AppError, errorTable, messageOf } from '../core/app-error.ts';
import { DeadLetterCount } from '../core/dead-letter-count.ts';
import type { Deadline } from '../core/deadline.ts';
import { parseHostPort } from '../core/host-port.ts';
import { lockDataDir } from '../core/lock.ts';
import { type Log, limitedLog, logOf } from '../core/log.ts';
import { sleep } from '../core/retry.ts';
import { type PipelineFiguresBody, topics } from '../proto/bus.ts';
import { fileCheckpoints } from '../services/aggregator/checkpoint.ts';
import { type Aggregator, startAggregator } from '../services/aggregator/main.ts';
import { topicCheckpoints } from '../services/aggregator/topic-checkpoints.ts';
import { tcpOptions } from '../services/gateway/config.ts';
import { type Gateway, startGateway } from '../services/gateway/main.ts';
import { partitionOf } from '../services/gateway/partition.ts';
import { type Sinks, startSinks } from '../services/sinks/main.ts';
import { PrometheusSink } from '../services/sinks/prometheus/index.ts';
import { type Aggregation, aggregationOf } from './aggregation.ts';
import { type BusLoss, busName, busObserver, eventSinks, openBus, type PipelineBus } from './bus.ts';
import { type Config, nodeName } from './config.ts';
import { leftOnBus, type Waiting } from './left-behind.ts';
import { metricDescriptions } from './metric-descriptions.ts';
import { pipelineFigures } from './pipeline-figures.ts';
import { absentAggregator, absentBus, absentGateway, absentSinks, checkRole, type Role, runs } from './roles.ts';
import { shortSocketPath } from './socket-path.ts';

/** Everything behind the collector that this process runs; hops that others run are absent (roles.ts). */
export interface Pipeline {
  readonly bus: PipelineBus;
  /** See busName(); undefined for a collector alone, which has none. */
  readonly busName: string | undefined;
  readonly gateway: Gateway;
  readonly aggregator: Aggregator;
  /** What the aggregator was started with; its rules may have changed since. */
  readonly aggregation: Aggregation;
  readonly sinks: Sinks;
  /** Undefined where no sinks run. */
  readonly deadLetters: DeadLetterCount | undefined;
  /** Undefined when it is not enabled. */
  readonly prometheus: PrometheusSink | undefined;
  /** gRPC target of the gateway. */
  readonly gatewayAddress: string;
  /** Where the data of this node goes. */
  readonly partition: number;
  /** Whether this process tells how the whole pipeline does: one that runs a gateway. */
  readonly tellsAll: boolean;
  /** What the bus lost, by topic, reason and group. */
  readonly busLosses: ReadonlyMap<string, BusLoss>;
  /** What is known of a partition's queues and losses, now. */
  figures(partition: number): PipelineFiguresBody;
  /** Resolves when everything that is in the raw log has reached the sinks; false when the signal aborted before. */
  settled(signal: AbortSignal): Promise<boolean>;
  /** What keeps the process from working; empty when it is ready. */
  problems(): readonly string[];
  /** Ends hop by hop, in the direction of the data, all of them by the deadline. Resolves with what waits on the bus then; undefined: it does not answer. */
  close(deadline: Deadline): Promise<readonly Waiting[] | undefined>;
}

/** Checkpoints while as much is processed as the raw log takes: who is current must not find it full. */
const checkpointsPerCap = 4;
/** A start waits this long for the series of its last run to be shown. */
const maxLoadMs = 10_000;
/** The end looks at least so long for what waits on the bus. */
const minLookMs = 500;
/** And the bus has at least so long for what waits to be durable. */
const minFlushMs = 500;

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

/** Where it runs, and as what. */
export interface PipelineOptions {
  readonly role?: Role;
  /** false for a replay, which brings its own. */
  readonly ticks: boolean;
  readonly log: Log;
  /** Ends the wait for a bus that does not answer. */
  readonly signal?: AbortSignal;
}

/** Takes the data folder and starts the hops of the role. */
export async function startPipeline(config: Config, dataDir: string, options: PipelineOptions): Promise<Pipeline> {
  const { role = 'all', ticks, log, signal } = options;
  checkRole(role, config);
  const aggregation = aggregationOf(config);
  const lock = await lockDataDir(dataDir);
  const busLosses = new Map<string, BusLoss>();
  const busLog = limitedLog(logOf(log, 'bus'));
  const observer = busObserver(busLosses, busLog);
  const opening = role === 'collector' ? absentBus : openBus(config, dataDir, { log: busLog, observer, ...(signal && { signal }) });
  const bus = await Promise.resolve(opening).catch(async (thrown: unknown) => {
    await lock.release();
    throw thrown;
  });
  // A start waits for brokers as long as it takes: who wants it to end ends the bus.
  const giveUp = (): void => void (config.bus.type === 'kafka' && bus.close(0));
  signal?.addEventListener('abort', giveUp, { once: true });
  const aggregator = runs(role, 'aggregator') ? await aggregatorOf(config, dataDir, bus, aggregation, log) : absentAggregator;
  const sinksLog = limitedLog(logOf(log, 'sinks'));
  const sinks = runs(role, 'sinks')
    ? await startSinks({ bus, config: config.sinks, dataDir, clusterName: config.cluster.name, log: sinksLog })
    : absentSinks;
  const deadLetters = runs(role, 'sinks') ? new DeadLetterCount(bus, sinksLog) : undefined;
  const prometheus =
    runs(role, 'sinks') && config.sinks.prometheus.enabled
      ? PrometheusSink.start({ bus, config: config.sinks.prometheus, describe: metricDescriptions(probes), log: sinksLog })
      : undefined;
  // What is shown first must be whole: a scrape of half of it would make the other half look new.
  await Promise.race([prometheus?.loaded, sleep(maxLoadMs)]);
  const socketPath = shortSocketPath(join(dataDir, 'collect.sock'));
  const { inFlightSize, memorySize, messageSize } = config.gateway;
  const figures = pipelineFigures({
    bus,
    ownSinks: () => sinks.stats().map(({ sink }) => sink),
    otherSinks: runs(role, 'sinks') ? [] : eventSinks,
    gatewayQueue: () => gatewayQueue(role, gateway),
    maxHeldBytes: config.aggregator.heldSize,
  });
  const gateway: Gateway = runs(role, 'gateway')
    ? await startGateway({
        bus,
        socketPath,
        tcp: ticks ? tcpOptions(config.gateway) : undefined,
        ticks: ticks && !config.gateway.replays,
        maxInFlightBytes: inFlightSize,
        maxMemoryBytes: memorySize,
        maxMessageBytes: messageSize,
        log: limitedLog(logOf(log, 'gateway')),
        figures,
      })
    : absentGateway;
  signal?.removeEventListener('abort', giveUp);

  async function settled(signal: AbortSignal): Promise<boolean> {
    // What others run goes on without this process, and what is behind is in the bus.
    if (role !== 'all') return true;
    const aborted = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
    while (!signal.aborted) {
      // A bus that does not answer says nothing of what is behind.
      const lags = await Promise.race([Promise.all([aggregator.lag(), sinks.lag()]), aborted]);
      if (lags === undefined) return false;
      const behind = [...lags[0].values(), ...[...lags[1].values()].flatMap((lag) => [...lag.values()])];
      if (behind.every((lag) => lag === 0) && !aggregator.pending()) return true;
      await sleep(20, signal).catch(() => undefined);
    }
    return false;
  }

  return {
    bus,
    busName: role === 'collector' ? undefined : busName(config, dataDir),
    gateway,
    aggregator,
    aggregation,
    sinks,
    deadLetters,
    prometheus,
    gatewayAddress: `unix:${socketPath}`,
    partition: role === 'collector' ? 0 : partitionOf(nodeName(config), bus.partitions(topics.raw)),
    tellsAll: runs(role, 'gateway'),
    busLosses,
    figures: (partition) => figures(partition, gateway.metrics),
    settled,
    problems: () => [...(bus.problem === undefined ? [] : [`bus: ${bus.problem.message}`]), ...sinks.ready().problems],
    async close(deadline) {
      // Letters that others count from now on are no hop: nothing waits for them.
      await Promise.all([closeHops({ gateway, settled, aggregator, sinks }, deadline), deadLetters?.close()]);
      await prometheus?.close();
      const groups = { aggregator: runs(role, 'aggregator'), sinks: sinks.stats().map(({ sink }) => sink) };
      const left = await leftOnBus(bus, groups, Math.max(minLookMs, deadline.leftMs));
      await bus.close(Math.max(minFlushMs, deadline.leftMs));
      await lock.release();
      return left;
    },
  };
}

/** The aggregator, with its checkpoints where its bus is: in files of the data folder, or in a topic. */
function aggregatorOf(config: Config, dataDir: string, bus: PipelineBus, aggregation: Aggregation, log: Log): Promise<Aggregator> {
  const raw = bus.stats().filter(({ topic }) => topic === topics.raw);
  return startAggregator({
    bus,
    checkpoints: config.bus.type === 'kafka' ? topicCheckpoints(bus) : fileCheckpoints(join(dataDir, 'state')),
    ...aggregation,
    lingerMs: config.aggregator.batchLinger,
    checkpointMs: config.aggregator.checkpointInterval,
    checkpointBytes: Math.min(...raw.map(({ maxBytes }) => maxBytes)) / checkpointsPerCap,
    log: limitedLog(logOf(log, 'aggregator')),
  });
}

/** Several gateways write ticks into the same partitions. */
function gatewayQueue(role: Role, { tcpAddress }: Gateway): string {
  if (role !== 'gateway') return 'gateway';
  return `gateway/${hostname()}:${parseHostPort(tcpAddress ?? '')?.port ?? 0}`;
}

/** Ends the hops in the direction of the data. One that hangs leaves time to those behind it. */
export async function closeHops(
  hops: Pick<Pipeline, 'settled'> & { readonly [Hop in 'gateway' | 'aggregator' | 'sinks']: Pick<Pipeline[Hop], 'close'> },
  deadline: Deadline,
): Promise<void> {
  await hops.gateway.close(deadline.share(0.4));
  await hops.settled(AbortSignal.timeout(deadline.share(0.4)));
  await hops.aggregator.close(deadline.share(0.5));
  await hops.sinks.close(deadline.share(0.8));
}
