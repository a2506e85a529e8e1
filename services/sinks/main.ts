import type { z } from 'zod';
import type { Bus } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import type { SinksConfig } from './config.ts';
import { newDeliveryCounters, type SinkCounters } from './metrics.ts';
import { type SinkDefinition, type SinkName, sinkRegistry } from './registry.ts';
import { type ReplayOutcome, replayOnce } from './replay.ts';
import type { RetryPolicy } from './retrying.ts';
import type { Batch } from './sink.ts';
import { SinkRunner } from './sink-runner.ts';

export interface SinksOptions {
  /** Has the topics `events` and `deadLetters` (proto/bus.ts). */
  readonly bus: Bus;
  readonly config: SinksConfig;
  readonly dataDir: string;
  /** `cluster.name`. */
  readonly clusterName: string;
  readonly log: Log;
  /** Default: 250 ms to 30 s, paused sinks every 30 s. */
  readonly policy?: RetryPolicy;
}

/** Whether all sinks deliver, and what holds back those that do not. */
export interface SinksReadiness {
  readonly ready: boolean;
  /** `<sink>: <status>, <problem>`. */
  readonly problems: readonly string[];
}

export interface Sinks {
  /** Not ready while a sink starts or is paused; a store that may recover by itself does not make it unready. */
  ready(): SinksReadiness;
  stats(): readonly SinkCounters[];
  /** Messages appended and not yet committed, by sink and partition. */
  lag(): Promise<ReadonlyMap<string, ReadonlyMap<number, number>>>;
  /** What stores of files take on this machine's disk, bytes by sink. */
  diskBytes(): Promise<ReadonlyMap<string, number>>;
  /** Sends a batch once to one sink alone, until the signal's deadline: an outcome for each of its items. */
  replay(sink: string, batch: Batch, signal: AbortSignal): Promise<ReplayOutcome[]>;
  /** Ends replays under way; what has no answer by then is doubtful. */
  stopReplays(): void;
  /** Lets what is under way end for up to `graceMs`, then stops. */
  close(graceMs: number): Promise<void>;
}

const defaultPolicy: RetryPolicy = { initialMs: 250, maxMs: 30_000, pauseMs: 30_000 };

/**
 * Starts each enabled sink with a consumer group of its own: one that is down holds back no other. Resolves when each
 * has started or has failed to for the first time; those go on trying, see `ready`.
 */
export async function startSinks({ bus, config, dataDir, clusterName, log, policy = defaultPolicy }: SinksOptions): Promise<Sinks> {
  const runners = (Object.keys(sinkRegistry) as SinkName[])
    .filter((name) => config[name].enabled)
    .map((name) => {
      const definition: SinkDefinition<z.ZodType> = sinkRegistry[name];
      return new SinkRunner({ name, bus, policy, log, open: () => definition.open(config[name], { dataDir, clusterName, log }) });
    });
  await Promise.all(runners.map((runner) => runner.started));
  return {
    ready() {
      const held = runners.map(({ counters }) => counters).filter(({ status }) => status !== 'delivering' && status !== 'retrying');
      return {
        ready: held.length === 0,
        problems: held.map(({ sink, status, problem }) => `${sink}: ${status}${problem === undefined ? '' : `, ${problem}`}`),
      };
    },
    stats: () => runners.map(({ counters }) => counters),
    async lag() {
      const lags = await Promise.all(runners.map(async (runner) => [runner.counters.sink, await runner.lag()] as const));
      return new Map(lags);
    },
    async diskBytes() {
      const held = await Promise.all(runners.map(async (runner) => [runner.counters.sink, await runner.diskBytes()] as const));
      return new Map(held.filter((entry): entry is [string, number] => entry[1] !== undefined));
    },
    async replay(sink, batch, signal) {
      const runner = runners.find(({ counters }) => counters.sink === sink);
      return runner === undefined ? replayOnce(sink, undefined, batch, newDeliveryCounters(), signal) : runner.replay(batch, signal);
    },
    stopReplays() {
      for (const runner of runners) runner.stopReplays();
    },
    async close(graceMs) {
      await Promise.all(runners.map((runner) => runner.close(graceMs)));
    },
  };
}
