import { backoffMs, sleep } from '../retry.ts';
import type { Consumer } from './bus.ts';

const policy = { initialMs: 250, maxMs: 30_000 };
const closeGraceMs = 1_000;

export interface SteadyConsumerOptions {
  /** Joins the group. */
  consume(): Promise<Consumer>;
  /** It could not be joined, or work on a fetch failed: it is joined anew after `waitMs`. */
  failed(cause: unknown, waitMs: number): void;
}

/** A consumer that is started anew whenever it ends with an error, until it is closed. */
export class SteadyConsumer {
  readonly #options: SteadyConsumerOptions;
  readonly #closing = new AbortController();
  readonly #life: Promise<void>;
  #current: Consumer | undefined;

  constructor(options: SteadyConsumerOptions) {
    this.#options = options;
    this.#life = this.#run();
  }

  /** The consumer that was joined last. */
  get current(): Consumer | undefined {
    return this.#current;
  }

  /** Aborts when it is closed. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('closing'));
    await this.#current?.close(closeGraceMs);
    await this.#life;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        this.#current = await this.#options.consume();
        // It may have been closed meanwhile.
        if (signal.aborted) await this.#current.close(closeGraceMs);
        await this.#current.finished;
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const waitMs = backoffMs(attempt, policy);
        this.#options.failed(thrown, waitMs);
        await sleep(waitMs, signal).catch(() => undefined);
      }
    }
  }
}
