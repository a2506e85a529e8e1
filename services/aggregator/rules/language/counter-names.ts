import type { ProbeMetric } from '../../../../bpf/probe.ts';
import { probes } from '../../../../bpf/registry.ts';
import { suggestion } from '../../../../core/suggestion.ts';
import { describeMetric, isKnownSource, knownFields } from '../../../../schema/metrics.ts';
import type { CounterReference } from '../rule.ts';
import { selfSignals } from './self-signals.ts';

/** A counter that a rule may name. */
export interface KnownCounter {
  readonly reference: CounterReference;
  /** Labels of its own that `where` and `by` may use. */
  readonly labels: readonly string[];
  /** What it is told of. */
  readonly of: 'namespace' | 'container' | 'node' | 'pipeline';
  readonly meaning: string;
  /** Unit of its raw values, where their name does not say it. */
  readonly unit: string | undefined;
  /** Who tells it, for people. */
  readonly toldBy: string;
}

/** Own labels of the sources' targets (services/collector/sources). */
const labelsOfSources: Readonly<Record<string, readonly string[]>> = {
  netdev: ['device'],
  sockdiag: ['port'],
  softnet: ['cpu'],
  cgroup: ['container'],
};

/** More names than this are not listed in an error. */
const maxListed = 12;

/** Looks a counter up: netstat.TcpExt.ListenOverflows, tcpreset.sent, node.silent_seconds. A text says what is wrong. */
export function findCounter(name: string): KnownCounter | string {
  const dot = name.indexOf('.');
  const [source, field] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)];
  const ofProbe = byProbe.get(source);
  if (ofProbe !== undefined) return ofProbe.get(field) ?? unknownField(source, field, [...ofProbe.keys()]);
  const own = selfSignals.filter((signal) => signal.source === source);
  if (own.length > 0) {
    const signal = own.find((one) => one.field === field);
    return signal === undefined
      ? unknownField(
          source,
          field,
          own.map((one) => one.field),
        )
      : selfCounter(signal);
  }
  if (!isKnownSource(source)) return `there is no source ${source}${suggestion(source, sourceNames())}`;
  const found = describeMetric(source, field);
  return found.known ? sourceCounter(source, field) : unknownField(source, field, fieldsOf(source));
}

/** All counters, for the reference; those whose names hold a number (ICMP types) are left out. */
export function* allCounters(): Generator<KnownCounter & { readonly name: string }> {
  for (const { source, field } of knownFields()) yield { ...sourceCounter(source, field), name: `${source}.${field}` };
  for (const [probe, metrics] of byProbe) for (const [field, counter] of metrics) yield { ...counter, name: `${probe}.${field}` };
  for (const signal of selfSignals) yield { ...selfCounter(signal), name: `${signal.source}.${signal.field}` };
}

const byProbe: ReadonlyMap<string, ReadonlyMap<string, KnownCounter>> = new Map(
  probes.map(({ name, metrics }) => [name, new Map(metrics.map((metric) => [shortName(name, metric), probeCounter(name, metric)]))]),
);

/** jitterscope_tcpreset_sent_total → sent */
function shortName(probe: string, { name }: ProbeMetric): string {
  return name
    .slice(`jitterscope_${probe}_`.length)
    .replace(/_total$/, '')
    .replace(/_seconds$/, '');
}

function probeCounter(source: string, metric: ProbeMetric): KnownCounter {
  const isHistogram = metric.kind === 'histogram';
  const labels = metric.kind === 'histogram' ? [] : [metric.bucket?.label, metric.label?.label].filter((label) => label !== undefined);
  return {
    reference: { source, field: String(metric.number), kind: isHistogram ? 'histogram' : 'counter' },
    labels,
    of: 'namespace',
    meaning: metric.help,
    unit: metric.unit,
    toldBy: `the probe ${source}`,
  };
}

function sourceCounter(source: string, field: string): KnownCounter {
  const { type, help, scale, unit } = describeMetric(source, field);
  return {
    reference: { source, field, kind: type === 'gauge' ? 'gauge' : 'counter' },
    labels: labelsOfSources[source] ?? [],
    of: source === 'cgroup' ? 'container' : source === 'softnet' ? 'node' : 'namespace',
    meaning: help,
    unit: scale === 1 ? unit : scale === 1e-9 ? 'ns' : 'us',
    toldBy: `the source ${source}`,
  };
}

function selfCounter({ source, field, kind, labels, meaning }: (typeof selfSignals)[number]): KnownCounter {
  return { reference: { source, field, kind }, labels, of: source, meaning, unit: undefined, toldBy: 'the aggregator itself' };
}

function sourceNames(): string[] {
  const names = [...new Set([...knownFields()].map(({ source }) => source))];
  return [...names, ...byProbe.keys(), ...new Set(selfSignals.map(({ source }) => source))];
}

function fieldsOf(source: string): string[] {
  return [...knownFields()].filter((known) => known.source === source).map(({ field }) => field);
}

function unknownField(source: string, field: string, known: readonly string[]): string {
  const what = field === '' ? `found ${source} alone, expected ${source}.<field>` : `${source} has no field ${field}`;
  // ListenOverflows for TcpExt.ListenOverflows.
  const whole = known.find((name) => field !== '' && name.toLowerCase().endsWith(`.${field.toLowerCase()}`));
  if (whole !== undefined) return `${what}; did you mean ${source}.${whole}?`;
  const hint = suggestion(field, known);
  if (hint.startsWith('; did you mean ')) return `${what}${hint.replace('mean ', `mean ${source}.`)}`;
  return known.length <= maxListed ? `${what}${hint}` : `${what}; docs/reference/signals.md lists all`;
}
