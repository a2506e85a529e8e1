import type { EventDescription } from '../../bpf/event.ts';
import { messageOf } from '../../core/app-error.ts';
import { appendRetrying } from '../../core/bus/append-retrying.ts';
import type { Bus, Commit, Consumer, Fetch } from '../../core/bus/bus.ts';
import { sharedAbort } from '../../core/joined-signal.ts';
import type { Log } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import type { CheckpointStore } from './checkpoint.ts';
import { passOverLostEnd } from './output-end.ts';
import type { PartitionState } from './partition-state.ts';
import { PartitionWorker } from './partition-worker.ts';
import type { RuleSet } from './rules/rule.ts';
import type { SeriesOptions } from './series/partition-series.ts';
import type { WorkerTimes } from './worker-times.ts';

/** The aggregator's part of the configuration, with the ports it works over. */
export interface AggregatorOptions {
  readonly bus: Bus;
  readonly checkpoints: CheckpointStore;
  /** orchestrator.cluster.name */
  readonly cluster: string;
  /** By probe number. */
  readonly events: ReadonlyMap<number, EventDescription>;
  /** Severity from which on a probe's records become events, by probe number; without one: all of them. */
  readonly minSeverity?: ReadonlyMap<number, number>;
  /** How samples become metrics. */
  readonly series: SeriesOptions;
  /** The rules that run; without: none. */
  readonly rules?: RuleSet | undefined;
  readonly maxHeldBytes: number;
  readonly maxBatchBytes: number;
  /** An EventBatch that is not full is closed this long after the one before. */
  readonly lingerMs: number;
  readonly checkpointMs: number;
  /** A checkpoint is also written when so many bytes of raw messages were processed since the last; without: by time alone. */
  readonly checkpointBytes?: number;
  readonly log: Log;
  /** Appends for as long as it takes: a full disk holds the partition up and loses nothing. */
  append(topic: string, partition: number, values: readonly Uint8Array[]): Promise<unknown>;
  /** A partition cannot go on outside of a fetch. */
  onFailure(error: unknown): void;
}

/** A running aggregator. */
export interface Aggregator {
  /** State of each assigned partition: what the metrics and the loss identity are read from. Behind close(): what they ended with. */
  partitions(): ReadonlyMap<number, PartitionState>;
  /** What its steps took, per partition. */
  times(): ReadonlyMap<number, Readonly<WorkerTimes>>;
  /** Whether events wait in an open batch. */
  pending(): boolean;
  /** Raw messages not yet processed, per partition. */
  lag(): Promise<ReadonlyMap<number, number>>;
  /** Partitions whose state was lost: there must have been one, and none was usable at the start. */
  statesLost(): ReadonlySet<number>;
  /** The rules that run, or are about to. */
  rules(): RuleSet | undefined;
  /** Other rules: each partition takes them up behind its next checkpoint. Resolves when that is written, or has failed and is tried again. */
  replaceRules(rules: RuleSet): Promise<void>;
  /** Rejects when a partition cannot go on. */
  readonly finished: Promise<void>;
  /** Drains what is in flight, writes checkpoints. */
  close(graceMs?: number): Promise<void>;
}

export const aggregatorGroup = 'aggregator';

/** Starts the aggregator: one worker per raw partition that the bus assigns. */
export async function startAggregator(given: Omit<AggregatorOptions, 'append' | 'onFailure'>): Promise<Aggregator> {
  const workers = new Map<number, PartitionWorker>();
  /** By partition: a start that takes longer than its assignment lasts must not leave a worker behind. */
  const assignments = new Map<number, symbol>();
  const { bus, log } = given;
  const stopping = sharedAbort();
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  failed.catch(() => undefined);
  const options: AggregatorOptions = {
    ...given,
    append: (topic, partition, values) => appendRetrying(bus, topic, partition, values, log, stopping.signal),
    onFailure: fail,
  };
  let { rules } = given;
  const assigned = async (partition: number, _committed: Commit | undefined): Promise<number> => {
    const used = rules;
    const assignment = Symbol('assignment');
    assignments.set(partition, assignment);
    const worker = await PartitionWorker.start(partition, { ...options, rules: used }, (position) => commit(partition, position));
    if (assignments.get(partition) !== assignment) return worker.state.rawOffset;
    worker.startReports();
    workers.set(partition, worker);
    // Others came while it looked for its checkpoint.
    if (rules !== undefined && rules !== used) await worker.replaceRules(rules);
    return worker.state.rawOffset;
  };
  // The group's position is for those who look on: a start goes by the checkpoint.
  const commit = async (partition: number, position: Commit): Promise<void> => (await joining).commit(partition, position);
  for (let partition = 0; partition < bus.partitions(topics.raw); partition++) await passOverLostEnd(bus, partition, log);
  const joining: Promise<Consumer> = bus.consume({
    group: aggregatorGroup,
    topic: topics.raw,
    assigned,
    handle: (fetch: Fetch) => (workers.get(fetch.partition) as PartitionWorker).process(fetch),
    revoked: async (partition) => {
      assignments.delete(partition);
      try {
        await workers.get(partition)?.close();
      } finally {
        workers.delete(partition);
      }
    },
  });
  const consumer = await joining;
  const states = (): ReadonlyMap<number, PartitionState> => new Map([...workers].map(([partition, worker]) => [partition, worker.state]));
  /** A member that leaves gives its partitions up, and what became of their items is to be told all the same. */
  let ended: ReturnType<typeof states> | undefined;
  return {
    partitions: () => ended ?? states(),
    times: () => new Map([...workers].map(([partition, { times }]) => [partition, times])),
    pending: () => [...workers.values()].some((worker) => worker.pending),
    async lag() {
      const lags = new Map<number, number>();
      for (const [partition, uncommitted] of await consumer.lag()) {
        const { next } = await bus.offsets(topics.raw, partition);
        const rawOffset = workers.get(partition)?.state.rawOffset;
        // One that still looks for its checkpoint is behind, by an unknown number.
        lags.set(partition, rawOffset === undefined ? Math.max(1, uncommitted) : next - rawOffset);
      }
      return lags;
    },
    rules: () => rules,
    async replaceRules(next) {
      rules = next;
      await Promise.all([...workers.values()].map((worker) => worker.replaceRules(next)));
    },
    statesLost: () => new Set([...workers].filter(([, worker]) => worker.stateLost).map(([partition]) => partition)),
    finished: Promise.race([consumer.finished, failed]).catch((thrown: unknown) => {
      if (!stopping.signal.aborted) throw thrown;
      // What the end of the drain cut off is no failure: the next start makes it again.
      if (thrown !== stopping.signal.reason)
        log.warn({ code: 'AGGREGATOR_DRAIN_CUT_OFF', cause: messageOf(thrown) }, 'the drain was cut off; the next start does the rest');
    }),
    async close(graceMs = 10_000) {
      // A disk that stays full must not hold the end up: what is not written is made again from the raw log.
      const deadline = setTimeout(() => stopping.abort(new Error('the drain took too long')), graceMs);
      ended ??= states();
      await consumer.close(graceMs).finally(() => clearTimeout(deadline));
    },
  };
}
