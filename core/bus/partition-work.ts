import { type AppError, messageOf } from '../app-error.ts';
import { endsWithin } from '../deadline.ts';
import type { Commit, ConsumeOptions, Fetch, ReadOptions } from './bus.ts';
import { busError } from './errors.ts';

/** How long an aborted `handle` is waited for; what hangs longer is left behind, and reported. */
export const ABORTED_MS = 2_000;

/** The group that work is done for, and what it reads. */
export interface WorkGroup {
  readonly name: string;
  readonly topic: string;
  readonly log: {
    read(partition: number, from: number, options: ReadOptions): AsyncIterable<Fetch>;
    committed(partition: number): Commit | undefined | Promise<Commit | undefined>;
    warned(warning: AppError): void;
  };
}

/** A member's work on one partition: read, handle, read on, until it is stopped. */
export class PartitionWork {
  /** Rejects when `assigned`, `handle` or a read failed; resolves once stopped. */
  readonly failed: Promise<void>;
  readonly #group: WorkGroup;
  readonly #partition: number;
  readonly #options: ConsumeOptions;
  /** No further fetch. */
  readonly #stop = new AbortController();
  /** The running `handle` has to end. */
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;

  constructor(group: WorkGroup, partition: number, options: ConsumeOptions) {
    this.#group = group;
    this.#partition = partition;
    this.#options = options;
    this.failed = this.#run();
    this.#ended = this.failed.then(
      () => undefined,
      () => undefined,
    );
  }

  /** Whether it was told to end. */
  get isStopping(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Somebody else has the partition: the running `handle` has to give up at once. `stop` still is to be called. */
  abandon(): void {
    this.#stop.abort();
    this.#abort.abort();
  }

  /** Lets `handle` end for `graceMs`, then aborts it, and tells the member that the partition is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    if (!(await endsWithin(this.#ended, graceMs))) {
      this.#abort.abort();
      if (!(await endsWithin(this.#ended, ABORTED_MS))) {
        const { name: group, topic, log } = this.#group;
        log.warned(
          busError('BUS_HANDLER_STUCK', {
            group,
            topic,
            partition: this.#partition,
            waitedMs: graceMs + ABORTED_MS,
            abortedMs: ABORTED_MS,
          }),
        );
      }
    }
    try {
      await this.#options.revoked?.(this.#partition);
    } catch (error) {
      const { name: group, topic, log } = this.#group;
      log.warned(busError('BUS_REVOKED_FAILED', { group, topic, partition: this.#partition, cause: messageOf(error) }, error));
    }
  }

  async #run(): Promise<void> {
    const { log } = this.#group;
    const { assigned, maxBytes } = this.#options;
    const limits = maxBytes === undefined ? {} : { maxBytes };
    try {
      const committed = await log.committed(this.#partition);
      const chosen = await assigned?.call(this.#options, this.#partition, committed);
      const from = chosen ?? committed?.offset ?? 0;
      for await (const fetch of log.read(this.#partition, from, { signal: this.#stop.signal, ...limits })) {
        if (this.#stop.signal.aborted) return;
        await this.#options.handle(fetch, this.#abort.signal);
        if (this.#stop.signal.aborted) return;
      }
    } catch (error) {
      // It was told to give up, and did.
      if (!this.#abort.signal.aborted) throw error;
    }
  }
}
