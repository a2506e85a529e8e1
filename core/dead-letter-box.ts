import { randomBytes } from 'node:crypto';
import { topics } from '../proto/bus.ts';
import { AppError, errorTable } from './app-error.ts';
import type { Bus } from './bus/bus.ts';
import { decodeDeadLetter, type ReadLetter } from './dead-letter.ts';
import { encodeClaim, encodeSettlement, toRanges } from './letter-entries.ts';
import { LetterLedger } from './letter-ledger.ts';
import { retry } from './retry.ts';

/** What can go wrong with the dead letters. */
export const deadLetterError = errorTable({
  DEAD_LETTER_UNKNOWN: {
    message: 'there is no dead letter {id}: found nothing, expected an id that `jitterscope dlq list` shows',
    retryable: false,
    remedy: 'It may have been replayed or purged, or it was too old for bus.deadLettersSize.',
  },
  DEAD_LETTER_FILTER: {
    message: 'no dead letter has the {option} {found}; expected one of {expected}',
    retryable: false,
    remedy: 'Name one of them, or leave --{option} out.',
    exitCode: 2,
  },
  DEAD_LETTER_CLAIMED: {
    message: 'another replay is at the letter {id}',
    retryable: true,
    remedy: 'Wait for it to end. After one that was killed: a minute.',
  },
  DEAD_LETTER_CLAIMED_LATE: {
    message: 'the bus took too long to tell others that the letter {id} is replayed: it was not sent',
    retryable: true,
    remedy: 'Replay it again once the bus answers.',
  },
});

/** A dead letter that waits, by the id under which it is shown: partition, "-", offset in the DLQ topic. */
export interface WaitingLetter extends ReadLetter {
  readonly id: string;
}

/** Which dead letters; what is left out is not asked for. */
export interface LetterFilter {
  readonly ids?: readonly string[];
  /** Of the topic of dead letters. */
  readonly partition?: number;
  readonly stage?: string;
  readonly target?: string;
  readonly code?: string;
}

/** Letters that nobody else replays until the claim has ended. */
export interface HeldLetters {
  /** Those of the named ones that wait, and that nobody else has claimed: id, and whether a replay before may have stored it. */
  readonly letters: ReadonlyMap<string, { readonly isDoubtful: boolean }>;
  /** When the claim is over for others, by this process' clock: Unix time in ms. */
  readonly untilMs: number;
  /** Ends the claim. `doubtful`: what may be stored and was not settled. */
  end(doubtful: Iterable<string>): Promise<void>;
}

/** Its commits say below which offset nothing waits (DeadLetterCount). */
export const deadLetterGroup = 'dlq';
const topic = topics.deadLetters;
const fetchBytes = 1024 * 1024;
/** A claim is over after this long, whatever became of who made it. Clocks may differ by half of it. */
export const claimMs = 60_000;
const retryPolicy = { initialMs: 50, maxMs: 2_000 };

/**
 * The dead letters of all stages, until somebody settles them: replayed, or purged. What settles them is a message behind
 * them in their own partition, so any number of processes may settle at once, and nothing of it expires before they do.
 * The topic's retention drops the oldest; nothing else removes their bytes.
 */
export class DeadLetterBox {
  readonly #bus: Bus;
  readonly #ledgers = new Map<number, LetterLedger>();
  /** By partition: one at a time. */
  readonly #work = new Map<number, Promise<unknown>>();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Those that wait, oldest first within a partition. The payload is valid until the next one is asked for. */
  async *waiting(filter: LetterFilter, signal: AbortSignal): AsyncGenerator<WaitingLetter> {
    const named = filter.ids === undefined ? undefined : byPartition(filter.ids);
    for (let partition = 0; partition < this.#bus.partitions(topic); partition++) {
      const wanted = named?.get(partition);
      if (named !== undefined && wanted === undefined) continue;
      if (filter.partition !== undefined && filter.partition !== partition) continue;
      const ledger = await this.#alone(partition, () => this.#caughtUp(partition, signal));
      const from = Math.max(ledger.floor, wanted?.[0] ?? 0);
      const until = Math.min(ledger.next, (wanted?.at(-1) ?? Number.POSITIVE_INFINITY) + 1);
      if (from >= until || ledger.size === 0) continue;
      const chosen = wanted === undefined ? undefined : new Set(wanted);
      for await (const fetch of this.#bus.read(topic, partition, from, { until, maxBytes: fetchBytes, signal })) {
        for (const { offset, value } of fetch.messages) {
          if (!ledger.waits(offset) || chosen?.has(offset) === false) continue;
          const letter = decodeDeadLetter(value);
          if (passes(letter, filter)) yield { id: `${partition}-${offset}`, ...letter };
        }
      }
    }
  }

  /** One letter, whole. Throws DEAD_LETTER_UNKNOWN. */
  async read(id: string, signal: AbortSignal): Promise<WaitingLetter> {
    for await (const letter of this.waiting({ ids: [id] }, signal)) return { ...letter, payload: new Uint8Array(letter.payload) };
    throw deadLetterError('DEAD_LETTER_UNKNOWN', { id: id.slice(0, 40) });
  }

  /** Settles letters by their ids; durable when resolved, with how many of them had waited until then. */
  async settle(ids: Iterable<string>, signal: AbortSignal): Promise<number> {
    let settled = 0;
    for (const [partition, offsets] of byPartition(ids)) {
      const settlement = { id: randomId(), ranges: toRanges(offsets) };
      await this.#alone(partition, async () => {
        const ledger = await this.#caughtUp(partition, signal);
        ledger.follow(settlement.id);
        try {
          const at = await this.#append(partition, () => encodeSettlement(settlement), signal);
          await this.#caughtUp(partition, signal, at + 1);
        } finally {
          settled += ledger.settledBy(settlement.id);
        }
      });
    }
    return settled;
  }

  /** Claims letters of one partition of the topic. Of two that claim the same letter, the one whose message came first has it. */
  async claim(ids: Iterable<string>, signal: AbortSignal): Promise<HeldLetters> {
    const id = randomId();
    const letters = new Map<string, { isDoubtful: boolean }>();
    const claimed = byPartition(ids);
    let untilMs = Number.POSITIVE_INFINITY;
    for (const [partition, offsets] of claimed) {
      await this.#alone(partition, async () => {
        let ownUntilMs = 0;
        // Dated anew each time: the bus may be away for longer than a claim lasts.
        const claim = (): Uint8Array => {
          ownUntilMs = Date.now() + claimMs;
          return encodeClaim({ id, ranges: toRanges(offsets), untilMs: ownUntilMs, ended: false });
        };
        const at = await this.#append(partition, claim, signal);
        untilMs = Math.min(untilMs, ownUntilMs);
        const ledger = await this.#caughtUp(partition, signal, at);
        for (const offset of offsets) {
          if (ledger.waits(offset) && !ledger.isClaimed(offset, id))
            letters.set(`${partition}-${offset}`, { isDoubtful: ledger.isDoubtful(offset) });
        }
      });
    }
    return {
      letters,
      untilMs,
      end: async (doubtful) => {
        const left = byPartition(doubtful);
        for (const partition of claimed.keys()) {
          const ranges = toRanges(left.get(partition) ?? []);
          const claim = () => encodeClaim({ id, ranges, untilMs, ended: true });
          await this.#append(partition, claim, AbortSignal.timeout(claimMs));
        }
      },
    };
  }

  #append(partition: number, body: () => Uint8Array, signal: AbortSignal): Promise<number> {
    const retryable = (thrown: unknown): boolean => thrown instanceof AppError && thrown.retryable;
    return retry(() => this.#bus.append(topic, partition, [body()]), { ...retryPolicy, signal, retryable });
  }

  /** The ledger of a partition, up to its end, or to an offset that was appended. */
  async #caughtUp(partition: number, signal: AbortSignal, offset?: number): Promise<LetterLedger> {
    const { earliest, next } = await this.#bus.offsets(topic, partition);
    const ledger = this.#ledgers.get(partition) ?? new LetterLedger(await this.#begin(partition, next));
    this.#ledgers.set(partition, ledger);
    const until = offset ?? next;
    if (ledger.next < until && until > earliest) {
      for await (const fetch of this.#bus.read(topic, partition, ledger.next, { until, maxBytes: fetchBytes, signal })) ledger.learn(fetch);
      signal.throwIfAborted();
    }
    ledger.dropBelow(earliest);
    return ledger;
  }

  /** Nothing waits below it. A commit beyond the end is of a topic that is no more. */
  async #begin(partition: number, next: number): Promise<number> {
    const floor = (await this.#bus.committed(deadLetterGroup, topic, partition))?.offset ?? 0;
    return floor <= next ? floor : 0;
  }

  #alone<Result>(partition: number, task: () => Promise<Result>): Promise<Result> {
    const turn = (this.#work.get(partition) ?? Promise.resolve()).then(task);
    this.#work.set(
      partition,
      turn.catch(() => undefined),
    );
    return turn;
  }
}

function randomId(): string {
  return randomBytes(8).toString('hex');
}

/** Offsets, rising, by partition. */
function byPartition(ids: Iterable<string>): Map<number, number[]> {
  const offsets = new Map<number, number[]>();
  for (const id of ids) {
    const [partition, offset] = id.split('-').map(Number);
    const found = offsets.get(partition);
    if (found === undefined) offsets.set(partition, [offset]);
    else found.push(offset);
  }
  return new Map([...offsets].map(([partition, found]) => [partition, [...new Set(found)].sort((a, b) => a - b)]));
}

function passes(letter: ReadLetter, { stage, target, code }: LetterFilter): boolean {
  return (
    (stage === undefined || letter.stage === stage) &&
    (target === undefined || letter.target === target) &&
    (code === undefined || letter.code === code)
  );
}
