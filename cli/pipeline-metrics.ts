import { Counter, Gauge, Registry } from 'prom-client';
import type { ConfigReloader } from '../core/config/reload.ts';
import { metrics as metricNumbers } from '../schema/record.gen.ts';
import type { PartitionState } from '../services/aggregator/partition-state.ts';
import type { Collector } from '../services/collector/main.ts';
import type { Config } from './config.ts';
import type { Pipeline } from './pipeline.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** The pipeline's own metrics: read from plain numbers when somebody asks, never counted per record. */
export function pipelineMetrics(
  pipeline: Pipeline,
  collector: Collector | undefined,
  reloader: Pick<ConfigReloader<Config>, 'status'>,
): Registry {
  const registry = new Registry();
  const counter = (name: string, help: string, labelNames: string[], read: () => Iterable<Sample>): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        refill(this, read(), (labels, value) => this.inc(labels, value));
      },
    });
  };
  const gauge = (name: string, help: string, labelNames: string[], read: () => Iterable<Sample>): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        refill(this, read(), (labels, value) => this.set(labels, value));
      },
    });
  };
  const { gateway, aggregator, sinks, bus } = pipeline;

  counter('jitterscope_config_reloads_total', 'Times that the configuration was read again, by result.', ['result'], () => [
    [{ result: 'success' }, reloader.status.successes],
    [{ result: 'failure' }, reloader.status.failures],
  ]);
  gauge('jitterscope_config_last_reload_successful', '1 unless the newest configuration was refused.', [], () => [
    [{}, reloader.status.lastSuccessful ? 1 : 0],
  ]);
  gauge('jitterscope_config_last_reload_success_timestamp_seconds', 'When the configuration took effect.', [], () => [
    [{}, reloader.status.lastSuccessUnixMs / 1000],
  ]);
  gauge('jitterscope_config_pending_settings', 'Settings that take effect at the next start.', [], () => [
    [{}, reloader.status.pending.length],
  ]);

  if (collector !== undefined) {
    const { metrics } = collector;
    counter('jitterscope_collector_items_total', 'Items numbered.', [], () => [[{}, metrics.items]]);
    counter('jitterscope_collector_batches_total', 'Batches sealed.', [], () => [[{}, metrics.batches]]);
    counter('jitterscope_collector_skipped_items_total', 'Items given up by the spool.', [], () => [[{}, metrics.skippedItems]]);
    counter('jitterscope_collector_identity_scans_total', 'Looks at the network namespaces.', [], () => [[{}, metrics.identityScans]]);
    counter('jitterscope_collector_conntrack_lookups_total', 'Far ends by whether connection tracking was asked.', ['disposition'], () => [
      [{ disposition: 'asked' }, metrics.lookups],
      [{ disposition: 'over_limit' }, metrics.lookupsSkipped],
    ]);
    gauge('jitterscope_collector_in_flight_bytes', 'Bytes sent and not acked.', [], () => [[{}, metrics.inFlightBytes]]);
    gauge('jitterscope_collector_unobserved_seconds', 'Time before this start in which nobody listened.', [], () => [
      [{}, metrics.unobservedSeconds],
    ]);
    const { sampling } = metrics;
    counter('jitterscope_collector_sample_cycles_total', 'Times that all counters were read.', [], () => [[{}, sampling.cycles]]);
    counter('jitterscope_collector_sample_messages_total', 'Messages with samples.', [], () => [[{}, sampling.messages]]);
    counter('jitterscope_collector_sample_failures_total', 'Files and dumps that could not be read.', [], () => [[{}, sampling.failures]]);
    counter('jitterscope_collector_omitted_ports_total', 'Listening ports left out of a read, over all reads.', [], () => [
      [{}, sampling.omittedPorts],
    ]);
    counter(
      'jitterscope_collector_unseen_netns_total',
      'Network namespaces that went before they could be read; a lower bound.',
      [],
      () => [[{}, sampling.unseenNetns]],
    );
    counter(
      'jitterscope_collector_corrections_total',
      'Counters of the kernel that did not simply grow: reset, wrap, or repaired at a keyframe.',
      ['kind'],
      () => [
        [{ kind: 'reset' }, sampling.resets],
        [{ kind: 'wrap' }, sampling.wraps],
        [{ kind: 'repair' }, sampling.repairs],
      ],
    );
    gauge(
      'jitterscope_collector_sample_interval_seconds',
      'Interval in which all counters are read, stretched for what it costs.',
      [],
      () => [[{}, sampling.intervalSeconds]],
    );
    gauge('jitterscope_collector_sample_cycle_seconds', 'Time that reading all counters took the last time.', [], () => [
      [{}, sampling.cycleSeconds],
    ]);
    gauge('jitterscope_collector_sample_longest_slice_seconds', 'Longest time without a pause while counters are read.', [], () => [
      [{}, sampling.longestSliceSeconds],
    ]);
    gauge('jitterscope_collector_sampled_netns', 'Network namespaces held for reading.', [], () => [[{}, sampling.netns]]);
    gauge('jitterscope_collector_sampled_targets', 'Namespaces, devices, ports, CPUs and containers with counters.', [], () => [
      [{}, sampling.targets],
    ]);
    counter('jitterscope_kernel_events_total', 'Events of probes by what the kernel did with them.', ['disposition'], () => {
      const totals = collector.counters();
      return [
        [{ disposition: 'emitted' }, totals.sum(metricNumbers.EMITTED)],
        [{ disposition: 'suppressed' }, totals.sum(metricNumbers.SUPPRESSED)],
        [{ disposition: 'ring_full' }, totals.sum(metricNumbers.RING_FULL)],
      ];
    });
  }
  counter('jitterscope_gateway_items_total', 'Items by disposition.', ['disposition'], () => [
    [{ disposition: 'in' }, gateway.metrics.itemsIn],
    [{ disposition: 'appended' }, gateway.metrics.itemsQueued],
    [{ disposition: 'repeat' }, gateway.metrics.repeatedItems],
  ]);
  counter('jitterscope_gateway_invalid_messages_total', 'Messages that could not be read.', [], () => [
    [{}, gateway.metrics.invalidMessages],
  ]);
  gauge('jitterscope_gateway_streams', 'Streams open.', [], () => [[{}, gateway.metrics.streams]]);
  gauge('jitterscope_gateway_queued_bytes', 'Bytes that wait for durability.', [], () => [[{}, gateway.metrics.queuedBytes]]);

  counter('jitterscope_aggregator_items_total', 'Items by disposition, since the partition began.', ['partition', 'disposition'], () =>
    [...aggregator.partitions()].flatMap(([partition, { dispositions: d }]): Sample[] => {
      const of = (disposition: string, value: number): Sample => [{ partition: String(partition), disposition }, value];
      return [
        of('in', d.itemsIn),
        of('event', d.events),
        of('counted', d.counted),
        of('repeat', d.repeats),
        of('gap', d.gaps),
        ...Object.entries(d.rejected).map(([reason, n]) => of(`rejected_${reason}`, n)),
        ...Object.entries(d.skipped).map(([reason, n]) => of(`skipped_${reason}`, n)),
      ];
    }),
  );
  gauge('jitterscope_aggregator_held_items', 'Items that wait for an identity.', ['partition'], () =>
    [...aggregator.partitions()].map(([partition, state]): Sample => [{ partition: String(partition) }, state.dispositions.held]),
  );

  const perPartition = (read: (state: PartitionState) => Sample[]): Sample[] =>
    [...aggregator.partitions()].flatMap(([partition, state]) =>
      read(state).map(([labels, value]): Sample => [{ partition: String(partition), ...labels }, value]),
    );
  counter(
    'jitterscope_aggregator_samples_total',
    'Targets and counters read from samples, by disposition.',
    ['partition', 'disposition'],
    () =>
      perPartition(({ series: { store } }) => [
        [{ disposition: 'in' }, store.counters.targets],
        [{ disposition: 'folded' }, store.counters.folded],
        [{ disposition: 'moved' }, store.counters.moved],
        ...Object.entries(store.counters.dropped).map(([reason, n]): Sample => [{ disposition: `dropped_${reason}` }, n]),
      ]),
  );
  gauge('jitterscope_aggregator_series', 'Series that are kept, those that ended a while ago included.', ['partition'], () =>
    perPartition(({ series: { store } }) => [[{}, store.series]]),
  );
  counter('jitterscope_aggregator_unseen_netns_total', 'Network namespaces that came and went before they were read.', ['partition'], () =>
    perPartition(({ series: { store } }) => [[{}, store.counters.unseenNetns]]),
  );
  const { prometheus } = pipeline;
  if (prometheus !== undefined) {
    gauge('jitterscope_prometheus_series', 'Series of nodes and Pods that are shown.', [], () => [[{}, prometheus.counters.series]]);
    counter('jitterscope_prometheus_messages_total', 'Messages with metrics, by disposition.', ['disposition'], () => {
      const { messages, repeats, undecodable, keyframes } = prometheus.counters;
      return Object.entries({ in: messages, repeat: repeats, undecodable, keyframe: keyframes }).map(([disposition, n]) => [
        { disposition },
        n,
      ]);
    });
    counter('jitterscope_prometheus_folded_series_total', 'Series beyond the cap of their metric: they are part of other.', [], () => [
      [{}, prometheus.counters.folded],
    ]);
  }

  counter(
    'jitterscope_sink_events_total',
    'Events by disposition, since the first commit of the sink.',
    ['sink', 'partition', 'disposition'],
    () =>
      sinks.stats().flatMap(({ sink, partitions }) =>
        [...partitions].flatMap(([partition, d]): Sample[] => {
          const of = (disposition: string, value: number): Sample => [{ sink, partition: String(partition), disposition }, value];
          return [
            of('in', d.in),
            of('delivered', d.delivered),
            of('rejected', d.rejected),
            of('repeat', d.repeat),
            ...Object.entries(d.lost).map(([reason, n]) => of(`lost_${reason}`, n)),
          ];
        }),
      ),
  );
  gauge('jitterscope_sink_ready', '1 while the sink delivers.', ['sink'], () =>
    sinks.stats().map(({ sink, status }): Sample => [{ sink }, status === 'delivering' ? 1 : 0]),
  );

  gauge('jitterscope_bus_bytes', 'Bytes on disk.', ['topic', 'partition'], () =>
    bus.stats().map((s): Sample => [{ topic: s.topic, partition: String(s.partition) }, s.bytes]),
  );
  gauge('jitterscope_bus_capacity_bytes', 'Cap in force.', ['topic', 'partition'], () =>
    bus.stats().map((s): Sample => [{ topic: s.topic, partition: String(s.partition) }, s.maxBytes]),
  );
  counter('jitterscope_bus_lost_total', 'Messages lost (torn_tail: bytes), by topic, reason and group.', ['what'], () =>
    [...pipeline.busLosses].map(([what, n]): Sample => [{ what }, n]),
  );
  return registry;
}

function refill(metric: { reset(): void }, samples: Iterable<Sample>, put: (labels: Labels, value: number) => void): void {
  metric.reset();
  for (const [labels, value] of samples) put(labels, value);
}
