import { messageOf } from '../app-error.ts';
import type { ConsumeOptions } from './bus.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { busError } from './errors.ts';

/** How long an aborted `handle` is waited for; what hangs longer is left behind, and reported. */
const ABORTED_MS = 2_000;

/** A member's work on one partition: read, handle, read on, until it is stopped. */
export class PartitionWork {
  /** Rejects when `assigned`, `handle` or a read failed; resolves once stopped. */
  readonly failed: Promise<void>;
  readonly #group: ConsumerGroup;
  readonly #partition: number;
  readonly #options: ConsumeOptions;
  /** No further fetch. */
  readonly #stop = new AbortController();
  /** The running `handle` has to end. */
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;

  constructor(group: ConsumerGroup, partition: number, options: ConsumeOptions) {
    this.#group = group;
    this.#partition = partition;
    this.#options = options;
    this.failed = this.#run();
    this.#ended = this.failed.then(
      () => undefined,
      () => undefined,
    );
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
    const committed = log.committed(this.#partition);
    const chosen = await assigned?.call(this.#options, this.#partition, committed);
    const from = chosen ?? committed?.offset ?? 0;
    const limits = maxBytes === undefined ? {} : { maxBytes };
    try {
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

async function endsWithin(ended: Promise<void>, waitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), waitMs);
  });
  try {
    return await Promise.race([ended.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
