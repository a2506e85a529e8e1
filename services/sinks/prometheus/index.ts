import { setImmediate as nextTurn } from 'node:timers/promises';
import { messageOf } from '../../../core/app-error.ts';
import { appendRetrying } from '../../../core/bus/append-retrying.ts';
import type { Bus, Consumer, Fetch } from '../../../core/bus/bus.ts';
import { SteadyConsumer } from '../../../core/bus/steady-consumer.ts';
import { encodeDeadLetter } from '../../../core/dead-letter.ts';
import { type Log, LogLimiter } from '../../../core/log.ts';
import { topics } from '../../../proto/bus.ts';
import type { PrometheusSinkConfig } from './config.ts';
import { prometheusError } from './errors.ts';
import type { Family, FieldDescription } from './family.ts';
import { ShownSeries, type ShownSeriesOptions } from './store.ts';

export interface PrometheusSinkOptions {
  /** Has the topics `metrics` and `deadLetters` (proto/bus.ts). */
  readonly bus: Bus;
  readonly config: PrometheusSinkConfig;
  readonly log: Log;
  describe(source: string, field: string): FieldDescription | undefined;
}

const group = 'sink-prometheus';
/** A fetch is taken in without a break; a message is at most 256 KiB. */
const fetchBytes = 256 * 1024;
/** A message that cannot be decoded may have any size: this much of it is kept. */
const maxPayloadBytes = 512 * 1024;

/** Keeps the newest value of each series of the topic `metrics`, for scrapes. */
export class PrometheusSink {
  readonly #options: PrometheusSinkOptions;
  readonly #series: ShownSeries;
  readonly #limiter = new LogLimiter();
  /** Offset behind what was there when a partition was assigned. */
  readonly #behind = new Map<number, number>();
  /** Messages of the running fetch that could not be decoded. */
  #letters: Uint8Array[] = [];
  readonly #consumer: SteadyConsumer;
  #loaded: () => void = () => undefined;
  /** Resolves when everything is shown that was there at the start. */
  readonly loaded: Promise<void>;

  private constructor(options: PrometheusSinkOptions) {
    this.#options = options;
    const { maxSeriesPerMetric, endedVisible } = options.config;
    const refused: ShownSeriesOptions['refused'] = (partition, offset, bytes, reason) => {
      const error = prometheusError('METRIC_BATCH_INVALID', { bytes: bytes.length, reason });
      const from = { stage: 'sink', target: 'prometheus', topic: topics.metrics, partition, offset } as const;
      this.#letters.push(encodeDeadLetter({ ...from, error, payload: bytes.subarray(0, maxPayloadBytes) }));
    };
    this.#series = new ShownSeries({ maxSeriesPerMetric, endedVisibleMs: endedVisible, describe: options.describe, refused });
    this.loaded = new Promise((resolve) => {
      this.#loaded = resolve;
    });
    this.#consumer = new SteadyConsumer({
      consume: () => this.#consume(),
      failed: (cause, waitMs) => this.#tellFailure(cause, waitMs),
    });
  }

  /** Starts to read from the newest whole keyframe of each partition; one that fails starts anew. */
  static start(options: PrometheusSinkOptions): PrometheusSink {
    return new PrometheusSink(options);
  }

  /** Metrics by name, as they stand. */
  families(): readonly Family[] {
    this.#series.expire();
    return [...this.#series.families.values()].filter(({ rows }) => rows.length > 0);
  }

  /** Series that are shown, and what became of the messages. */
  get counters(): Readonly<Record<'series' | 'messages' | 'repeats' | 'undecodable' | 'keyframes' | 'folded', number>> {
    return { series: this.#series.series, ...this.#series.counters };
  }

  async close(): Promise<void> {
    await this.#consumer.close();
    this.#loaded();
  }

  #tellFailure(cause: unknown, waitMs: number): void {
    this.#limiter.once('failed', (heldBack) =>
      this.#options.log.error(
        { code: 'PROMETHEUS_READ_FAILED', sink: 'prometheus', heldBack, waitMs: Math.round(waitMs) },
        `the metrics cannot be read: ${messageOf(cause)}`,
      ),
    );
  }

  #consume(): Promise<Consumer> {
    const { bus } = this.#options;
    const consumer: Promise<Consumer> = bus.consume({
      group,
      topic: topics.metrics,
      maxBytes: fetchBytes,
      assigned: async (partition, committed) => {
        const { earliest, next } = await bus.offsets(topics.metrics, partition);
        this.#behind.set(partition, next);
        const from = Math.min(next, Math.max(earliest, committed?.offset ?? 0));
        this.#caughtUp(partition, from);
        return from;
      },
      handle: async (fetch) => this.#handle(fetch, await consumer),
      revoked: async (partition) => {
        if (!this.#consumer.signal.aborted) this.#series.drop(partition);
      },
    });
    return consumer;
  }

  /** The offset that is committed is where a start finds all series at once: the newest whole keyframe. */
  async #handle(fetch: Fetch, consumer: Consumer): Promise<void> {
    let start: number | undefined;
    for (const { offset, value } of fetch.messages) {
      start = this.#series.take(fetch.partition, offset, value) ?? start;
      await nextTurn();
    }
    await this.#giveUp(fetch.partition);
    this.#series.expire();
    this.#caughtUp(fetch.partition, fetch.next);
    if (start !== undefined) await consumer.commit(fetch.partition, { offset: start, metadata: '' });
  }

  /** A start reads from the newest keyframe again: what lies behind it may be given up twice. */
  async #giveUp(partition: number): Promise<void> {
    const letters = this.#letters;
    this.#letters = [];
    if (letters.length === 0) return;
    const { bus, log } = this.#options;
    await appendRetrying(bus, topics.deadLetters, partition % bus.partitions(topics.deadLetters), letters, log, this.#consumer.signal);
  }

  #caughtUp(partition: number, next: number): void {
    if (!this.#series.loading || next < (this.#behind.get(partition) ?? 0)) return;
    this.#behind.set(partition, 0);
    const partitions = this.#options.bus.partitions(topics.metrics);
    if (this.#behind.size < partitions || [...this.#behind.values()].some((behind) => behind > 0)) return;
    this.#series.loading = false;
    this.#loaded();
  }
}
