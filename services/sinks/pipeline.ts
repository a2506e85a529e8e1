import { appendRetrying } from '../../core/bus/append-retrying.ts';
import type { Bus, Commit, Consumer, Fetch } from '../../core/bus/bus.ts';
import { encodeDeadLetter } from '../../core/dead-letter.ts';
import type { Log } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { encodeSingleEvent } from '../../schema/event-batch.ts';
import { type Intake, takeIn } from './intake.ts';
import type { DeliveryCounters, Dispositions } from './metrics.ts';
import { decodePosition, encodePosition, isBehind, noPosition, type Position } from './position.ts';
import { isOfThisStream } from './resume.ts';
import type { Delivery, Sink, StoredOrigin } from './sink.ts';

/** Bytes of one fetch: what is delivered between two commits, and what a crash can leave uncommitted. */
export const fetchMaxBytes = 1024 * 1024;

export interface PipelineOptions {
  /** Name of the sink; its consumer group is `sink-<name>`. */
  readonly name: string;
  readonly bus: Bus;
  /** Delivers all it is given (delivery.ts). */
  readonly sink: Sink;
  readonly counters: DeliveryCounters;
  readonly log: Log;
  /** Told after each commit. */
  committed?(partition: number, dispositions: Readonly<Dispositions>): void;
  revoked?(partition: number): void;
}

/** One assigned partition. */
interface Partition {
  position: Position;
  /** Last event the store held when the partition was assigned, past the committed position. */
  readonly stored: StoredOrigin | undefined;
  /** Messages below this offset may have been sent by the life before, as far as its one fetch went. */
  readonly suspectUntil: number;
  suspectBytes: number;
}

/**
 * The whole path of one sink: fetch, decode, drop repeats, count gaps, deliver, DLQ, commit. The offset moves only past
 * what is in the store or in the DLQ, together with the counts of what became of it.
 */
export async function startPipeline(options: PipelineOptions): Promise<Consumer> {
  const { name, bus, sink, counters, log } = options;
  const group = `sink-${name}`;
  const partitions = new Map<number, Partition>();

  async function assigned(partition: number, commit: Commit | undefined): Promise<undefined> {
    partitions.set(partition, await assign(options, partition, commit));
  }

  async function handle(fetch: Fetch, signal: AbortSignal): Promise<void> {
    const partition = partitions.get(fetch.partition) as Partition;
    const intake = takeIn(fetch, partition.position);
    if (intake.renumbered > 0)
      log.warn(
        { sink: name, partition: fetch.partition },
        'running event numbers went back: the aggregator lost its count, gaps before this cannot be told',
      );
    const items = intake.items.subarray(alreadyStored(intake, partition.stored));
    counters.resumedEvents += intake.items.length - items.length;
    const possiblyStored = sink.find !== undefined && isSuspect(partition, fetch);
    const batch = { partition: fetch.partition, view: intake.view, items, ...(possiblyStored && { possiblyStored }) };
    const delivery = items.length > 0 ? await sink.deliver(batch, signal) : {};
    const letters = [...deadLetters(name, fetch, intake, items, delivery)];
    if (letters.length > 0)
      await appendRetrying(bus, topics.deadLetters, fetch.partition % bus.partitions(topics.deadLetters), letters, log, signal);
    const position = settled(intake, delivery);
    await (await consumer).commit(fetch.partition, { offset: fetch.next, metadata: encodePosition(position) });
    partition.position = position;
    options.committed?.(fetch.partition, position.dispositions);
  }

  const consumer: Promise<Consumer> = bus.consume({
    group,
    topic: topics.events,
    maxBytes: fetchMaxBytes,
    assigned,
    handle,
    async revoked(partition) {
      partitions.delete(partition);
      options.revoked?.(partition);
    },
  });
  return consumer;
}

/** Where a partition goes on: behind the commit, and behind what the store holds already. */
async function assign(
  { name, bus, sink, log, committed }: PipelineOptions,
  partition: number,
  commit: Commit | undefined,
): Promise<Partition> {
  const { earliest, next } = await bus.offsets(topics.events, partition);
  let position = commit && decodePosition(commit.metadata);
  if (commit !== undefined && position === undefined) {
    log.warn(
      { sink: name, partition, metadata: commit.metadata.slice(0, 200) },
      'the committed metadata cannot be read: counts start anew at the committed offset',
    );
  }
  position ??= commit === undefined && earliest === 0 ? { ...noPosition, nextEvent: 0 } : noPosition;
  committed?.(partition, position.dispositions);

  let stored = sink.delivered?.(partition);
  if (stored !== undefined && !isBehind(stored.rawOffset, stored.ordinal, position.origin)) stored = undefined;
  const from = commit?.offset ?? earliest;
  if (
    stored !== undefined &&
    position.origin === undefined &&
    !(await isOfThisStream(bus, topics.events, partition, from, stored, 2 * fetchMaxBytes))
  ) {
    log.warn(
      { sink: name, partition, stored },
      'the store holds events of another bus: they stay, and this bus is delivered from its start',
    );
    stored = undefined;
  }
  return { position, stored, suspectUntil: next, suspectBytes: 2 * fetchMaxBytes };
}

/** How many of the new items the store holds already. */
function alreadyStored({ view, items }: Intake, stored: StoredOrigin | undefined): number {
  let held = 0;
  if (stored === undefined) return held;
  while (held < items.length && !isBehind(view.rawOffset(items[held]), view.ordinal(items[held]), stored)) held++;
  return held;
}

/** Whether a life before this one may have sent events of the fetch and not have committed them. */
function isSuspect(partition: Partition, fetch: Fetch): boolean {
  const first = fetch.messages[0];
  if (first === undefined || first.offset >= partition.suspectUntil || partition.suspectBytes <= 0) return false;
  for (const { value } of fetch.messages) partition.suspectBytes -= value.length;
  return true;
}

function* deadLetters(sink: string, fetch: Fetch, intake: Intake, items: Uint32Array, delivery: Delivery): Generator<Uint8Array> {
  const from = { stage: 'sink', target: sink, topic: fetch.topic, partition: fetch.partition } as const;
  for (const { message, error } of intake.undecodable)
    yield encodeDeadLetter({ ...from, error, offset: message.offset, payload: message.value });
  for (const { item, error } of delivery.rejected ?? []) {
    const row = items[item];
    const { view } = intake;
    const event = { id: view.id(row), rawOffset: view.rawOffset(row), ordinal: view.ordinal(row) };
    yield encodeDeadLetter({ ...from, error, offset: intake.messageOffset(row), event, payload: encodeSingleEvent(view, row) });
  }
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
