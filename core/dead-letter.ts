import { DeadLetter, type DeadLetterBody } from '../proto/bus.ts';
import type { AppError } from './app-error.ts';
import { wallNow } from './time.ts';

/** Something that will never be taken as it is, as a stage gives it up. */
export interface GivenUp {
  /** Hop that gave it up. */
  readonly stage: 'aggregator' | 'sink';
  /** The sink's name; empty for the aggregator. */
  readonly target: string;
  readonly error: AppError;
  /** The message it came in. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The event, where it is one. */
  readonly event?: { readonly id: string; readonly rawOffset: number; readonly ordinal: number };
  /** The bytes: the message as it was found; an event as an EventBatch of one row, which a sink can take again. */
  readonly payload: Uint8Array;
}

/** The body of a message of the DLQ topic (bus.proto, DeadLetter), stamped with the wall clock. */
export function encodeDeadLetter(letter: GivenUp): Uint8Array {
  const body: DeadLetterBody = {
    stage: letter.stage,
    target: letter.target,
    code: letter.error.code,
    reason: letter.error.message,
    topic: letter.topic,
    partition: letter.partition,
    offset: letter.offset,
    payload: letter.payload,
    at: wallNow(),
  };
  if (letter.event !== undefined) {
    body.originRawOffset = letter.event.rawOffset;
    body.originOrdinal = letter.event.ordinal;
    body.eventId = letter.event.id;
  }
  return DeadLetter.encode(body).finish();
}
