import { z } from 'zod';
import { parseMetadata } from '../../core/bus/commit-metadata.ts';
import { type Dispositions, lossReasons, newDispositions } from './metrics.ts';
import type { Origin } from './sink.ts';

const count = z.int().nonnegative();
const reason = z.enum(lossReasons);

const schema = z.object({
  v: z.literal(1),
  origin: z.tuple([count, count]).optional(),
  next: count.optional(),
  hole: reason.optional(),
  begun: count.optional(),
  guess: count.optional(),
  in: count,
  delivered: count,
  rejected: count,
  repeat: count,
  lost: z.record(reason, count),
  undecodable: count,
});

/** How far a sink came in one partition: what its group commits with the offset. */
export interface Position {
  /** Origin of the last event read. */
  readonly origin?: Origin | undefined;
  /** Running number the next event should have; undefined: not known, the sink starts in the middle. */
  readonly nextEvent?: number | undefined;
  /** Why offsets behind the last event could not be read: what a gap in front of the next event is put down to. */
  readonly hole?: (typeof lossReasons)[number] | undefined;
  /** Of sinks that can be asked what they hold: messages below this offset may have been sent when this was committed. */
  readonly begun?: number | undefined;
  /** Of such sinks: messages below this offset may have been sent by somebody whose commits were lost. */
  readonly guessed?: number | undefined;
  readonly dispositions: Readonly<Dispositions>;
}

export const noPosition: Position = { dispositions: newDispositions() };

/** The position as the metadata of a commit: some 300 bytes of JSON. */
export function encodePosition({ origin, nextEvent, hole, begun, guessed, dispositions }: Position): string {
  const { in: read, delivered, rejected, repeat, lost, undecodableMessages: undecodable } = dispositions;
  const body: z.input<typeof schema> = {
    v: 1,
    origin: origin && [origin.rawOffset, origin.ordinal],
    next: nextEvent,
    hole,
    begun,
    guess: guessed,
    in: read,
    delivered,
    rejected,
    repeat,
    lost,
    undecodable,
  };
  return JSON.stringify(body);
}

/** The position from a commit's metadata, or undefined where another version or hand wrote it. */
export function decodePosition(metadata: string): Position | undefined {
  const found = parseMetadata(schema, metadata);
  if (found === undefined) return undefined;
  const { origin, next: nextEvent, hole, begun, guess: guessed, in: read, delivered, rejected, repeat, lost } = found;
  return {
    origin: origin && { rawOffset: origin[0], ordinal: origin[1] },
    nextEvent,
    hole,
    begun,
    guessed,
    dispositions: { in: read, delivered, rejected, repeat, lost, undecodableMessages: found.undecodable },
  };
}

/** Whether an event of this origin is behind the one given. */
export function isBehind(rawOffset: number, ordinal: number, last: Origin | undefined): boolean {
  return last === undefined || rawOffset > last.rawOffset || (rawOffset === last.rawOffset && ordinal > last.ordinal);
}
