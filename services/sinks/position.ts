import { z } from 'zod';
import { type Dispositions, lossReasons, newDispositions } from './metrics.ts';
import type { Origin } from './sink.ts';

const count = z.int().nonnegative();
const reason = z.enum(lossReasons);

const schema = z.object({
  v: z.literal(1),
  origin: z.tuple([count, count]).optional(),
  next: count.optional(),
  hole: reason.optional(),
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
  readonly dispositions: Readonly<Dispositions>;
}

export const noPosition: Position = { dispositions: newDispositions() };

/** The position as the metadata of a commit: some 300 bytes of JSON. */
export function encodePosition({ origin, nextEvent, hole, dispositions }: Position): string {
  const { in: read, delivered, rejected, repeat, lost, undecodableMessages: undecodable } = dispositions;
  const body: z.input<typeof schema> = {
    v: 1,
    origin: origin && [origin.rawOffset, origin.ordinal],
    next: nextEvent,
    hole,
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
  let json: unknown;
  try {
    json = JSON.parse(metadata);
  } catch {
    return undefined;
  }
  const { success, data } = schema.safeParse(json);
  if (!success) return undefined;
  const { origin, next: nextEvent, hole, in: read, delivered, rejected, repeat, lost, undecodable: undecodableMessages } = data;
  return {
    origin: origin && { rawOffset: origin[0], ordinal: origin[1] },
    nextEvent,
    hole,
    dispositions: { in: read, delivered, rejected, repeat, lost, undecodableMessages },
  };
}

/** Whether an event of this origin is behind the one given. */
export function isBehind(rawOffset: number, ordinal: number, last: Origin | undefined): boolean {
  return last === undefined || rawOffset > last.rawOffset || (rawOffset === last.rawOffset && ordinal > last.ordinal);
}
