import type { SinkCounters } from '../../services/sinks/metrics.ts';
import type { PrometheusSink } from '../../services/sinks/prometheus/index.ts';
import { byReason, type MetricSet, type Sample } from './metric-set.ts';

const statuses = ['starting', 'delivering', 'retrying', 'paused', 'closed'] as const;

/** Hop 6: the sinks of events. */
export function addSinkMetrics(set: MetricSet, stats: () => readonly SinkCounters[]): void {
  const perSink = (read: (counters: SinkCounters) => Sample[]) => (): Sample[] =>
    stats().flatMap((counters) => read(counters).map(([labels, value]): Sample => [{ sink: counters.sink, ...labels }, value]));

  set.counter(
    'jitterscope_sink_events_total',
    'Events by disposition, since the first commit of the sink. in = delivered + rejected + repeat; lost: never read.',
    ['sink', 'partition', 'disposition', 'reason'],
    perSink(({ partitions }) =>
      [...partitions].flatMap(([number, d]): Sample[] => {
        const partition = String(number);
        return [
          [{ partition, disposition: 'in' }, d.in],
          [{ partition, disposition: 'delivered' }, d.delivered],
          [{ partition, disposition: 'rejected' }, d.rejected],
          [{ partition, disposition: 'repeat' }, d.repeat],
          ...byReason(d.lost, { partition, disposition: 'lost' }),
        ];
      }),
    ),
  );
  set.gauge(
    'jitterscope_sink_status',
    '1 for the status of the sink: starting, delivering, retrying (the store may recover), paused (an operator has to mend something).',
    ['sink', 'status'],
    perSink(({ status }) => statuses.map((one) => [{ status: one }, one === status ? 1 : 0])),
  );
  set.gauge(
    'jitterscope_sink_ready',
    '1 while the sink delivers.',
    ['sink'],
    perSink(({ status }) => [[{}, status === 'delivering' ? 1 : 0]]),
  );
  set.counter(
    'jitterscope_sink_requests_total',
    'Requests to the store.',
    ['sink'],
    perSink(({ delivery }) => [[{}, delivery.requests]]),
  );
  set.counter(
    'jitterscope_sink_request_seconds_total',
    'Time spent in requests to the store.',
    ['sink'],
    perSink(({ delivery }) => [[{}, delivery.requestSeconds]]),
  );
  set.counter(
    'jitterscope_sink_sent_events_total',
    'Events in requests, those sent again included.',
    ['sink'],
    perSink(({ delivery }) => [[{}, delivery.sentEvents]]),
  );
  set.counter(
    'jitterscope_sink_sent_bytes_total',
    'Bytes of events in requests, those sent again included.',
    ['sink'],
    perSink(({ delivery }) => [[{}, delivery.sentBytes]]),
  );
  set.counter(
    'jitterscope_sink_failures_total',
    'Failed requests, and requests with events to send again, by code of the error.',
    ['sink', 'code'],
    perSink(({ delivery }) => Object.entries(delivery.failures).map(([code, n]) => [{ code }, n])),
  );
  set.counter(
    'jitterscope_sink_retried_events_total',
    'Events sent again.',
    ['sink'],
    perSink(({ delivery }) => [[{}, delivery.retriedEvents]]),
  );
  set.counter(
    'jitterscope_sink_possibly_duplicated_events_total',
    'Events sent again without knowing whether the store holds them.',
    ['sink'],
    perSink(({ delivery }) => [[{}, delivery.possiblyDuplicatedEvents]]),
  );
  addElasticsearchMetrics(set, stats);
}

function addElasticsearchMetrics(set: MetricSet, stats: () => readonly SinkCounters[]): void {
  const of = (name: string) => (): Sample[] =>
    stats()
      .filter(({ sink }) => sink === 'elasticsearch')
      .map(({ store }): Sample => [{}, store[name] ?? 0]);
  set.counter(
    'jitterscope_elasticsearch_already_stored_events_total',
    'Events that Elasticsearch held already when they were sent: sent again after a crash or without an answer, and not stored twice.',
    [],
    of('alreadyStored'),
  );
  set.counter('jitterscope_elasticsearch_request_bytes_total', 'Bytes of bulk requests before compression.', [], of('requestBytes'));
}

/** Hop 6: what /metrics shows of nodes and Pods. */
export function addPrometheusMetrics(set: MetricSet, sink: Pick<PrometheusSink, 'counters'> | undefined): void {
  const of = (read: (counters: PrometheusSink['counters']) => Sample[]) => (): Sample[] => (sink === undefined ? [] : read(sink.counters));
  set.gauge(
    'jitterscope_prometheus_series',
    'Series of nodes and Pods that are shown.',
    [],
    of(({ series }) => [[{}, series]]),
  );
  set.counter(
    'jitterscope_prometheus_messages_total',
    'Messages with metrics, by disposition.',
    ['disposition'],
    of(({ messages, repeats, undecodable, keyframes }) => [
      [{ disposition: 'in' }, messages],
      [{ disposition: 'repeat' }, repeats],
      [{ disposition: 'undecodable' }, undecodable],
      [{ disposition: 'keyframe' }, keyframes],
    ]),
  );
  set.counter(
    'jitterscope_prometheus_folded_series_total',
    'Series beyond the cap of their metric: they are part of other.',
    [],
    of(({ folded }) => [[{}, folded]]),
  );
}
