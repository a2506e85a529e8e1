import type { Bus, Commit, Fetch } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import type { Intake } from './intake.ts';
import { decodePosition, isBehind, noPosition, type Position } from './position.ts';
import type { Sink, StoredOrigin } from './sink.ts';

/** Two fetches read a segment of the embedded log (16 MiB), of whose end each leaves a cut message to the next. */
const maxFetchBytes = 9 * 1024 * 1024;
const minFetchBytes = 512 * 1024;

/** What a crash can leave uncommitted: one fetch, with room for a message that is larger than a fetch should be. */
export const uncommittedBytes = 2 * maxFetchBytes;

/** Bytes of one fetch: what is delivered between two commits. All partitions together stay near 9 MiB. */
export function fetchBytes(partitions: number): number {
  return Math.max(minFetchBytes, Math.floor(maxFetchBytes / partitions));
}

/** One assigned partition. */
export interface Partition {
  /** What the group has committed there, with what it is about to send. */
  position: Position;
  /** The offset committed with it; undefined: nothing yet. */
  offset: number | undefined;
  /** Last event the store held when the partition was assigned, past the committed position. */
  readonly stored: StoredOrigin | undefined;
  /** Messages below this offset lives before are known to have begun to send. */
  readonly begun: number;
}

/** What an assignment looks at. */
export interface AssignContext {
  readonly name: string;
  readonly bus: Bus;
  readonly sink: Sink;
  readonly log: Log;
}

/** Where a partition goes on: behind the commit, and behind what the store holds already. */
export async function assign({ name, bus, sink, log }: AssignContext, partition: number, commit: Commit | undefined): Promise<Partition> {
  const { earliest, next } = await bus.offsets(topics.events, partition);
  let position = commit && decodePosition(commit.metadata);
  if (commit !== undefined && position === undefined) {
    const metadata = commit.metadata.slice(0, 200);
    log.warn(
      { code: 'SINK_COMMIT_UNREADABLE', sink: name, partition, metadata },
      'the committed metadata cannot be read: counts start anew at the committed offset',
    );
  }
  if (position === undefined) {
    const nextEvent = commit === undefined && earliest === 0 ? 0 : undefined;
    // All of the log may be in the store, or nothing.
    position = { ...noPosition, nextEvent, guessed: sink.find === undefined ? undefined : next };
  }

  let stored = sink.delivered?.(partition);
  if (stored !== undefined && !isBehind(stored.rawOffset, stored.ordinal, position.origin)) stored = undefined;
  if (
    stored !== undefined &&
    position.origin === undefined &&
    !(await isOfThisStream(bus, partition, commit?.offset ?? earliest, next, stored))
  ) {
    log.warn(
      { code: 'SINK_STORE_OF_ANOTHER_BUS', sink: name, partition, stored },
      'the store was filled from another bus: what it holds stays, and this bus is delivered from its start',
    );
    stored = undefined;
  }
  return { position, offset: commit?.offset, stored, begun: position.begun ?? 0 };
}

/** How many of the new items the store holds already. */
export function alreadyStored({ view, items }: Intake, stored: StoredOrigin | undefined): number {
  let held = 0;
  if (stored === undefined) return held;
  while (held < items.length && !isBehind(view.rawOffset(items[held]), view.ordinal(items[held]), stored)) held++;
  return held;
}

/** How many of the first new items are of messages below an offset. */
export function countBelow(offset: number, { messages }: Fetch, intake: Intake, items: Uint32Array): number {
  if (messages[0] === undefined || messages[0].offset >= offset) return 0;
  let count = 0;
  while (count < items.length && intake.messageOffset(items[count]) < offset) count++;
  return count;
}

/**
 * Whether a store that claims to hold events up to `stored` was filled from this stream, when the group has no
 * committed event. Then the event is found with its id: close behind the start after a crash before the first commit,
 * anywhere when the commits were lost. It is not when the bus was deleted and the store was kept.
 */
async function isOfThisStream(bus: Bus, partition: number, from: number, until: number, stored: StoredOrigin): Promise<boolean> {
  for await (const fetch of bus.read(topics.events, partition, from, { until })) {
    for (const { value } of fetch.messages) {
      const found = lookUp(value, stored);
      if (found !== undefined) return found;
    }
  }
  return false;
}

/** Whether the message holds the event; undefined when it must be further on. */
function lookUp(value: Uint8Array, stored: StoredOrigin): boolean | undefined {
  let view: EventBatchView;
  try {
    view = decodeEventBatch(value);
  } catch {
    return undefined;
  }
  for (let row = 0; row < view.count; row++) {
    if (view.rawOffset(row) === stored.rawOffset && view.ordinal(row) === stored.ordinal) return view.id(row) === stored.eventId;
    if (isBehind(view.rawOffset(row), view.ordinal(row), stored)) return false;
  }
  return undefined;
}
