import { AppError, messageOf } from '../../core/app-error.ts';
import { claimMs, type DeadLetterBox, deadLetterError, type LetterFilter, type WaitingLetter } from '../../core/dead-letter-box.ts';
import type { Log } from '../../core/log.ts';
import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch, joinEventBatches } from '../../schema/event-batch.ts';
import { sinkError } from './errors.ts';
import { LettersByEvent } from './letters-by-event.ts';
import type { Sinks } from './main.ts';
import type { ReplayOutcome } from './replay.ts';

/** What became of one dead letter that was to be replayed. */
export interface ReplayedLetter {
  readonly id: string;
  readonly target: string;
  readonly eventId: string | undefined;
  /** Undefined: it was delivered, and waits no more. */
  readonly error: AppError | undefined;
  /** Delivered, and the store may hold it twice: a replay before broke off, and the store cannot be asked. */
  readonly possiblyDoubled: boolean;
}

/** An event with all of its letters: one that was given up twice is sent once. */
interface Letters {
  readonly ids: readonly string[];
  readonly eventId: string;
  readonly view: EventBatchView;
}

/** Letters that go to one sink together. */
interface Group {
  readonly target: string;
  readonly partition: number;
  readonly events: Letters[];
  /** Letters. */
  count: number;
  bytes: number;
}

const maxLetters = 500;
const maxBytes = 1024 * 1024;
/** A delivery ends so long before others may take its claim for over, whatever their clocks say. */
const marginMs = claimMs / 2;
/** Nothing is sent when less time is left. */
const minDeliveryMs = 5_000;

/**
 * Sends dead letters of sinks once more, each through its sink alone. Those that are delivered wait no more; all others stay.
 * An event's other letters for the same sink go with it, whatever the filter, and are told, too. The signal ends it between
 * two requests: what was sent is settled first.
 */
export function replayLetters(
  box: DeadLetterBox,
  sinks: Pick<Sinks, 'replay'>,
  filter: LetterFilter,
  signal: AbortSignal,
  log: Log,
): AsyncGenerator<ReplayedLetter> {
  return new Replay(box, sinks, signal, log).run(filter);
}

class Replay {
  readonly #box: DeadLetterBox;
  readonly #sinks: Pick<Sinks, 'replay'>;
  readonly #signal: AbortSignal;
  readonly #log: Log;
  /** Sinks that took nothing of a group: the rest is not sent to them. */
  readonly #down = new Map<string, AppError>();
  /** Not the client's signal: what was sent has to be settled. */
  readonly #always = new AbortController().signal;

  constructor(box: DeadLetterBox, sinks: Pick<Sinks, 'replay'>, signal: AbortSignal, log: Log) {
    this.#log = log;
    this.#box = box;
    this.#sinks = sinks;
    this.#signal = signal;
  }

  async *run(filter: LetterFilter): AsyncGenerator<ReplayedLetter> {
    let group: Group | undefined;
    let letters: LettersByEvent | undefined;
    for await (const letter of this.#box.waiting(filter, this.#signal)) {
      const { id, target, eventId, partition, payload } = letter;
      let view: EventBatchView;
      try {
        view = viewOf(letter);
      } catch (thrown) {
        if (!(thrown instanceof AppError)) throw thrown;
        yield { id, target, eventId, error: thrown, possiblyDoubled: false };
        continue;
      }
      if (group !== undefined && !fits(group, letter)) {
        yield* this.#send(group);
        group = undefined;
        if (this.#signal.aborted) return;
      }
      const own = Number(id.split('-')[0]);
      if (letters?.partition !== own) letters = await LettersByEvent.read(this.#box, own, filter, this.#signal);
      const event = view.id(0);
      const ids = letters.take(target, event);
      // Told with an earlier one of its event; or younger than the replay.
      if (ids === undefined) continue;
      group ??= { target, partition, events: [], count: 0, bytes: 0 };
      group.events.push({ ids, eventId: event, view });
      group.count += ids.length;
      group.bytes += payload.length;
    }
    if (group !== undefined && !this.#signal.aborted) yield* this.#send(group);
  }

  async *#send({ target, partition, events: all }: Group): AsyncGenerator<ReplayedLetter> {
    const cause = this.#down.get(target);
    if (cause !== undefined) {
      for (const letters of all) yield* this.#told(target, letters, { error: cause, isDoubtful: false });
      return;
    }
    const held = await this.#box.claim(
      all.flatMap(({ ids }) => ids),
      this.#always,
    );
    const doubtful: string[] = [];
    const told: ReplayedLetter[] = [];
    const tell = (letters: Letters, outcome: ReplayOutcome): void => void told.push(...this.#told(target, letters, outcome));
    const leave = (letters: Letters, code: 'DEAD_LETTER_CLAIMED' | 'DEAD_LETTER_CLAIMED_LATE'): void =>
      tell(letters, { error: deadLetterError(code, { id: letters.ids[0] }), isDoubtful: false });
    // All letters of an event or none: who has the others may be sending it.
    const isHeld = ({ ids }: Letters): boolean => ids.every((id) => held.letters.has(id));
    const isDoubtful = ({ ids }: Letters): boolean => ids.some((id) => held.letters.get(id)?.isDoubtful === true);
    const leftMs = held.untilMs - marginMs - Date.now();
    let failure: { readonly thrown: unknown } | undefined;
    try {
      const endsAt = AbortSignal.timeout(Math.max(0, leftMs));
      for (const mayBeStored of this.#signal.aborted || leftMs < minDeliveryMs ? [] : [false, true]) {
        const part = all.filter((letters) => isHeld(letters) && isDoubtful(letters) === mayBeStored);
        if (part.length === 0) continue;
        const outcomes = await this.#deliver(target, partition, part, mayBeStored, endsAt);
        for (const [at, outcome] of outcomes.entries()) {
          if (outcome.error !== undefined && outcome.isDoubtful) doubtful.push(...part[at].ids);
          tell(part[at], outcome);
        }
      }
    } catch (thrown) {
      doubtful.push(...held.letters.keys());
      failure = { thrown };
    }
    for (const letters of all) {
      if (!isHeld(letters)) leave(letters, 'DEAD_LETTER_CLAIMED');
      else if (leftMs < minDeliveryMs) leave(letters, 'DEAD_LETTER_CLAIMED_LATE');
    }
    // A courtesy: one that cannot be ended is over after its time, and what it held is doubtful then.
    const ended = held.end(doubtful).catch((thrown: unknown) => this.#tellLasting(held.untilMs, thrown));
    try {
      yield* told;
      if (failure !== undefined) throw failure.thrown;
    } finally {
      await ended;
    }
  }

  #tellLasting(untilMs: number, cause: unknown): void {
    const until = new Date(untilMs).toISOString();
    this.#log.warn(
      { code: 'DEAD_LETTER_CLAIM_LASTS', until, cause: messageOf(cause) },
      'the end of a replay could not be told to others: letters of it that still wait are replayed by nobody until its claim is over',
    );
  }

  /** What became of an event, for each of its letters; it is doubled once. */
  *#told(target: string, { ids, eventId }: Letters, { error, isDoubtful }: ReplayOutcome): Generator<ReplayedLetter> {
    for (const [at, id] of ids.entries())
      yield { id, target, eventId, error, possiblyDoubled: error === undefined && isDoubtful && at === 0 };
  }

  /** Sends events, and settles the letters of those that are in the store: what is told as delivered does not come back. */
  async #deliver(target: string, partition: number, events: readonly Letters[], mayBeStored: boolean, endsAt: AbortSignal) {
    const view = joinEventBatches(events.map((event) => event.view));
    const items = Uint32Array.from({ length: view.count }, (_, row) => row);
    const possiblyStored = mayBeStored ? items.length : 0;
    const outcomes: readonly ReplayOutcome[] = await this.#sinks.replay(target, { partition, view, items, possiblyStored }, endsAt);
    const first = outcomes[0]?.error;
    if (first !== undefined && (first.retryable || events.length > 1) && outcomes.every(({ error }) => error === first))
      this.#down.set(target, first);
    const stored = events.filter((_, at) => outcomes[at].error === undefined).flatMap(({ ids }) => ids);
    if (stored.length > 0) await this.#box.settle(stored, this.#always);
    return outcomes;
  }
}

/** The event of a letter. Throws for what no sink can take. */
function viewOf({ stage, eventId, payload, reason }: WaitingLetter): EventBatchView {
  if (stage !== 'sink') throw sinkError('LETTER_NOT_OF_A_SINK', { stage });
  // A message that could not be decoded has no id; another version may decode it.
  if (eventId === undefined) throw sinkError('LETTER_NOT_AN_EVENT', { reason });
  // A copy, as the bus reads on into the same bytes: `slice()` copies nothing of a Buffer.
  const view = decodeEventBatch(new Uint8Array(payload));
  if (view.count !== 1) throw sinkError('LETTER_NOT_AN_EVENT', { reason: `it holds ${view.count} events, expected 1` });
  if (view.id(0) !== eventId) throw sinkError('LETTER_NOT_AN_EVENT', { reason: `it holds another event than ${eventId}` });
  return view;
}

/** One partition of events and one of letters a group: a request of one order, and one claim. */
function fits({ target, partition, events, count, bytes }: Group, letter: WaitingLetter): boolean {
  const ofSamePartition = events[0]?.ids[0].split('-')[0] === letter.id.split('-')[0];
  return target === letter.target && partition === letter.partition && ofSamePartition && count < maxLetters && bytes < maxBytes;
}
