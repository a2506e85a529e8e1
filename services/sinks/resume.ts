import type { Bus } from '../../core/bus/bus.ts';
import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import { isBehind } from './position.ts';
import type { StoredOrigin } from './sink.ts';

/**
 * Whether a store that claims to hold events up to `stored` was filled from this stream, when the group has
 * committed no event yet. Then at most one fetch can have been delivered, so the event must be found, with its id,
 * in the first `maxBytes` from where the group starts. It is not when the bus was deleted and the store was kept.
 */
export async function isOfThisStream(
  bus: Bus,
  topic: string,
  partition: number,
  from: number,
  stored: StoredOrigin,
  maxBytes: number,
): Promise<boolean> {
  const { next: until } = await bus.offsets(topic, partition);
  let bytes = 0;
  for await (const fetch of bus.read(topic, partition, from, { until })) {
    for (const { value } of fetch.messages) {
      const found = lookUp(value, stored);
      if (found !== undefined) return found;
      bytes += value.length;
      if (bytes > maxBytes) return false;
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
