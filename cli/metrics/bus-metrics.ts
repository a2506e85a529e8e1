import { aggregatorGroup } from '../../services/aggregator/main.ts';
import type { Pipeline } from '../pipeline.ts';
import type { MetricSet, Sample } from './metric-set.ts';

type Stats = ReturnType<Pipeline['bus']['stats']>[number];

/** The logs between the hops: how full, how often written, how far behind who reads them. */
export function addBusMetrics(set: MetricSet, pipeline: Pick<Pipeline, 'bus' | 'busLosses' | 'aggregator' | 'sinks'>): void {
  const perLog = (read: (stats: Stats) => number) => (): Sample[] =>
    pipeline.bus.stats().map((stats) => [{ topic: stats.topic, partition: String(stats.partition) }, read(stats)]);
  const labels = ['topic', 'partition'];
  set.gauge('jitterscope_bus_available', '1, or 0 while the brokers of a Kafka bus cannot be worked with.', [], () => [
    [{}, pipeline.bus.problem === undefined ? 1 : 0],
  ]);
  set.gauge(
    'jitterscope_bus_bytes',
    'Bytes on disk.',
    labels,
    perLog(({ bytes }) => bytes),
  );
  set.gauge(
    'jitterscope_bus_capacity_bytes',
    'Cap in force.',
    labels,
    perLog(({ maxBytes }) => maxBytes),
  );
  set.gauge(
    'jitterscope_bus_pending_bytes',
    'Bytes that wait to be written.',
    labels,
    perLog(({ pendingBytes }) => pendingBytes),
  );
  set.counter(
    'jitterscope_bus_commits_total',
    'Durable writes since the start.',
    labels,
    perLog(({ commits }) => commits),
  );
  set.counter(
    'jitterscope_bus_messages_total',
    'Messages ever appended.',
    labels,
    perLog(({ next }) => next),
  );
  set.counter(
    'jitterscope_bus_lost_messages_total',
    'Messages lost, by reason, and by the consumer group that had not read them where it is one.',
    ['topic', 'reason', 'group'],
    () => [...pipeline.busLosses.values()].map(({ topic, reason, group, messages }) => [{ topic, reason, group }, messages]),
  );
  set.counter('jitterscope_bus_lost_bytes_total', 'Bytes of lost messages, as far as they are known.', ['topic', 'reason', 'group'], () =>
    [...pipeline.busLosses.values()].map(({ topic, reason, group, bytes }) => [{ topic, reason, group }, bytes]),
  );
  set.gauge('jitterscope_group_lag_messages', 'Messages that a consumer group has not processed.', ['group', 'partition'], async () => {
    const groups = new Map([[aggregatorGroup, await pipeline.aggregator.lag()]]);
    for (const [sink, lag] of await pipeline.sinks.lag()) groups.set(`sink-${sink}`, lag);
    return [...groups].flatMap(([group, lags]) =>
      [...lags].map(([partition, lag]): Sample => [{ group, partition: String(partition) }, lag]),
    );
  });
}
