import type { AppError } from '../core/app-error.ts';
import type { ControlMethod, ControlParams } from '../core/control.ts';
import { type DeadLetterBox, deadLetterError, type LetterFilter, type WaitingLetter } from '../core/dead-letter-box.ts';
import type { Log } from '../core/log.ts';
import { decodeEventBatch } from '../schema/event-batch.ts';
import type { Sinks } from '../services/sinks/main.ts';
import { sinkRegistry } from '../services/sinks/registry.ts';
import { replayLetters } from '../services/sinks/replay-letters.ts';
import { checkSinks } from './roles.ts';

/** A dead letter as it is listed: JSON. */
export interface LetterRow {
  readonly id: string;
  /** ISO 8601; when it was given up. */
  readonly at: string;
  /** Hop that gave it up: aggregator, sink. */
  readonly stage: string;
  /** The sink's name; empty for the aggregator. */
  readonly target: string;
  readonly code: string;
  readonly reason: string;
  /** Absent: a message that could not be decoded. */
  readonly eventId?: string;
  /** Where it came from. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly bytes: number;
}

/** A letter with what it holds: the event's line, or the bytes of the message. */
export type ShownLetter = LetterRow & ({ readonly event: string } | { readonly payloadBase64: string });

/** What became of one letter that was to be replayed. */
export interface ReplayRow {
  readonly id: string;
  readonly target: string;
  readonly eventId?: string;
  readonly delivered: boolean;
  /** Delivered, and the store may hold it twice. */
  readonly possiblyDoubled?: boolean;
  /** Why it stays. */
  readonly code?: string;
  readonly reason?: string;
  readonly remedy?: string;
}

const defaultLimit = 100;
/** `unknown`: of letters that cannot be read. */
const stages = ['aggregator', 'sink', 'unknown'];
const targets = [...Object.keys(sinkRegistry), 'prometheus'];
/** Letters are settled in portions of so many. */
const purgePortion = 1_000;

/** The hops that dead letters are asked of. */
interface LetterHops {
  readonly bus: { readonly problem?: AppError | undefined };
  readonly sinks: Sinks;
}

/** What a process with a bus answers about dead letters: those of all processes. Only one with sinks replays. */
export function deadLetterMethods(box: DeadLetterBox, { bus, sinks }: LetterHops, log: Log): [string, ControlMethod][] {
  const methods: [string, ControlMethod][] = [
    ['dlq-list', (params, signal) => list(box, params, signal)],
    [
      'dlq-show',
      async function* (params, signal) {
        yield shownOf(await box.read(String(params.id), signal));
      },
    ],
    [
      'dlq-replay',
      (params, signal) => {
        checkSinks(sinks);
        return replay(box, sinks, filterOf(params), signal, log);
      },
    ],
    ['dlq-purge', (params, signal) => purge(box, filterOf(params), signal)],
  ];
  return methods.map(([name, method]) => [
    name,
    (params, signal) => {
      // Who asks would wait for as long as the brokers are away.
      if (bus.problem !== undefined) throw bus.problem;
      return method(params, signal);
    },
  ]);
}

/** Rows, oldest first, then how many are left out. */
async function* list(box: DeadLetterBox, params: ControlParams, signal: AbortSignal): AsyncGenerator<LetterRow | { more: number }> {
  const limit = typeof params.limit === 'number' ? params.limit : defaultLimit;
  let more = 0;
  let rows = 0;
  for await (const letter of box.waiting(filterOf(params), signal)) {
    if (rows < limit) yield rowOf(letter);
    else more++;
    rows++;
  }
  yield { more };
}

async function* replay(
  box: DeadLetterBox,
  sinks: Pick<Sinks, 'replay'>,
  filter: LetterFilter,
  signal: AbortSignal,
  log: Log,
): AsyncGenerator<ReplayRow> {
  const left = new Set(filter.ids);
  for await (const { id, target, eventId, error, possiblyDoubled } of replayLetters(box, sinks, filter, signal, log)) {
    left.delete(id);
    const why = error === undefined ? {} : { code: error.code, reason: error.message, remedy: error.remedy };
    const doubled = possiblyDoubled ? { possiblyDoubled } : {};
    yield { id, target, ...(eventId !== undefined && { eventId }), delivered: error === undefined, ...doubled, ...why };
  }
  for (const id of left) throw deadLetterError('DEAD_LETTER_UNKNOWN', { id });
}

async function* purge(box: DeadLetterBox, filter: LetterFilter, signal: AbortSignal): AsyncGenerator<{ purged: number }> {
  const left = new Set(filter.ids);
  let portion: string[] = [];
  let purged = 0;
  const settle = async (): Promise<void> => {
    purged += await box.settle(portion, signal);
    portion = [];
  };
  for await (const { id } of box.waiting(filter, signal)) {
    left.delete(id);
    if (portion.push(id) >= purgePortion) await settle();
  }
  if (portion.length > 0) await settle();
  // Also where an id is unknown: what was taken away is told.
  if (purged > 0 || left.size === 0) yield { purged };
  for (const id of left) throw deadLetterError('DEAD_LETTER_UNKNOWN', { id });
}

function checkName(option: string, found: unknown, names: readonly string[]): void {
  if (typeof found !== 'string' || names.includes(found)) return;
  throw deadLetterError('DEAD_LETTER_FILTER', { option, found: found.slice(0, 40), expected: names.join(', ') });
}

function rowOf({ id, atMs, stage, target, code, reason, eventId, topic, partition, offset, payload }: WaitingLetter): LetterRow {
  const at = new Date(atMs).toISOString();
  const event = eventId === undefined ? {} : { eventId };
  return { id, at, stage, target, code, reason, ...event, topic, partition, offset, bytes: payload.length };
}

function shownOf(letter: WaitingLetter): ShownLetter {
  const row = rowOf(letter);
  if (letter.eventId !== undefined) {
    try {
      return { ...row, event: Buffer.from(decodeEventBatch(letter.payload).line(0)).toString().trimEnd() };
    } catch {
      // Its bytes are shown then.
    }
  }
  return { ...row, payloadBase64: Buffer.from(letter.payload).toString('base64') };
}

/** Throws DEAD_LETTER_FILTER for a name that no letter can have: that none waits would be no answer to a slip of the pen. */
function filterOf({ ids, stage, target, code }: ControlParams): LetterFilter {
  checkName('stage', stage, stages);
  checkName('target', target, targets);
  return {
    ...(Array.isArray(ids) && { ids: ids.map(String) }),
    ...(typeof stage === 'string' && { stage }),
    ...(typeof target === 'string' && { target }),
    ...(typeof code === 'string' && { code }),
  };
}
