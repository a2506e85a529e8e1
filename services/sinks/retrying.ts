import { AppError, messageOf } from '../../core/app-error.ts';
import { type BackoffPolicy, backoffMs, sleep } from '../../core/retry.ts';
import { sinkError } from './errors.ts';
import { forwarded } from './measured.ts';
import { countFailure, type DeliveryCounters } from './metrics.ts';
import { type Batch, type Delivery, type ItemError, rowsAt, type Sink } from './sink.ts';

export interface RetryPolicy extends BackoffPolicy {
  /** How often a paused sink tries again, ms. */
  readonly pauseMs: number;
}

/** What is told while a batch is not through. */
export interface DeliveryObserver {
  /** The store may recover by itself. */
  retrying(partition: number, cause: AppError): void;
  /** An operator has to mend something. */
  paused(partition: number, cause: AppError): void;
  delivering(partition: number): void;
}

export interface RetryingOptions {
  readonly name: string;
  readonly policy: RetryPolicy;
  readonly counters: DeliveryCounters;
  readonly observer: DeliveryObserver;
}

/**
 * Delivers a batch to the end: its answer names rejected items only. Retries without end, with full jitter, in
 * smaller requests where the store asks for them, and only the items that need it. What was sent without an answer
 * is looked up first, and sent again only if the store does not hold it. Ends early only when the signal aborts.
 */
export function retrying(sink: Sink, options: RetryingOptions): Sink {
  const size: RequestSize = { limit: Number.POSITIVE_INFINITY, successes: 0 };
  return { ...forwarded(sink), deliver: (batch, signal) => new Attempts(sink, options, size, batch, signal).run() };
}

/** Most items a request may have, learned from the store: halved when it asks for it, doubled after some successes. */
interface RequestSize {
  limit: number;
  successes: number;
}

const successesToGrow = 16;
/**
 * Of what is only a guess so many of the first and of the last are asked for: events are sent in their order, so a store that
 * holds none of them holds none in between. A new sink before a full bus need not ask for all of it.
 */
const endItems = 25;

/** The way of one batch. Items are positions in `batch.items` throughout. */
class Attempts {
  readonly #sink: Sink;
  readonly #options: RetryingOptions;
  readonly #batch: Batch;
  readonly #signal: AbortSignal;
  readonly #rejected: ItemError[] = [];
  readonly #size: RequestSize;
  #failures = 0;

  constructor(sink: Sink, options: RetryingOptions, size: RequestSize, batch: Batch, signal: AbortSignal) {
    this.#sink = sink;
    this.#options = options;
    this.#size = size;
    this.#batch = batch;
    this.#signal = signal;
  }

  async run(): Promise<Delivery> {
    let todo: readonly number[] = positionsOf(this.#batch);
    const { possiblyStored = 0, begun = possiblyStored } = this.#batch;
    if (possiblyStored > 0) {
      const missing = await this.#missing(todo.slice(0, possiblyStored), begun);
      todo = [...missing, ...todo.slice(possiblyStored)];
    }
    while (todo.length > 0) {
      const part = todo.length > this.#size.limit ? todo.slice(0, this.#size.limit) : todo;
      const again = await this.#request(part);
      // What is sent again goes before the rest, so that order holds between requests.
      todo = part === todo ? again : [...again, ...todo.slice(part.length)];
    }
    this.#options.observer.delivering(this.#batch.partition);
    this.#rejected.sort((a, b) => a.item - b.item);
    return this.#rejected.length > 0 ? { rejected: this.#rejected } : {};
  }

  /** One request; resolves with the items that are to be sent again, after the wait. */
  async #request(items: readonly number[]): Promise<readonly number[]> {
    this.#signal.throwIfAborted();
    const { counters, observer } = this.#options;
    let delivery: Delivery;
    try {
      delivery = await this.#sink.deliver(this.#part(items), this.#signal);
    } catch (thrown) {
      await this.#recover(thrown);
      counters.retriedEvents += items.length;
      return items;
    }
    const { rejected = [], retry, unknown } = delivery;
    for (const { item, error } of rejected) this.#rejected.push({ item: items[item], error });
    if (retry === undefined && unknown === undefined) {
      this.#failures = 0;
      if (++this.#size.successes >= successesToGrow) this.#resize(this.#size.limit * 2);
      observer.delivering(this.#batch.partition);
      return [];
    }
    const again = (retry?.items ?? []).map((item) => items[item]);
    if (retry?.smaller) {
      if (items.length === 1) {
        for (const item of again) this.#rejected.push({ item, error: retry.cause });
        return [];
      }
      this.#resize(Math.max(1, items.length >> 1));
    }
    if (unknown !== undefined) again.push(...(await this.#missing(unknown.items.map((item) => items[item]))));
    counters.retriedEvents += again.length;
    if (again.length < items.length) this.#failures = 0;
    const immediately = retry?.smaller === true && retry.afterMs === undefined;
    if (again.length > 0 && !immediately) await this.#wait((retry ?? unknown)?.cause as AppError, retry?.afterMs);
    return again.sort((a, b) => a - b);
  }

  /** The items that the store does not hold. @param begun those from this position on are a guess (Batch) */
  async #missing(items: readonly number[], begun = Number.POSITIVE_INFINITY): Promise<number[]> {
    const { counters } = this.#options;
    const known = (those: readonly number[]): number[] => those.filter((item) => item < begun);
    counters.unknownEvents += items.length;
    while (this.#sink.find !== undefined) {
      this.#signal.throwIfAborted();
      try {
        const held = await this.#held(items, known(items).length);
        if (held === undefined) break;
        const missing = items.filter((item) => !held.has(this.#batch.view.id(this.#batch.items[item])));
        counters.foundEvents += items.length - missing.length;
        counters.possiblyDuplicatedEvents += this.#sink.mayMiss?.(this.#part(known(missing))) ?? 0;
        return missing;
      } catch (thrown) {
        if (!this.#signal.aborted) countFailure(counters, this.#expected(thrown).code);
        await this.#recover(thrown);
      }
    }
    counters.possiblyDuplicatedEvents += known(items).length;
    return [...items];
  }

  /** The ids of these that the store holds. @param begun how many of them are no guess */
  async #held(items: readonly number[], begun: number): Promise<ReadonlySet<string> | undefined> {
    const ask = async (those: readonly number[]) => this.#sink.find?.({ ...this.#part(those), begun }, this.#signal);
    if (begun > 0 || items.length <= 2 * endItems) return ask(items);
    const ofEnds = await ask([...items.slice(0, endItems), ...items.slice(-endItems)]);
    return ofEnds === undefined || ofEnds.size === 0 ? ofEnds : ask(items);
  }

  async #recover(thrown: unknown): Promise<void> {
    if (this.#signal.aborted) throw thrown;
    const error = this.#expected(thrown);
    if (error.retryable) return this.#wait(error);
    this.#options.observer.paused(this.#batch.partition, error);
    await sleep(this.#options.policy.pauseMs, this.#signal);
  }

  async #wait(cause: AppError, afterMs?: number): Promise<void> {
    const { observer, policy } = this.#options;
    if (cause.retryable) observer.retrying(this.#batch.partition, cause);
    else observer.paused(this.#batch.partition, cause);
    const waitMs = backoffMs(this.#failures++, policy);
    await sleep(cause.retryable ? Math.max(afterMs ?? 0, waitMs) : policy.pauseMs, this.#signal);
  }

  #resize(limit: number): void {
    this.#size.limit = limit;
    this.#size.successes = 0;
  }

  /** These items, rising, as a batch. */
  #part(positions: readonly number[]): Batch {
    const { partition, view, items } = this.#batch;
    return { partition, view, items: positions.length === items.length ? items : rowsAt(this.#batch, positions) };
  }

  #expected(thrown: unknown): AppError {
    if (thrown instanceof AppError) return thrown;
    const { name, policy } = this.#options;
    return sinkError('SINK_FAILED_UNEXPECTEDLY', { sink: name, cause: messageOf(thrown), pauseSeconds: policy.pauseMs / 1000 }, thrown);
  }
}

function positionsOf({ items }: Batch): number[] {
  const positions: number[] = [];
  for (let position = 0; position < items.length; position++) positions.push(position);
  return positions;
}
