import { probes } from '../../bpf/registry.ts';
import { metrics as metricNumbers } from '../../schema/record.gen.ts';
import type { CounterTotals } from '../../services/collector/counters.ts';
import type { Collector } from '../../services/collector/main.ts';
import { byReason, type MetricSet, type Sample } from './metric-set.ts';

const kernelDispositions = new Map<number, string>([
  [metricNumbers.EMITTED, 'emitted'],
  [metricNumbers.SUPPRESSED, 'suppressed'],
  [metricNumbers.RING_FULL, 'ring_full'],
]);

/** Hops 1 to 3: what the kernel did with events, what the collector numbered, read and sent. */
export function addCollectorMetrics(set: MetricSet, collector: Collector | undefined): void {
  const of = (read: (collector: Collector) => Sample[]) => (): Sample[] => (collector === undefined ? [] : read(collector));
  const one = (read: (collector: Collector) => number) => of((running) => [[{}, read(running)]]);
  const { counter, gauge } = bound(set);
  const totals = lately((running: Collector) => running.counters());

  counter(
    'jitterscope_kernel_events_total',
    'Events of probes by what the kernel did with them.',
    ['probe', 'disposition'],
    of((running) => kernelEvents(totals(running))),
  );
  counter(
    'jitterscope_kernel_uncounted_increments_total',
    'Increments that are in no counter, because the counter map was full.',
    [],
    one((running) => totals(running).uncounted),
  );
  gauge(
    'jitterscope_probe_state',
    '1 for the state in which a probe is: enabled, degraded, failed, disabled.',
    ['probe', 'state'],
    of((running) => running.probes().map(({ name, state }) => [{ probe: name, state }, 1])),
  );

  counter(
    'jitterscope_collector_items_total',
    'Items numbered.',
    [],
    one(({ metrics }) => metrics.items),
  );
  counter(
    'jitterscope_collector_batches_total',
    'Batches sealed.',
    [],
    one(({ metrics }) => metrics.batches),
  );
  counter(
    'jitterscope_collector_skipped_items_total',
    'Items given up: the spool was full or damaged, or the disk refused them.',
    ['reason'],
    of(({ metrics }) => byReason({ spool_full: 0, spool_damaged: 0, disk_full: 0, ...metrics.skipped }, {})),
  );
  counter(
    'jitterscope_collector_identity_scans_total',
    'Looks at the network namespaces.',
    [],
    one(({ metrics }) => metrics.identityScans),
  );
  counter(
    'jitterscope_collector_conntrack_lookups_total',
    'Far ends by whether connection tracking was asked.',
    ['disposition'],
    of(({ metrics }) => [
      [{ disposition: 'asked' }, metrics.lookups],
      [{ disposition: 'over_limit' }, metrics.lookupsSkipped],
    ]),
  );
  gauge(
    'jitterscope_collector_in_flight_bytes',
    'Bytes sent and not acked.',
    [],
    one(({ metrics }) => metrics.inFlightBytes),
  );
  gauge(
    'jitterscope_collector_unobserved_seconds',
    'Time before this start in which nobody listened.',
    [],
    one(({ metrics }) => metrics.unobservedSeconds),
  );
  addSamplingMetrics(set, collector);
}

function addSamplingMetrics(set: MetricSet, collector: Collector | undefined): void {
  const { counter, gauge } = bound(set);
  const one = (read: (sampling: Collector['metrics']['sampling']) => number) => (): Sample[] =>
    collector === undefined ? [] : [[{}, read(collector.metrics.sampling)]];
  counter(
    'jitterscope_collector_sample_cycles_total',
    'Times that all counters were read.',
    [],
    one(({ cycles }) => cycles),
  );
  counter(
    'jitterscope_collector_sample_messages_total',
    'Messages with samples.',
    [],
    one(({ messages }) => messages),
  );
  counter(
    'jitterscope_collector_sample_failures_total',
    'Files and dumps that could not be read.',
    [],
    one(({ failures }) => failures),
  );
  counter(
    'jitterscope_collector_omitted_ports_total',
    'Listening ports left out of a read, over all reads.',
    [],
    one(({ omittedPorts }) => omittedPorts),
  );
  counter(
    'jitterscope_collector_unseen_netns_total',
    'Network namespaces that went before they could be read; a lower bound.',
    [],
    one(({ unseenNetns }) => unseenNetns),
  );
  counter(
    'jitterscope_collector_corrections_total',
    'Counters of the kernel that did not simply grow: reset, wrap, or repaired at a keyframe.',
    ['kind'],
    () => {
      if (collector === undefined) return [];
      const { resets, wraps, repairs } = collector.metrics.sampling;
      return Object.entries({ reset: resets, wrap: wraps, repair: repairs }).map(([kind, n]): Sample => [{ kind }, n]);
    },
  );
  gauge(
    'jitterscope_collector_sample_interval_seconds',
    'Interval in which all counters are read, stretched for what it costs.',
    [],
    one(({ intervalSeconds }) => intervalSeconds),
  );
  gauge(
    'jitterscope_collector_sample_cycle_seconds',
    'Time that reading all counters took the last time.',
    [],
    one(({ cycleSeconds }) => cycleSeconds),
  );
  gauge(
    'jitterscope_collector_sample_longest_slice_seconds',
    'Longest time without a pause while counters are read.',
    [],
    one(({ longestSliceSeconds }) => longestSliceSeconds),
  );
  gauge(
    'jitterscope_collector_sampled_netns',
    'Network namespaces held for reading.',
    [],
    one(({ netns }) => netns),
  );
  gauge(
    'jitterscope_collector_sampled_targets',
    'Namespaces, devices, ports, CPUs and containers with counters.',
    [],
    one(({ targets }) => targets),
  );
}

/** One reading of all counters is enough for the metrics of one scrape. */
const sameScrapeMs = 500;

function lately<Source, Value>(read: (source: Source) => Value): (source: Source) => Value {
  let last: { readonly atMs: number; readonly value: Value } | undefined;
  return (source) => {
    const atMs = performance.now();
    if (last === undefined || atMs - last.atMs > sameScrapeMs) last = { atMs, value: read(source) };
    return last.value;
  };
}

/** In one pass: there are many counters. */
function kernelEvents(totals: CounterTotals): Sample[] {
  const sums = new Map<string, number>();
  for (const { metric, bucket, value } of totals.all()) {
    if (kernelDispositions.has(metric)) sums.set(`${bucket} ${metric}`, (sums.get(`${bucket} ${metric}`) ?? 0) + value);
  }
  return probes.flatMap(({ name, number }) =>
    [...kernelDispositions].map(([metric, disposition]): Sample => [{ probe: name, disposition }, sums.get(`${number} ${metric}`) ?? 0]),
  );
}

function bound(set: MetricSet): Pick<MetricSet, 'counter' | 'gauge'> {
  return { counter: set.counter.bind(set), gauge: set.gauge.bind(set) };
}
