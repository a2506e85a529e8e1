import { probes } from '../../bpf/registry.ts';
import type { Aggregator } from '../../services/aggregator/main.ts';
import type { PartitionState } from '../../services/aggregator/partition-state.ts';
import type { WorkerTimes } from '../../services/aggregator/worker-times.ts';
import { byReason, type MetricSet, type Sample } from './metric-set.ts';

type Source = Pick<Aggregator, 'partitions' | 'times'>;

/** Hop 5. */
export function addAggregatorMetrics(set: MetricSet, aggregator: Source): void {
  const perPartition = (read: (state: PartitionState) => Sample[]) => (): Sample[] =>
    [...aggregator.partitions()].flatMap(([partition, state]) =>
      read(state).map(([labels, value]): Sample => [{ partition: String(partition), ...labels }, value]),
    );

  set.counter(
    'jitterscope_aggregator_items_total',
    'Items by disposition, since the partition began. in = event + counted + rejected + repeat + those held now, between two messages: a scrape may come while one is taken in; gap: never came.',
    ['partition', 'disposition', 'reason'],
    perPartition(({ dispositions: d }) => [
      [{ disposition: 'in' }, d.itemsIn],
      [{ disposition: 'event' }, d.events],
      [{ disposition: 'counted' }, d.counted],
      [{ disposition: 'repeat' }, d.repeats],
      [{ disposition: 'gap' }, d.gaps],
      ...byReason(d.rejected, { disposition: 'rejected' }),
    ]),
  );
  set.counter(
    'jitterscope_aggregator_skipped_items_total',
    'The part of the gaps that collectors declared, by reason.',
    ['partition', 'reason'],
    perPartition(({ dispositions }) => byReason(dispositions.skipped, {})),
  );
  set.counter(
    'jitterscope_aggregator_kernel_lost_records_total',
    'Records that the kernel had no room for, as collectors told: they were never items.',
    ['partition', 'probe'],
    perPartition(({ dispositions }) =>
      Object.entries(dispositions.kernelLost).map(([number, n]) => [{ probe: nameOf(Number(number)) }, n]),
    ),
  );
  set.counter(
    'jitterscope_aggregator_suppressed_events_total',
    'Events that token buckets withheld, as told by the events that follow.',
    ['partition'],
    perPartition(({ dispositions }) => [[{}, dispositions.suppressed]]),
  );
  set.counter(
    'jitterscope_aggregator_unidentified_items_total',
    'Items of whose local end nobody knew whose it is, after they had waited.',
    ['partition'],
    perPartition(({ dispositions }) => [[{}, dispositions.unidentified]]),
  );
  set.counter(
    'jitterscope_aggregator_refused_messages_total',
    'Messages that could not be read, now in the dead letters.',
    ['partition'],
    perPartition(({ dispositions }) => [[{}, dispositions.refusedMessages]]),
  );
  set.gauge(
    'jitterscope_aggregator_held_items',
    'Items that wait for an identity.',
    ['partition'],
    perPartition(({ dispositions }) => [[{}, dispositions.held]]),
  );
  set.counter(
    'jitterscope_aggregator_samples_total',
    'Targets and counters read from samples, by disposition.',
    ['partition', 'disposition', 'reason'],
    perPartition(({ series: { store } }) => [
      [{ disposition: 'in' }, store.counters.targets],
      [{ disposition: 'folded' }, store.counters.folded],
      [{ disposition: 'moved' }, store.counters.moved],
      ...byReason(store.counters.dropped, { disposition: 'dropped' }),
    ]),
  );
  set.gauge(
    'jitterscope_aggregator_series',
    'Series that are kept, those that ended a while ago included.',
    ['partition'],
    perPartition(({ series: { store } }) => [[{}, store.series]]),
  );
  set.counter(
    'jitterscope_aggregator_unseen_netns_total',
    'Network namespaces that came and went before they were read.',
    ['partition'],
    perPartition(({ series: { store } }) => [[{}, store.counters.unseenNetns]]),
  );
  set.gauge(
    'jitterscope_rules',
    'Rules that run.',
    ['partition'],
    perPartition(({ rules }) => [[{}, rules.rules.rules.length]]),
  );
  set.counter(
    'jitterscope_rules_findings_total',
    'Documents of findings: opened, updated, resolved.',
    ['partition'],
    perPartition(({ dispositions }) => [[{}, dispositions.findings]]),
  );
  set.counter(
    'jitterscope_rules_evictions_total',
    'Findings that were not opened because their rule had too many.',
    ['partition', 'rule'],
    perPartition(({ rules }) => Object.entries(rules.counters.evictions).map(([rule, n]) => [{ rule }, n] as const)),
  );
  set.counter(
    'jitterscope_rules_dropped_total',
    'What rules could not take: older than their windows, of nobody they know, an annotation that is no number.',
    ['partition', 'reason'],
    perPartition(({ rules: { counters } }) => [
      [{ reason: 'late' }, counters.late],
      [{ reason: 'unidentified' }, counters.unidentified],
      [{ reason: 'invalid_param' }, counters.invalidParams],
    ]),
  );
  addTimes(set, aggregator);
}

function addTimes(set: MetricSet, aggregator: Source): void {
  const perPartition = (read: (times: Readonly<WorkerTimes>) => Sample[]) => (): Sample[] =>
    [...aggregator.times()].flatMap(([partition, times]) =>
      read(times).map(([labels, value]): Sample => [{ partition: String(partition), ...labels }, value]),
    );
  set.counter(
    'jitterscope_aggregator_fetches_total',
    'Fetches of the raw log that were processed.',
    ['partition'],
    perPartition(({ fetches }) => [[{}, fetches]]),
  );
  set.counter(
    'jitterscope_aggregator_fetch_seconds_total',
    'Time that processing them took, with the waits for room in the output.',
    ['partition'],
    perPartition(({ fetchSeconds }) => [[{}, fetchSeconds]]),
  );
  set.counter(
    'jitterscope_aggregator_checkpoints_total',
    'Checkpoints by result.',
    ['partition', 'result'],
    perPartition(({ checkpoints, checkpointFailures }) => [
      [{ result: 'success' }, checkpoints],
      [{ result: 'failure' }, checkpointFailures],
    ]),
  );
  set.counter(
    'jitterscope_aggregator_checkpoint_seconds_total',
    'Time that writing checkpoints took.',
    ['partition'],
    perPartition(({ checkpointSeconds }) => [[{}, checkpointSeconds]]),
  );
  set.gauge(
    'jitterscope_aggregator_last_checkpoint_timestamp_seconds',
    'When the newest checkpoint of this process was written.',
    ['partition'],
    perPartition(({ lastCheckpointUnixMs }) => (lastCheckpointUnixMs === 0 ? [] : [[{}, lastCheckpointUnixMs / 1000]])),
  );
}

function nameOf(number: number): string {
  return probes.find((probe) => probe.number === number)?.name ?? String(number);
}
