import { appendRetrying } from '../../core/bus/append-retrying.ts';
import type { Bus, Commit, Consumer, Fetch } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { alreadyStored, assign, countBelow, fetchBytes, type Partition } from './assignment.ts';
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

  /**
   * Commits, before anything is sent, how far this may get: whoever has the partition next asks the store for that, or counts it,
   * and no more. A sink whose store takes nothing from the first event on must be known to be behind, too.
   */
  async function begin(partition: Partition, fetch: Fetch, isSending: boolean): Promise<void> {
    const before = partition.position.begun;
    const begun = isSending && sink.find !== undefined ? Math.max(fetch.next, before ?? 0) : before;
    if (partition.offset !== undefined && begun === before) return;
    await commit(partition, fetch.partition, partition.offset ?? startOf(fetch), { ...partition.position, begun });
  }

  async function commit(partition: Partition, number: number, offset: number, position: Position): Promise<void> {
    await (await consumer).commit(number, { offset, metadata: encodePosition(position) });
    partition.offset = offset;
    partition.position = position;
  }

  async function handle(fetch: Fetch, signal: AbortSignal): Promise<void> {
    const partition = partitions.get(fetch.partition) as Partition;
    const intake = takeIn(fetch, partition.position);
    if (intake.renumbered > 0)
      log.warn(
        { code: 'SINK_EVENT_NUMBERS_WENT_BACK', sink: name, partition: fetch.partition },
        'running event numbers went back: the aggregator lost its count, gaps before this cannot be told',
      );
    const items = intake.items.subarray(alreadyStored(intake, partition.stored));
    counters.resumedEvents += intake.items.length - items.length;
    await begin(partition, fetch, items.length > 0);
    const suspectsBelow = (offset: number): number => (sink.find === undefined ? 0 : countBelow(offset, fetch, intake, items));
    const possiblyStored = suspectsBelow(Math.max(partition.begun, partition.position.guessed ?? 0));
    const batch = { partition: fetch.partition, view: intake.view, items, possiblyStored, begun: suspectsBelow(partition.begun) };
    const delivery: Delivery = items.length > 0 ? await sink.deliver(batch, signal) : {};
    const letters = [...deadLettersOf(name, fetch, intake, items, delivery)];
    if (letters.length > 0)
      await appendRetrying(bus, topics.deadLetters, fetch.partition % bus.partitions(topics.deadLetters), letters, log, signal);
    const beyond = (offset = 0): number | undefined => (offset > fetch.next ? offset : undefined);
    const { begun, guessed } = partition.position;
    const position = { ...settled(intake, delivery), begun: beyond(begun), guessed: beyond(guessed) };
    await commit(partition, fetch.partition, fetch.next, position);
    options.committed?.(fetch.partition, partition.position.dispositions);
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

/** Where a fetch begins, holes included. */
function startOf({ messages, holes, next }: Fetch): number {
  return Math.min(next, ...messages.slice(0, 1).map(({ offset }) => offset), ...holes.map(({ from }) => from));
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
