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
  position: Position;
  /** Whether the group has a position there. */
  isCommitted: boolean;
  /** Last event the store held when the partition was assigned, past the committed position. */
  readonly stored: StoredOrigin | undefined;
  /** Messages below this offset may have been sent by the life before, as far as its one fetch went. */
  readonly suspectUntil: number;
  suspectBytes: number;
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
  position ??= commit === undefined && earliest === 0 ? { ...noPosition, nextEvent: 0 } : noPosition;

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
  return { position, isCommitted: commit !== undefined, stored, suspectUntil: next, suspectBytes: uncommittedBytes };
}

/** How many of the new items the store holds already. */
export function alreadyStored({ view, items }: Intake, stored: StoredOrigin | undefined): number {
  let held = 0;
  if (stored === undefined) return held;
  while (held < items.length && !isBehind(view.rawOffset(items[held]), view.ordinal(items[held]), stored)) held++;
  return held;
}

/** Whether a life before this one may have sent events of the fetch and not have committed them. */
export function isSuspect(partition: Partition, fetch: Fetch): boolean {
  const first = fetch.messages[0];
  if (first === undefined || first.offset >= partition.suspectUntil || partition.suspectBytes <= 0) return false;
  for (const { value } of fetch.messages) partition.suspectBytes -= value.length;
  return true;
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
