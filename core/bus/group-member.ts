import type { Commit, ConsumeOptions, Consumer } from './bus.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { busError } from './errors.ts';
import { PartitionWork } from './partition-work.ts';

/** How long a running `handle` may go on when its partition is taken away, before its signal aborts. */
const DEFAULT_GRACE_MS = 10_000;

/** One consumer: a member of a group, with the partitions it was given. */
export class GroupMember implements Consumer {
  readonly finished: Promise<void>;
  readonly #group: ConsumerGroup;
  readonly #options: ConsumeOptions;
  readonly #work = new Map<number, PartitionWork>();
  #finish: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;
  #left: Promise<void> | undefined;

  constructor(group: ConsumerGroup, options: ConsumeOptions) {
    this.#group = group;
    this.#options = options;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    // Who does not look at `finished` must not bring down the process.
    this.finished.catch(() => undefined);
  }

  async commit(partition: number, commit: Commit): Promise<void> {
    if (!this.#work.has(partition)) throw busError('BUS_NOT_ASSIGNED', { partition, topic: this.#group.topic, group: this.#group.name });
    await this.#group.log.commit(partition, commit);
  }

  lag(): Promise<ReadonlyMap<number, number>> {
    const { log } = this.#group;
    const lag = new Map<number, number>();
    for (const partition of this.#work.keys()) {
      const { earliest, next } = log.offsets(partition);
      lag.set(partition, next - Math.max(earliest, log.committed(partition)?.offset ?? 0));
    }
    return Promise.resolve(lag);
  }

  async close(graceMs = DEFAULT_GRACE_MS): Promise<void> {
    await this.#leave(graceMs);
    this.#finish();
  }

  /** Ends the work on all partitions but these. Called by the group. */
  async revokeExcept(partitions: readonly number[], graceMs = DEFAULT_GRACE_MS): Promise<void> {
    const ending = [...this.#work].filter(([partition]) => !partitions.includes(partition));
    await Promise.all(
      ending.map(async ([partition, work]) => {
        await work.stop(graceMs);
        this.#work.delete(partition);
      }),
    );
  }

  /** Begins to work on partitions. Called by the group. */
  assign(partitions: readonly number[]): void {
    for (const partition of partitions) {
      if (this.#work.has(partition)) continue;
      const work = new PartitionWork(this.#group, partition, this.#options);
      this.#work.set(partition, work);
      work.failed.catch((error: unknown) => {
        this.#fail(error);
        void this.#leave(DEFAULT_GRACE_MS);
      });
    }
  }

  #leave(graceMs: number): Promise<void> {
    this.#left ??= this.#group.leave(this, graceMs);
    return this.#left;
  }
}
