import type { EventDescription } from '../../bpf/event.ts';
import { Enricher } from './enricher.ts';
import { EventOutput, type OutputEnd } from './event-output.ts';
import type { PartitionState } from './partition-state.ts';
import { FindingOutput } from './rules/finding-output.ts';
import type { RuleSet } from './rules/rule.ts';
import { SelfReport } from './rules/self-report.ts';
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
  readonly findings: FindingOutput;
  readonly self: SelfReport;
  /** Rules that take effect with the next message. */
  readonly rules: { next: RuleSet | undefined };
}

/** The steps of a partition, to be made before its state is restored: a restore may end findings of rules that are gone. */
export function partitionSteps(state: PartitionState, options: PartitionOptions, ends: OutputEnds): PartitionSteps {
  const output = new EventOutput(state, { maxBatchBytes: options.maxBatchBytes, silentUntil: ends.events });
  const findings = new FindingOutput(state, output, options.cluster);
  state.rules.onTransition = (transition) => findings.write(transition);
  return {
    state,
    output,
    findings,
    self: new SelfReport(state, options.events),
    rules: { next: undefined },
    enricher: new Enricher(state, output, options),
    metrics: new MetricPublisher(state.series.store, ends.metrics),
  };
}
