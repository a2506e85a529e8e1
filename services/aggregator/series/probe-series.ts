import type { Probe, ProbeMetric } from '../../../bpf/probe.ts';
import type { SessionState } from '../session.ts';
import { type Labels, labelsFrom, noLabels } from './labels.ts';

/** A metric of a probe's counters, as series have it. */
export interface ProbeSeries {
  /** Name of the probe: the source of its series. */
  readonly probe: string;
  readonly metric: ProbeMetric;
}

/** Metrics of all probes, by number. */
export function probeSeriesOf(probes: readonly Probe[]): ReadonlyMap<number, ProbeSeries> {
  return new Map(probes.flatMap(({ name, metrics }) => metrics.map((metric) => [metric.number, { probe: name, metric }] as const)));
}

/** Where one counter of the counter map belongs: its own labels, and the field of the probe. */
export interface CounterPlace {
  readonly own: Labels;
  readonly field: string;
}

/** Names what a counter's bucket and label say. Numbers that no name is known for stay numbers. */
export function counterPlace({ metric }: ProbeSeries, bucket: number, label: number, session: SessionState): CounterPlace {
  const pairs: Record<string, string> = {};
  if (label !== 0) pairs.label = String(label);
  const { names, enumeration, label: bucketLabel } = metric.bucket;
  pairs[bucketLabel] = names?.get(bucket) ?? session.enums.get(enumeration)?.get(bucket) ?? String(bucket);
  return { own: Object.keys(pairs).length === 0 ? noLabels : labelsFrom(pairs), field: String(metric.number) };
}
