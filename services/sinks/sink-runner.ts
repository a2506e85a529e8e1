import { AppError, messageOf } from '../../core/app-error.ts';
import type { Bus, Consumer } from '../../core/bus/bus.ts';
import type { Log } from '../../core/log.ts';
import { backoffMs, sleep } from '../../core/retry.ts';
import { delivering } from './delivery.ts';
import { type Dispositions, newDeliveryCounters, type SinkCounters, type SinkStatus } from './metrics.ts';
import { startPipeline } from './pipeline.ts';
import type { OpenedSink } from './registry.ts';
import { type ReplayOutcome, replayOnce } from './replay.ts';
import type { RetryPolicy } from './retrying.ts';
import type { Batch } from './sink.ts';

export interface SinkRunnerOptions {
  readonly name: string;
  readonly bus: Bus;
  readonly policy: RetryPolicy;
  readonly log: Log;
  open(): Promise<OpenedSink>;
}

/** One sink's life: opens it, runs its pipeline, and starts both anew when they fail. */
export class SinkRunner {
  readonly #options: SinkRunnerOptions;
  readonly #delivery = newDeliveryCounters();
  readonly #partitions = new Map<number, Readonly<Dispositions>>();
  /** What holds partitions back. */
  readonly #problems = new Map<number, { readonly status: 'retrying' | 'paused'; readonly cause: AppError }>();
  readonly #closing = new AbortController();
  readonly #replaysEnd = new AbortController();
  #status: SinkStatus = 'starting';
  #problem: string | undefined;
  #leaving = false;
  #opened: OpenedSink | undefined;
  #consumer: Consumer | undefined;
  readonly #life: Promise<void>;
  /** Resolves when the sink delivers, or has failed to start for the first time. */
  readonly started: Promise<void>;

  constructor(options: SinkRunnerOptions) {
    this.#options = options;
    let settle = (): void => undefined;
    this.started = new Promise((resolve) => {
      settle = resolve;
    });
    this.#life = this.#run(settle).finally(settle);
  }

  /** The sink as it stands. The worst partition speaks for it. */
  get counters(): SinkCounters {
    const problems = [...this.#problems.values()];
    const worst = problems.find(({ status }) => status === 'paused') ?? problems[0];
    const problem = worst === undefined ? this.#problem : `${worst.cause.code}: ${worst.cause.message}`;
    return {
      sink: this.#options.name,
      status: this.#status === 'delivering' && worst !== undefined ? worst.status : this.#status,
      ...(problem !== undefined && { problem }),
      delivery: this.#delivery,
      partitions: this.#partitions,
      store: this.#opened?.sink.counters ?? {},
    };
  }

  /** Messages appended and not yet committed, per partition. */
  async lag(): Promise<ReadonlyMap<number, number>> {
    return (await this.#consumer?.lag()) ?? new Map();
  }

  /** What the store takes on this machine's disk, bytes; undefined: nothing, or not known. */
  async diskBytes(): Promise<number | undefined> {
    return this.#opened?.sink.diskBytes?.();
  }

  /** Sends a batch once, beside the partitions; see replayOnce. */
  async replay(batch: Batch, signal: AbortSignal): Promise<ReplayOutcome[]> {
    const limit = new AbortController();
    const signals = [signal, this.#replaysEnd.signal];
    const abort = (): void => limit.abort(signals.find(({ aborted }) => aborted)?.reason);
    if (signals.some(({ aborted }) => aborted)) abort();
    for (const each of signals) each.addEventListener('abort', abort, { once: true });
    try {
      return await replayOnce(this.#options.name, this.#opened, batch, this.#delivery, limit.signal);
    } finally {
      for (const each of signals) each.removeEventListener('abort', abort);
    }
  }

  /** Ends replays under way; what has no answer by then is doubtful. */
  stopReplays(): void {
    this.#replaysEnd.abort(new Error('closing'));
  }

  /** Lets what is under way end for up to `graceMs`, then stops. What is not committed is delivered after the next start. */
  async close(graceMs: number): Promise<void> {
    this.#leaving = true;
    const consumer = this.#consumer;
    if (consumer === undefined) this.#closing.abort(new Error('closing'));
    else await consumer.close(graceMs);
    this.#closing.abort(new Error('closing'));
    await this.#life;
    this.stopReplays();
    await this.#opened?.sink.close();
    this.#status = 'closed';
  }

  async #run(settle: () => void): Promise<void> {
    const { signal } = this.#closing;
    const { name, policy, log } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#deliver(settle, () => {
          attempt = 0;
        });
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const retryable = thrown instanceof AppError && thrown.retryable;
        const waitMs = retryable ? backoffMs(attempt, policy) : policy.pauseMs;
        this.#status = retryable ? 'retrying' : 'paused';
        this.#problem = thrown instanceof AppError ? `${thrown.code}: ${thrown.message}` : messageOf(thrown);
        settle();
        if (attempt === 0 || !retryable)
          log.error({ sink: name, err: thrown, waitMs: Math.round(waitMs) }, 'the sink stopped and starts anew');
        await sleep(waitMs, signal).catch(() => undefined);
      }
    }
  }

  /** Opens what is not open and delivers until the consumer is closed. */
  async #deliver(started: () => void, progressed: () => void): Promise<void> {
    const { name, bus, policy, log } = this.#options;
    const { signal } = this.#closing;
    this.#opened ??= await this.#options.open();
    const { sink, maxBytes } = this.#opened;
    await sink.check(signal);
    this.#problems.clear();
    const sinkWithRetries = delivering(sink, { name, policy, maxBytes, counters: this.#delivery, observer: this.#observer() });
    const consumer = await startPipeline({
      name,
      bus,
      sink: sinkWithRetries,
      counters: this.#delivery,
      log,
      assigned: (partition, dispositions) => {
        this.#partitions.set(partition, dispositions);
      },
      committed: (partition, dispositions) => {
        this.#partitions.set(partition, dispositions);
        progressed();
      },
      revoked: (partition) => {
        // At the end both stay: a summary wants them.
        if (this.#leaving) return;
        this.#partitions.delete(partition);
        this.#problems.delete(partition);
      },
    });
    this.#consumer = consumer;
    this.#status = 'delivering';
    this.#problem = undefined;
    started();
    if (signal.aborted) await consumer.close(0);
    await consumer.finished.finally(() => {
      this.#consumer = undefined;
    });
  }

  #observer() {
    const { name, log } = this.#options;
    const held = (status: 'retrying' | 'paused') => (partition: number, cause: AppError) => {
      const before = this.#problems.get(partition);
      this.#problems.set(partition, { status, cause });
      // Once per cause, not per attempt.
      if (before?.status === status && before.cause.code === cause.code) return;
      log.warn(
        { sink: name, partition, code: cause.code, remedy: cause.remedy },
        `${status === 'paused' ? 'paused' : 'waiting for the store'}: ${cause.message}`,
      );
    };
    return {
      retrying: held('retrying'),
      paused: held('paused'),
      delivering: (partition: number) => {
        if (this.#problems.delete(partition)) log.info({ sink: name, partition }, 'the store takes events again');
      },
    };
  }
}
