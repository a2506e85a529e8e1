import type { Fetch } from '../../core/bus/bus.ts';
import { encodeDeadLetter } from '../../core/dead-letter.ts';
import { encodeSingleEvent } from '../../schema/event-batch.ts';
import type { Intake } from './intake.ts';
import type { Delivery } from './sink.ts';

/** A message that cannot be decoded may have any size: this much of it is kept. */
const maxPayloadBytes = 512 * 1024;

/** Bodies for the DLQ topic: messages that could not be decoded, and events that the store will never take. */
export function* deadLettersOf(sink: string, fetch: Fetch, intake: Intake, items: Uint32Array, delivery: Delivery): Generator<Uint8Array> {
  const from = { stage: 'sink', target: sink, topic: fetch.topic, partition: fetch.partition } as const;
  for (const { message, error } of intake.undecodable) {
    yield encodeDeadLetter({ ...from, error, offset: message.offset, payload: message.value.subarray(0, maxPayloadBytes) });
  }
  for (const { item, error } of delivery.rejected ?? []) {
    const row = items[item];
    const { view } = intake;
    const event = { id: view.id(row), rawOffset: view.rawOffset(row), ordinal: view.ordinal(row) };
    yield encodeDeadLetter({ ...from, error, offset: intake.messageOffset(row), event, payload: encodeSingleEvent(view, row) });
  }
}
