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

interface Letter {
  readonly id: string;
  readonly eventId: string;
  readonly view: EventBatchView;
}

/** Letters that go to one sink together. */
interface Group {
  readonly target: string;
  readonly partition: number;
  /** By event: an event that was given up twice is sent once. */
  readonly letters: Map<string, Letter>;
  bytes: number;
}

const maxLetters = 500;
const maxBytes = 1024 * 1024;
/** Events that are remembered as delivered, so that a second letter of one is not sent. */
const maxDelivered = 100_000;
/** A delivery ends before others may take its claim for over, whatever their clocks say. */
const deliveryMs = claimMs / 2;

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
  readonly #delivered = new Set<string>();
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
      if (this.#delivered.has(`${target} ${event}`)) {
        await this.#box.settle([id], this.#always);
        yield { id, target, eventId: event, error: undefined, possiblyDoubled: false };
        continue;
      }
      group ??= { target, partition, letters: new Map(), bytes: 0 };
      group.letters.set(event, { id, eventId: event, view });
      group.bytes += payload.length;
    }
    if (group !== undefined && !this.#signal.aborted) yield* this.#send(group);
  }

  async *#send({ target, partition, letters }: Group): AsyncGenerator<ReplayedLetter> {
    const all = [...letters.values()];
    const stays = ({ id, eventId }: Letter, error: AppError): ReplayedLetter => ({ id, target, eventId, error, possiblyDoubled: false });
    const cause = this.#down.get(target);
    if (cause !== undefined) {
      for (const letter of all) yield stays(letter, cause);
      return;
    }
    const held = await this.#box.claim(
      all.map(({ id }) => id),
      this.#always,
    );
    const doubtful: string[] = [];
    const told: ReplayedLetter[] = [];
    const endsAt = AbortSignal.timeout(deliveryMs);
    try {
      for (const isDoubtful of this.#signal.aborted ? [] : [false, true]) {
        const part = all.filter(({ id }) => held.letters.get(id)?.isDoubtful === isDoubtful);
        if (part.length === 0) continue;
        const outcomes = await this.#deliver(target, partition, part, isDoubtful, endsAt);
        for (const [at, { error, isDoubtful: unsure }] of outcomes.entries()) {
          if (error !== undefined && unsure) doubtful.push(part[at].id);
          told.push({ id: part[at].id, target, eventId: part[at].eventId, error, possiblyDoubled: error === undefined && unsure });
        }
      }
    } catch (thrown) {
      doubtful.push(...held.letters.keys());
      throw thrown;
    } finally {
      await held.end(doubtful);
    }
    for (const letter of all)
      if (!held.letters.has(letter.id)) told.push(stays(letter, deadLetterError('DEAD_LETTER_CLAIMED', { id: letter.id })));
    yield* told;
  }

  /** Sends letters, and settles those that are in the store: what is told as delivered does not come back. */
  async #deliver(target: string, partition: number, letters: readonly Letter[], possiblyStored: boolean, endsAt: AbortSignal) {
    const view = joinEventBatches(letters.map((letter) => letter.view));
    const items = Uint32Array.from({ length: view.count }, (_, row) => row);
    const outcomes: readonly ReplayOutcome[] = await this.#sinks.replay(target, { partition, view, items, possiblyStored }, endsAt);
    const first = outcomes[0]?.error;
    if (first !== undefined && (first.retryable || letters.length > 1) && outcomes.every(({ error }) => error === first))
      this.#down.set(target, first);
    const stored = letters.filter((_, at) => outcomes[at].error === undefined);
    for (const { eventId } of stored) if (this.#delivered.size < maxDelivered) this.#delivered.add(`${target} ${eventId}`);
    if (stored.length > 0)
      await this.#box.settle(
        stored.map(({ id }) => id),
        this.#always,
      );
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
function fits({ target, partition, letters, bytes }: Group, letter: WaitingLetter): boolean {
  const [first] = letters.values();
  const ofSamePartition = first?.id.split('-')[0] === letter.id.split('-')[0];
  const isNew = letter.eventId === undefined || !letters.has(letter.eventId);
  return (
    target === letter.target && partition === letter.partition && ofSamePartition && isNew && letters.size < maxLetters && bytes < maxBytes
  );
}
