import type { SinkCounters } from '../../services/sinks/metrics.ts';
import type { MetricSet, Sample } from './metric-set.ts';

/** What the Loki sink counts beside what all sinks do; 0 while it is off. */
export function addLokiMetrics(set: MetricSet, stats: () => readonly SinkCounters[]): void {
  const ofLoki = (read: (counters: SinkCounters) => number | undefined) => (): Sample[] =>
    stats()
      .filter(({ sink }) => sink === 'loki')
      .map((counters): Sample => [{}, read(counters) ?? 0]);

  set.counter(
    'jitterscope_loki_possibly_duplicated_events_total',
    'Events sent to Loki again without knowing whether it holds them: it may not be asked, or they are too old to be seen.',
    [],
    ofLoki(({ delivery }) => delivery.possiblyDuplicatedEvents),
  );
  set.counter(
    'jitterscope_loki_pushes_total',
    'Pushes to Loki, repeated ones included; each holds one stream.',
    [],
    ofLoki(({ store }) => store.pushes),
  );
  set.counter(
    'jitterscope_loki_wire_bytes_total',
    'Bytes of pushes as they went over the wire.',
    [],
    ofLoki(({ store }) => store.wireBytes),
  );
  set.counter(
    'jitterscope_loki_backfilled_events_total',
    'Events sent to the backfill stream of their node, because they were too late for their own.',
    [],
    ofLoki(({ store }) => store.backfilledEvents),
  );
  set.counter(
    'jitterscope_loki_withheld_events_total',
    'Events that went to the dead letters without being sent: Loki would have refused them for their size or time.',
    [],
    ofLoki(({ store }) => store.withheldEvents),
  );
  set.counter(
    'jitterscope_loki_lookups_total',
    'Times that Loki was asked which events it holds.',
    [],
    ofLoki(({ store }) => store.lookUps),
  );
}
