import { DeadLetter, type DeadLetterBody } from '../proto/bus.ts';
import { type AppError, messageOf } from './app-error.ts';
import { maxUnixSeconds, millisOf, wallNow } from './time.ts';

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

/** A dead letter as it was found. */
export interface ReadLetter {
  readonly stage: string;
  readonly target: string;
  readonly code: string;
  readonly reason: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Undefined: it is no event, but a message that could not be decoded. */
  readonly eventId: string | undefined;
  readonly payload: Uint8Array;
  /** When it was given up, Unix time in ms. */
  readonly atMs: number;
}

/** Of a message that is no dead letter: shown as one that cannot be read. */
const unreadable = {
  stage: 'unknown',
  target: '',
  code: 'DEAD_LETTER_UNREADABLE',
  topic: '',
  partition: 0,
  offset: 0,
  eventId: undefined,
  atMs: 0,
};

/** Decodes a message of the DLQ topic, whatever its bytes are. */
export function decodeDeadLetter(bytes: Uint8Array): ReadLetter {
  try {
    const { stage, target, code, reason, topic, partition, offset, eventId, payload, at } = DeadLetter.decode(bytes);
    if (!stage) throw new RangeError('it names no stage');
    return {
      stage,
      target: target ?? '',
      code: code ?? '',
      reason: reason ?? '',
      topic: topic ?? '',
      partition: partition ?? 0,
      offset: offset ?? 0,
      eventId: eventId ? eventId : undefined,
      payload: payload ?? new Uint8Array(0),
      atMs: timeOf(millisOf({ seconds: at?.seconds ?? 0, nanos: at?.nanos ?? 0 })),
    };
  } catch (thrown) {
    return { ...unreadable, reason: `the message is no dead letter: ${messageOf(thrown)}`, payload: bytes };
  }
}

/** What is no time at all is told as 1970. */
function timeOf(ms: number): number {
  return ms >= 0 && ms <= maxUnixSeconds * 1000 ? ms : 0;
}
