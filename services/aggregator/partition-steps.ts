import type { EventDescription } from '../../bpf/event.ts';
import { Enricher } from './enricher.ts';
import { EventOutput, type OutputEnd } from './event-output.ts';
import type { PartitionState } from './partition-state.ts';
import { type MetricEnd, MetricPublisher } from './series/metric-publisher.ts';

/** What the steps of a partition go by. */
export interface PartitionOptions {
  /** orchestrator.cluster.name */
  readonly cluster: string;
  /** How each probe's records become events, by probe number. */
  readonly events: ReadonlyMap<number, EventDescription>;
  /** Severity from which on a probe's records become events, by probe number; without one: all of them. Others are counted. */
  readonly minSeverity?: ReadonlyMap<number, number>;
  /** Held records of the partition may take this much. */
  readonly maxHeldBytes: number;
  /** Size at which an EventBatch is closed. */
  readonly maxBatchBytes: number;
}

/** What the partition's own topics hold already: it is made again, and not written. */
export interface OutputEnds {
  readonly events: OutputEnd | undefined;
  readonly metrics: MetricEnd | undefined;
}

/** What works on the state of one partition: records to events, their output, series to metrics. */
export interface PartitionSteps {
  readonly state: PartitionState;
  readonly output: EventOutput;
  readonly enricher: Enricher;
  readonly metrics: MetricPublisher;
}

/** The steps of a partition, over its state as it is restored. */
export function partitionSteps(state: PartitionState, options: PartitionOptions, ends: OutputEnds): PartitionSteps {
  const output = new EventOutput(state, { maxBatchBytes: options.maxBatchBytes, silentUntil: ends.events });
  return {
    state,
    output,
    enricher: new Enricher(state, output, options),
    metrics: new MetricPublisher(state.series.store, ends.metrics),
  };
}
