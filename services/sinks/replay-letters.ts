import { AppError } from '../../core/app-error.ts';
import { claimMs, type DeadLetterBox, deadLetterError, type LetterFilter, type WaitingLetter } from '../../core/dead-letter-box.ts';
import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch, joinEventBatches } from '../../schema/event-batch.ts';
import { sinkError } from './errors.ts';
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

/** An event with its letters: one that was given up twice is sent once. */
interface Letters {
  readonly ids: string[];
  readonly eventId: string;
  readonly view: EventBatchView;
}

/** Letters that go to one sink together. */
interface Group {
  readonly target: string;
  readonly partition: number;
  readonly events: Map<string, Letters>;
  /** Letters. */
  count: number;
  bytes: number;
}

const maxLetters = 500;
const maxBytes = 1024 * 1024;
/** Events whose outcome is remembered, so that a later letter of one is not sent beside the first. */
const maxOutcomes = 100_000;
/** A delivery ends so long before others may take its claim for over, whatever their clocks say. */
const marginMs = claimMs / 2;
/** Nothing is sent when less time is left. */
const minDeliveryMs = 5_000;

/**
 * Sends dead letters of sinks once more, each through its sink alone. Those that are delivered wait no more; all others stay.
 * The signal ends it between two requests: what was sent is settled first.
 */
export function replayLetters(
  box: DeadLetterBox,
  sinks: Pick<Sinks, 'replay'>,
  filter: LetterFilter,
  signal: AbortSignal,
): AsyncGenerator<ReplayedLetter> {
  return new Replay(box, sinks, signal).run(filter);
}

class Replay {
  readonly #box: DeadLetterBox;
  readonly #sinks: Pick<Sinks, 'replay'>;
  readonly #signal: AbortSignal;
  /** Sinks that took nothing of a group: the rest is not sent to them. */
  readonly #down = new Map<string, AppError>();
  /** Of events, by sink: why they were not delivered, if they were not. */
  readonly #outcomes = new Map<string, AppError | undefined>();
  /** Not the client's signal: what was sent has to be settled. */
  readonly #always = new AbortController().signal;

  constructor(box: DeadLetterBox, sinks: Pick<Sinks, 'replay'>, signal: AbortSignal) {
    this.#box = box;
    this.#sinks = sinks;
    this.#signal = signal;
  }

  async *run(filter: LetterFilter): AsyncGenerator<ReplayedLetter> {
    let group: Group | undefined;
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
      const event = view.id(0);
      const key = `${target} ${event}`;
      if (this.#outcomes.has(key)) {
        const error = this.#outcomes.get(key);
        if (error === undefined) await this.#box.settle([id], this.#always);
        yield { id, target, eventId: event, error, possiblyDoubled: false };
        continue;
      }
      group ??= { target, partition, events: new Map(), count: 0, bytes: 0 };
      const known = group.events.get(event);
      if (known === undefined) group.events.set(event, { ids: [id], eventId: event, view });
      else known.ids.push(id);
      group.count++;
      group.bytes += payload.length;
    }
    if (group !== undefined && !this.#signal.aborted) yield* this.#send(group);
  }

  async *#send({ target, partition, events }: Group): AsyncGenerator<ReplayedLetter> {
    const all = [...events.values()];
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
    const tell = (letters: Letters, outcome: ReplayOutcome): void => {
      if (this.#outcomes.size < maxOutcomes) this.#outcomes.set(`${target} ${letters.eventId}`, outcome.error);
      told.push(...this.#told(target, letters, outcome));
    };
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
    const ended = held.end(doubtful).catch(() => undefined);
    try {
      yield* told;
      if (failure !== undefined) throw failure.thrown;
    } finally {
      await ended;
    }
  }

  /** What became of an event, for each of its letters; it is doubled once. */
  *#told(target: string, { ids, eventId }: Letters, { error, isDoubtful }: ReplayOutcome): Generator<ReplayedLetter> {
    for (const [at, id] of ids.entries())
      yield { id, target, eventId, error, possiblyDoubled: error === undefined && isDoubtful && at === 0 };
  }

  /** Sends events, and settles the letters of those that are in the store: what is told as delivered does not come back. */
  async #deliver(target: string, partition: number, events: readonly Letters[], possiblyStored: boolean, endsAt: AbortSignal) {
    const view = joinEventBatches(events.map((event) => event.view));
    const items = Uint32Array.from({ length: view.count }, (_, row) => row);
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
  const view = decodeEventBatch(payload.slice());
  if (view.count !== 1) throw sinkError('LETTER_NOT_AN_EVENT', { reason: `it holds ${view.count} events, expected 1` });
  return view;
}

/** One partition of events and one of letters a group: a request of one order, and one claim. */
function fits({ target, partition, events, count, bytes }: Group, letter: WaitingLetter): boolean {
  const [first] = events.values();
  const ofSamePartition = first?.ids[0].split('-')[0] === letter.id.split('-')[0];
  return target === letter.target && partition === letter.partition && ofSamePartition && count < maxLetters && bytes < maxBytes;
}
