import { topics } from '../../proto/bus.ts';
import type { Collector } from '../../services/collector/main.ts';
import type { Pipeline } from '../pipeline.ts';
import { byReason, type MetricSet, type Sample } from './metric-set.ts';

interface Fill {
  readonly queue: string;
  readonly partition: string;
  readonly depthBytes: number;
  readonly capacityBytes: number;
}

/**
 * Every queue of the path in one way: how full it is, what it takes, what it dropped. spool: batches that are not acked;
 * gateway: messages that wait for durability; raw: behind the newest checkpoint; held: records that wait for an identity;
 * events/<sink>: what the sink has not read. raw, held and gateway drop nothing: who fills them waits, or goes on unknown.
 * Of separate roles the gateways tell all but the spools: they know it of the others' commits, also when those are away.
 */
export function addQueueMetrics(
  set: MetricSet,
  pipeline: Pick<Pipeline, 'bus' | 'figures' | 'sinks' | 'deadLetters' | 'prometheus' | 'tellsAll'>,
  collector: Pick<Collector, 'spool' | 'metrics'> | undefined,
): void {
  const partitions = (): number => (pipeline.tellsAll ? pipeline.bus.partitions(topics.raw) : 0);
  const fills = (): Fill[] => {
    const found: Fill[] = [];
    if (collector !== undefined) {
      const { bytes, maxBytes } = collector.spool();
      found.push({ queue: 'spool', partition: '', depthBytes: bytes, capacityBytes: maxBytes });
    }
    for (let partition = 0; partition < partitions(); partition++) {
      const { queues } = pipeline.figures(partition);
      for (const { queue, depthBytes, capacityBytes } of queues ?? [])
        found.push({ queue: queue ?? '', partition: String(partition), depthBytes: depthBytes ?? 0, capacityBytes: capacityBytes ?? 0 });
    }
    return found;
  };
  const gauge = (name: string, help: string, read: (fill: Fill) => number): void =>
    set.gauge(name, help, ['queue', 'partition'], () =>
      fills().map((fill): Sample => {
        const { queue, partition } = fill;
        return [partition === '' ? { queue } : { queue, partition }, read(fill)];
      }),
    );
  gauge('jitterscope_queue_depth_bytes', 'Bytes that wait in a queue.', ({ depthBytes }) => depthBytes);
  gauge('jitterscope_queue_capacity_bytes', 'Bytes that a queue takes at most.', ({ capacityBytes }) => capacityBytes);
  set.counter(
    'jitterscope_queue_dropped_items_total',
    'Items and events that a queue gave up, by reason. spool: since the start; events: since the first commit of the sink.',
    ['queue', 'reason', 'partition'],
    () => [
      ...(collector === undefined
        ? []
        : byReason({ spool_full: 0, spool_damaged: 0, disk_full: 0, ...collector.metrics.skipped }, { queue: 'spool' })),
      ...pipeline.sinks
        .stats()
        .flatMap(({ sink, partitions }) =>
          [...partitions].flatMap(([partition, { lost }]) => byReason(lost, { queue: `events/${sink}`, partition: String(partition) })),
        ),
    ],
  );
  // Totals stay with their partition when that goes to another process: in a sum of partitions it would look like new letters.
  set.counter(
    'jitterscope_dead_letters_total',
    'Messages and events that went to the dead letters, by stage. prometheus: since the start.',
    ['stage', 'partition'],
    () => {
      const samples: Sample[] = [];
      for (let partition = 0; partition < partitions(); partition++) {
        const { deadLetters } = pipeline.figures(partition);
        for (const { name, total } of deadLetters ?? []) samples.push([{ stage: name ?? '', partition: String(partition) }, total ?? 0]);
      }
      if (pipeline.prometheus !== undefined) samples.push([{ stage: 'prometheus' }, pipeline.prometheus.counters.undecodable]);
      return samples;
    },
  );
  set.gauge(
    'jitterscope_dead_letters_waiting',
    'Dead letters of all stages that nobody has replayed or purged. Processes with sinks share the partitions: their sum is the number.',
    [],
    () => (pipeline.deadLetters === undefined ? [] : [[{}, pipeline.deadLetters.waiting]]),
  );
  set.counter(
    'jitterscope_dead_letters_lost_total',
    'Dead letters that retention took while they waited, since the start; of what went while nobody counted all messages.',
    [],
    () => (pipeline.deadLetters === undefined ? [] : [[{}, pipeline.deadLetters.lost]]),
  );
}
