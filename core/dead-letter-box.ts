import { topics } from '../proto/bus.ts';
import { errorTable } from './app-error.ts';
import type { Bus } from './bus/bus.ts';
import { decodeDeadLetter, type ReadLetter } from './dead-letter.ts';
import { SettledOffsets } from './settled-offsets.ts';

/** What can go wrong with the dead letters. */
export const deadLetterError = errorTable({
  DEAD_LETTER_UNKNOWN: {
    message: 'there is no dead letter {id}: found nothing, expected an id that `jitterscope dlq list` shows',
    retryable: false,
    remedy: 'It may have been replayed or purged, or it was too old for bus.deadLettersSize.',
  },
  DEAD_LETTERS_SCATTERED: {
    message: 'too many dead letters were settled one by one between others that wait',
    retryable: false,
    remedy: 'Replay or purge the oldest first: `jitterscope dlq list` shows them first.',
  },
});

/** A dead letter that waits, by the id under which it is shown: partition, "-", offset in the DLQ topic. */
export interface WaitingLetter extends ReadLetter {
  readonly id: string;
}

/** Which dead letters; what is left out is not asked for. */
export interface LetterFilter {
  readonly ids?: readonly string[];
  readonly stage?: string;
  readonly target?: string;
  readonly code?: string;
}

/** Not joined by anybody: its commits say what was settled. */
const group = 'dlq';
const topic = topics.deadLetters;
const fetchBytes = 1024 * 1024;
/** A commit holds 4 KiB. */
const maxTextBytes = 4000;

/**
 * The dead letters of all stages, until somebody settles them: replayed, or purged. The topic's retention drops the oldest;
 * nothing else removes their bytes.
 */
export class DeadLetterBox {
  readonly #bus: Bus;
  /** One change at a time. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Those that wait, oldest first within a partition. The payload is valid until the next one is asked for. */
  async *waiting(filter: LetterFilter, signal: AbortSignal): AsyncGenerator<WaitingLetter> {
    const ids = filter.ids === undefined ? undefined : new Set(filter.ids);
    for (let partition = 0; partition < this.#bus.partitions(topic); partition++) {
      const { earliest, next } = await this.#bus.offsets(topic, partition);
      const settled = await this.#settled(partition);
      const from = Math.max(earliest, settled.next);
      if (from >= next) continue;
      for await (const fetch of this.#bus.read(topic, partition, from, { until: next, maxBytes: fetchBytes, signal })) {
        for (const { offset, value } of fetch.messages) {
          const id = `${partition}-${offset}`;
          if (settled.has(offset) || (ids !== undefined && !ids.has(id))) continue;
          const letter = decodeDeadLetter(value);
          if (passes(letter, filter)) yield { id, ...letter };
        }
      }
    }
  }

  /** One letter, whole. Throws DEAD_LETTER_UNKNOWN. */
  async read(id: string, signal: AbortSignal): Promise<WaitingLetter> {
    for await (const letter of this.waiting({ ids: [id] }, signal)) return { ...letter, payload: letter.payload.slice() };
    throw deadLetterError('DEAD_LETTER_UNKNOWN', { id: id.slice(0, 40) });
  }

  /** Settles letters by their ids; durable when resolved. */
  settle(ids: readonly string[]): Promise<void> {
    const offsets = new Map<number, number[]>();
    for (const id of ids) {
      const [partition, offset] = id.split('-').map(Number);
      offsets.set(partition, [...(offsets.get(partition) ?? []), offset]);
    }
    const change = this.#work.then(async () => {
      for (const [partition, settled] of offsets) await this.#settle(partition, settled);
    });
    this.#work = change.catch(() => undefined);
    return change;
  }

  /** How many wait, of all stages; messages that retention or damage took do not. */
  async count(): Promise<number> {
    let count = 0;
    for (let partition = 0; partition < this.#bus.partitions(topic); partition++) {
      const { earliest, next } = await this.#bus.offsets(topic, partition);
      count += (await this.#settled(partition)).open(earliest, next);
    }
    return count;
  }

  async #settled(partition: number): Promise<SettledOffsets> {
    const commit = await this.#bus.committed(group, topic, partition);
    return SettledOffsets.decode(commit?.offset ?? 0, commit?.metadata ?? '');
  }

  async #settle(partition: number, offsets: readonly number[]): Promise<void> {
    const settled = await this.#settled(partition);
    const { earliest } = await this.#bus.offsets(topic, partition);
    settled.add(0, earliest);
    for (const offset of offsets) settled.add(offset);
    const { next, text } = settled;
    if (text.length > maxTextBytes) throw deadLetterError('DEAD_LETTERS_SCATTERED');
    await this.#bus.commit(group, topic, partition, { offset: next, metadata: text });
  }
}

function passes(letter: ReadLetter, { stage, target, code }: LetterFilter): boolean {
  return (
    (stage === undefined || letter.stage === stage) &&
    (target === undefined || letter.target === target) &&
    (code === undefined || letter.code === code)
  );
}
