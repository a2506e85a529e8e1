import { topics } from '../proto/bus.ts';
import { messageOf } from './app-error.ts';
import type { Bus, Commit, Consumer, Fetch } from './bus/bus.ts';
import { SteadyConsumer } from './bus/steady-consumer.ts';
import { deadLetterGroup } from './dead-letter-box.ts';
import { LetterLedger } from './letter-ledger.ts';
import { type Log, LogLimiter } from './log.ts';

const topic = topics.deadLetters;
const fetchBytes = 1024 * 1024;
/** How often it is looked whether retention took letters. */
const retentionMs = 60_000;

/**
 * How many dead letters wait. The processes that count share the partitions, as members of a group, so that each letter is
 * counted by one of them. What it commits is the offset below which nothing waits. Letters that retention takes while they wait
 * are lost: counted, and told in the log.
 */
export class DeadLetterCount {
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #ledgers = new Map<number, LetterLedger>();
  readonly #limiter = new LogLimiter();
  readonly #timer: NodeJS.Timeout;
  readonly #consumer: SteadyConsumer;
  #lost = 0;

  /** @param lookMs how often it is looked whether retention took letters */
  constructor(bus: Bus, log: Log, lookMs = retentionMs) {
    this.#bus = bus;
    this.#log = log;
    this.#timer = setInterval(() => void this.#dropDeleted().catch(() => undefined), lookMs).unref();
    this.#consumer = new SteadyConsumer({
      consume: () => this.#consume(),
      failed: (cause, waitMs) => this.#tellUncounted(cause, waitMs),
    });
  }

  /** Letters that wait in the partitions that are this process's to count. */
  get waiting(): number {
    let count = 0;
    for (const { size } of this.#ledgers.values()) count += size;
    return count;
  }

  /** Letters that retention took while they waited, since the start. What went while nobody counted counts with every message. */
  get lost(): number {
    return this.#lost;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#consumer.close();
  }

  #tellUncounted(cause: unknown, waitMs: number): void {
    this.#limiter.once('failed', (heldBack) =>
      this.#log.error(
        { code: 'DEAD_LETTERS_UNCOUNTED', heldBack, waitMs: Math.round(waitMs) },
        `the dead letters cannot be counted: ${messageOf(cause)}`,
      ),
    );
  }

  #consume(): Promise<Consumer> {
    const consumer: Promise<Consumer> = this.#bus.consume({
      group: deadLetterGroup,
      topic,
      maxBytes: fetchBytes,
      assigned: (partition, committed) => this.#assigned(partition, committed),
      handle: async (fetch) => this.#handle(fetch, await consumer),
      revoked: async (partition) => void this.#ledgers.delete(partition),
    });
    return consumer;
  }

  async #assigned(partition: number, committed: Commit | undefined): Promise<number> {
    const { earliest, next } = await this.#bus.offsets(topic, partition);
    const floor = committed?.offset ?? 0;
    // Beyond the end: of a topic that is no more.
    const from = floor > next ? earliest : Math.max(earliest, floor);
    if (committed !== undefined && floor <= next) this.#lose(partition, from - floor);
    this.#ledgers.set(partition, new LetterLedger(from));
    return from;
  }

  async #handle(fetch: Fetch, consumer: Consumer): Promise<void> {
    const ledger = this.#ledgers.get(fetch.partition);
    if (ledger === undefined) return;
    const before = ledger.floor;
    for (const { from, to, reason } of fetch.holes) {
      if (reason !== 'retention') continue;
      const unread = Math.max(0, to - Math.max(from, ledger.next));
      this.#lose(fetch.partition, unread + ledger.dropBelow(to));
    }
    ledger.learn(fetch);
    if (ledger.floor > before) await consumer.commit(fetch.partition, { offset: ledger.floor, metadata: '' });
  }

  async #dropDeleted(): Promise<void> {
    for (const [partition, ledger] of this.#ledgers) {
      const { earliest } = await this.#bus.offsets(topic, partition);
      // Given back meanwhile: the next one looks.
      if (this.#ledgers.get(partition) !== ledger) continue;
      const before = ledger.floor;
      // What was not read comes as a hole.
      this.#lose(partition, ledger.dropBelow(Math.min(earliest, ledger.next)));
      // Who counts next does not find them missing again.
      if (ledger.floor > before) await this.#consumer.current?.commit(partition, { offset: ledger.floor, metadata: '' });
    }
  }

  #lose(partition: number, letters: number): void {
    if (letters === 0) return;
    this.#lost += letters;
    this.#limiter.once('lost', (heldBack) =>
      this.#log.error(
        { code: 'DEAD_LETTERS_LOST', partition, letters, heldBack },
        'dead letters that nobody had replayed or purged were deleted: raise bus.deadLettersSize',
      ),
    );
  }
}
