import { appendRetrying } from '../../core/bus/append-retrying.ts';
import type { Bus, Commit, Consumer, Fetch } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { alreadyStored, assign, fetchBytes, isSuspect, type Partition } from './assignment.ts';
import { deadLettersOf } from './dead-letters.ts';
import { type Intake, takeIn } from './intake.ts';
import type { DeliveryCounters, Dispositions } from './metrics.ts';
import { encodePosition, type Position } from './position.ts';
import type { Delivery, Sink } from './sink.ts';

export interface PipelineOptions {
  /** Name of the sink; its consumer group is `sink-<name>`. */
  readonly name: string;
  readonly bus: Bus;
  /** Delivers all it is given (delivery.ts). */
  readonly sink: Sink;
  readonly counters: DeliveryCounters;
  readonly log: Log;
  /** Told when a partition is given to this process, with what was committed before. */
  assigned?(partition: number, dispositions: Readonly<Dispositions>): void;
  /** Told after each commit. */
  committed?(partition: number, dispositions: Readonly<Dispositions>): void;
  revoked?(partition: number): void;
}

/** The consumer group of a sink. */
export function sinkGroup(sink: string): string {
  return `sink-${sink}`;
}

/**
 * The whole path of one sink: fetch, decode, drop repeats, count gaps, deliver, DLQ, commit. The offset moves only past
 * what is in the store or in the DLQ, together with the counts of what became of it.
 */
export async function startPipeline(options: PipelineOptions): Promise<Consumer> {
  const { name, bus, sink, counters, log } = options;
  const partitions = new Map<number, Partition>();

  async function assigned(partition: number, commit: Commit | undefined): Promise<undefined> {
    const found = await assign(options, partition, commit);
    partitions.set(partition, found);
    options.assigned?.(partition, found.position.dispositions);
  }

  /** A sink whose store takes nothing from the first event on must be known to be behind, too. */
  async function tellStart(partition: Partition, fetch: Fetch): Promise<void> {
    if (partition.isCommitted) return;
    partition.isCommitted = true;
    const offset = Math.min(fetch.next, ...fetch.messages.slice(0, 1).map((first) => first.offset), ...fetch.holes.map(({ from }) => from));
    await (await consumer).commit(fetch.partition, { offset, metadata: encodePosition(partition.position) });
  }

  async function handle(fetch: Fetch, signal: AbortSignal): Promise<void> {
    const partition = partitions.get(fetch.partition) as Partition;
    await tellStart(partition, fetch);
    const intake = takeIn(fetch, partition.position);
    if (intake.renumbered > 0)
      log.warn(
        { code: 'SINK_EVENT_NUMBERS_WENT_BACK', sink: name, partition: fetch.partition },
        'running event numbers went back: the aggregator lost its count, gaps before this cannot be told',
      );
    const items = intake.items.subarray(alreadyStored(intake, partition.stored));
    counters.resumedEvents += intake.items.length - items.length;
    const possiblyStored = sink.find !== undefined && isSuspect(partition, fetch);
    const batch = { partition: fetch.partition, view: intake.view, items, ...(possiblyStored && { possiblyStored }) };
    const delivery = items.length > 0 ? await sink.deliver(batch, signal) : {};
    const letters = [...deadLettersOf(name, fetch, intake, items, delivery)];
    if (letters.length > 0)
      await appendRetrying(bus, topics.deadLetters, fetch.partition % bus.partitions(topics.deadLetters), letters, log, signal);
    const position = settled(intake, delivery);
    await (await consumer).commit(fetch.partition, { offset: fetch.next, metadata: encodePosition(position) });
    partition.position = position;
    options.committed?.(fetch.partition, position.dispositions);
  }

  const consumer: Promise<Consumer> = bus.consume({
    group: sinkGroup(name),
    topic: topics.events,
    maxBytes: fetchBytes(bus.partitions(topics.events)),
    assigned,
    handle,
    async revoked(partition) {
      partitions.delete(partition);
      options.revoked?.(partition);
    },
  });
  return consumer;
}

/** The position behind a fetch of which everything is in the store or in the DLQ. */
function settled({ items, position }: Intake, delivery: Delivery): Position {
  const { dispositions } = position;
  const rejected = delivery.rejected?.length ?? 0;
  return {
    ...position,
    dispositions: {
      ...dispositions,
      delivered: dispositions.delivered + items.length - rejected,
      rejected: dispositions.rejected + rejected,
    },
  };
}
