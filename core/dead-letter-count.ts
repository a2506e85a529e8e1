import { topics } from '../proto/bus.ts';
import { messageOf } from './app-error.ts';
import type { Bus, Commit, Consumer, Fetch } from './bus/bus.ts';
import { deadLetterGroup } from './dead-letter-box.ts';
import { LetterLedger } from './letter-ledger.ts';
import { type Log, LogLimiter } from './log.ts';
import { backoffMs, sleep } from './retry.ts';

const topic = topics.deadLetters;
const fetchBytes = 1024 * 1024;
const retryPolicy = { initialMs: 250, maxMs: 30_000 };
/** How often it is looked whether retention took letters. */
const retentionMs = 60_000;

/**
 * How many dead letters wait. The processes that count share the partitions, as members of a group, so that each letter is
 * counted by one of them. What it commits is the offset below which nothing waits: what retention takes above it was lost.
 */
export class DeadLetterCount {
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #ledgers = new Map<number, LetterLedger>();
  readonly #closing = new AbortController();
  readonly #limiter = new LogLimiter();
  readonly #timer: NodeJS.Timeout;
  #consumer: Consumer | undefined;
  readonly #life: Promise<void>;

  constructor(bus: Bus, log: Log) {
    this.#bus = bus;
    this.#log = log;
    this.#timer = setInterval(() => void this.#dropDeleted().catch(() => undefined), retentionMs).unref();
    this.#life = this.#run();
  }

  /** Letters that wait in the partitions that are this process's to count. */
  get waiting(): number {
    let count = 0;
    for (const { size } of this.#ledgers.values()) count += size;
    return count;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort(new Error('closing'));
    await this.#consumer?.close(1_000);
    await this.#life;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        this.#consumer = await this.#consume();
        // It may have been closed meanwhile.
        if (signal.aborted) await this.#consumer.close(1_000);
        await this.#consumer.finished;
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const waitMs = backoffMs(attempt, retryPolicy);
        this.#limiter.once('failed', (heldBack) =>
          this.#log.error(
            { code: 'DEAD_LETTERS_UNCOUNTED', heldBack, waitMs: Math.round(waitMs) },
            `the dead letters cannot be counted: ${messageOf(thrown)}`,
          ),
        );
        await sleep(waitMs, signal).catch(() => undefined);
      }
    }
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
    this.#ledgers.set(partition, new LetterLedger(from));
    return from;
  }

  async #handle(fetch: Fetch, consumer: Consumer): Promise<void> {
    const ledger = this.#ledgers.get(fetch.partition);
    if (ledger === undefined) return;
    const before = ledger.floor;
    for (const { to, reason } of fetch.holes) if (reason === 'retention') ledger.dropBelow(to);
    ledger.learn(fetch);
    if (ledger.floor > before) await consumer.commit(fetch.partition, { offset: ledger.floor, metadata: '' });
  }

  async #dropDeleted(): Promise<void> {
    for (const [partition, ledger] of this.#ledgers) ledger.dropBelow((await this.#bus.offsets(topic, partition)).earliest);
  }
}
