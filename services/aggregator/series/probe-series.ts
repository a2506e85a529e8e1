import type { Probe, ProbeMetric } from '../../../bpf/probe.ts';
import type { SessionState } from '../session.ts';
import { type Labels, labelsFrom, noLabels } from './labels.ts';

/** A number of the counter map, as series have it. */
export interface ProbeSeries {
  /** Name of the probe: the source of its series. */
  readonly probe: string;
  readonly metric: ProbeMetric;
  /** It is the sum of the values of a histogram. */
  readonly isSum: boolean;
}

/** Metrics of all probes, by number. */
export function probeSeriesOf(probes: readonly Probe[]): ReadonlyMap<number, ProbeSeries> {
  const series = new Map<number, ProbeSeries>();
  for (const { name: probe, metrics } of probes) {
    for (const metric of metrics) {
      series.set(metric.number, { probe, metric, isSum: false });
      if (metric.kind === 'histogram') series.set(metric.sum, { probe, metric, isSum: true });
    }
  }
  return series;
}

/** Bucket 64 of a log2 histogram holds the largest u64; there is none behind it. */
export const maxHistogramBucket = 64;

/** Where one counter of the counter map belongs: its own labels, and the field of the probe. */
export interface CounterPlace {
  readonly own: Labels;
  /** Number of the metric; of a histogram with `/` and the bucket, or `/sum`. */
  readonly field: string;
  /** Tells counters apart that may have the same labels: two places of one function. */
  readonly key: string;
  /** Everything that it says has a name. */
  readonly isNamed: boolean;
}

/** Names what a counter's bucket and label say. What has no name stays a number. Undefined for a bucket that no histogram has. */
export function counterPlace(
  { metric, isSum }: ProbeSeries,
  bucket: number,
  label: number,
  session: SessionState,
): CounterPlace | undefined {
  if (metric.kind === 'histogram' && bucket > maxHistogramBucket) return undefined;
  if (metric.kind === 'histogram') return { own: noLabels, field: `${metric.number}/${isSum ? 'sum' : bucket}`, key: '', isNamed: true };
  const pairs: Record<string, string> = {};
  if (metric.bucket !== undefined) {
    const { names, enumeration } = metric.bucket;
    pairs[metric.bucket.label] = names?.get(bucket) ?? session.enums.get(enumeration)?.get(bucket) ?? String(bucket);
  }
  if (metric.label !== undefined) pairs[metric.label.label] = metric.label.kind === 'symbol' ? placeName(label, session) : String(label);
  const isNamed = metric.label?.kind !== 'symbol' || label === 0 || session.code.symbol(label) !== undefined;
  return { own: labelsFrom(pairs), field: String(metric.number), key: `${metric.number}/${bucket}/${label}`, isNamed };
}

/** The function that holds a place in the kernel's code. 0: the counter map was full, and several places share one counter. */
function placeName(offset: number, session: SessionState): string {
  if (offset === 0) return 'other';
  return session.code.symbol(offset) ?? `_stext+0x${offset.toString(16)}`;
}
