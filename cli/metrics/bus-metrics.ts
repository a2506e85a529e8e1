import type { LogStats } from '../../core/bus/bus.ts';
import { topics } from '../../proto/bus.ts';
import { aggregatorGroup } from '../../services/aggregator/main.ts';
import { sinkGroup } from '../../services/sinks/pipeline.ts';
import { eventSinks } from '../bus.ts';
import type { Pipeline } from '../pipeline.ts';
import type { MetricSet, Sample } from './metric-set.ts';

type BusMetricsSource = Pick<Pipeline, 'bus' | 'busName' | 'busLosses' | 'aggregator' | 'sinks' | 'tellsAll'>;

/** The logs between the hops: how full, how often written, how far behind who reads them. */
export function addBusMetrics(set: MetricSet, pipeline: BusMetricsSource): void {
  const perLog = (read: (stats: LogStats) => number) => (): Sample[] =>
    pipeline.bus.stats().map((stats) => [{ topic: stats.topic, partition: String(stats.partition) }, read(stats)]);
  const labels = ['topic', 'partition'];
  set.gauge('jitterscope_bus_info', '1; the bus in its label. What several processes tell of one bus is the same figure.', ['bus'], () =>
    pipeline.busName === undefined ? [] : [[{ bus: pipeline.busName }, 1]],
  );
  set.gauge('jitterscope_bus_available', '1, or 0 while the brokers of a Kafka bus cannot be worked with.', [], () => [
    [{}, pipeline.bus.problem === undefined ? 1 : 0],
  ]);
  set.gauge(
    'jitterscope_bus_bytes',
    'Bytes on disk; over Kafka those of messages that can still be read, about, of one replica.',
    labels,
    perLog(({ bytes }) => bytes),
  );
  set.gauge(
    'jitterscope_bus_capacity_bytes',
    'Cap in force of one partition. Over Kafka of raw: above the newest checkpoint.',
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
  set.gauge(
    'jitterscope_group_lag_messages',
    'Messages that a consumer group has not processed; over Kafka as it was a moment ago. A gateway tells of all sinks, by what they committed; of the aggregator only who runs it knows.',
    ['group', 'partition'],
    () => lags(pipeline),
  );
}

/** Of the partitions that this process works on; of all sinks, where nobody else may be there to tell. */
function* lags({ bus, aggregator, sinks, tellsAll }: BusMetricsSource): Generator<Sample> {
  const processed = aggregator.partitions();
  const own = new Map(sinks.stats().map(({ sink, partitions }) => [sink, partitions]));
  for (const { topic, partition, earliest, next } of bus.stats()) {
    const sampleOf = (group: string, offset: number | undefined): Sample => [
      { group, partition: String(partition) },
      Math.max(0, next - Math.max(earliest, offset ?? earliest)),
    ];
    if (topic === topics.raw) {
      // What this group has committed is its newest checkpoint, which is no measure of what it has processed.
      const offset = processed.get(partition)?.rawOffset;
      if (offset !== undefined) yield sampleOf(aggregatorGroup, offset);
    } else if (topic === topics.events) {
      for (const sink of new Set([...own.keys(), ...(tellsAll ? eventSinks : [])])) {
        const offset = bus.position(sinkGroup(sink), topic, partition)?.offset;
        if (own.get(sink)?.has(partition) === true || (tellsAll && offset !== undefined)) yield sampleOf(sinkGroup(sink), offset);
      }
    }
  }
}
