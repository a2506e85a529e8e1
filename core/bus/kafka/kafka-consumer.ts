import { AppError, messageOf } from '../../app-error.ts';
import { endsWithin } from '../../deadline.ts';
import { backoffMs, sleep } from '../../retry.ts';
import type { Commit, ConsumeOptions, Consumer, Fetch, ReadOptions } from '../bus.ts';
import { busError } from '../errors.ts';
import { ABORTED_MS, PartitionWork } from '../partition-work.ts';
import type { Committer } from './commits.ts';
import { errorType, kafkaError } from './errors.ts';
import { GroupMembership, type MembershipOptions } from './group-membership.ts';

/** How long a running `handle` may go on when its partition is taken away, before its signal aborts. */
const defaultGraceMs = 10_000;
/** The same in a rebalance, where others wait. */
const rebalanceGraceMs = 5_000;
/** A commit of last words may take so long. */
const lastCommitMs = 5_000;
/** What was told to end does within this time, or is left behind: brokers that are away are not waited for. */
const leftBehindMs = ABORTED_MS + 1_000;
/** Lag is told from what was known before when the broker takes longer. */
const lagMs = 2_000;
const retry = { initialMs: 50, maxMs: 1_000 };
const fencing = /^(UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION|FENCED_INSTANCE_ID)$/;

/** What a consumer needs of its bus. */
export interface ConsumerPorts {
  readonly membership: Omit<MembershipOptions, 'assigned' | 'revoked' | 'failed'>;
  read(partition: number, from: number, options: ReadOptions): AsyncIterable<Fetch>;
  /** As Bus.offsets, tried once. */
  offsets(partition: number): Promise<{ readonly earliest: number; readonly next: number }>;
  committed(partition: number): Promise<Commit | undefined>;
  commit(partition: number, commit: Commit, as: Committer): Promise<void>;
  /** Retention took messages that this group had not read. */
  missed(partition: number, messages: number): void;
  warned(warning: AppError): void;
  failed(what: string, error: AppError): void;
}

/** A partition that this member was given. */
interface Held {
  readonly work: PartitionWork;
  /** The member and generation that it was given to. Whoever the member is later has no right to commit for this work. */
  readonly committer: Committer;
}

/** A consumer over Kafka: its membership in the group, and the work on each partition that it was given. */
export class KafkaConsumer implements Consumer {
  readonly finished: Promise<void>;
  readonly #options: ConsumeOptions;
  readonly #ports: ConsumerPorts;
  readonly #membership: GroupMembership;
  readonly #held = new Map<number, Held>();
  readonly #committed = new Map<number, number>();
  #lag: ReadonlyMap<number, number> = new Map();
  #ending: Promise<void> | undefined;
  #left: Promise<void> | undefined;
  #finish: () => void = () => undefined;
  #fail: (error: unknown) => void = () => undefined;

  constructor(options: ConsumeOptions, ports: ConsumerPorts) {
    this.#options = options;
    this.#ports = ports;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    // Who does not look at `finished` must not bring down the process.
    this.finished.catch(() => undefined);
    this.#membership = new GroupMembership({
      ...ports.membership,
      assigned: (partitions, committer) => this.#assign(partitions, committer),
      revoked: (fenced) => this.#end(fenced ? 0 : rebalanceGraceMs),
      failed: (error) => this.#membershipFailed(error),
    });
  }

  /** Tried for as long as the partition is this member's; see Consumer.commit. */
  async commit(partition: number, commit: Commit): Promise<void> {
    const { group, topic } = this.#options;
    const held = this.#held.get(partition);
    const isHeld = (): boolean => held !== undefined && this.#held.get(partition) === held;
    const refused = (cause?: unknown): AppError => busError('BUS_NOT_ASSIGNED', { partition, topic, group }, cause);
    if (held === undefined) throw refused();
    const beganMs = performance.now();
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#ports.commit(partition, commit, held.committer);
        if (isHeld()) this.#committed.set(partition, commit.offset);
        return;
      } catch (thrown) {
        const type = errorType(thrown) ?? '';
        if (fencing.test(type)) {
          held.work.abandon();
          if (isHeld()) this.#membership.fence();
          throw refused(thrown);
        }
        if (!(thrown instanceof AppError) || (!thrown.retryable && type !== 'REBALANCE_IN_PROGRESS')) throw thrown;
        if (held.work.isStopping && performance.now() - beganMs > lastCommitMs) throw refused(thrown);
        this.#ports.failed('commit', thrown);
        await sleep(backoffMs(attempt, retry));
        if (!isHeld()) throw refused(thrown);
      }
    }
  }

  async lag(): Promise<ReadonlyMap<number, number>> {
    const asked = Promise.all([...this.#held.keys()].map(async (partition) => [partition, await this.#lagOf(partition)] as const));
    const found = await Promise.race([asked.catch(() => undefined), sleep(lagMs).then(() => undefined)]);
    if (found !== undefined) this.#lag = new Map(found);
    return this.#lag;
  }

  async close(graceMs = defaultGraceMs): Promise<void> {
    await endsWithin(this.#leave(graceMs), graceMs + leftBehindMs);
    this.#finish();
  }

  async #lagOf(partition: number): Promise<number> {
    const { earliest, next } = await this.#ports.offsets(partition);
    return next - Math.max(earliest, this.#committed.get(partition) ?? 0);
  }

  #assign(partitions: readonly number[], committer: Committer): void {
    if (this.#left !== undefined) return;
    const { group: name, topic } = this.#options;
    const log = {
      read: (partition: number, from: number, options: ReadOptions) => this.#read(partition, from, options),
      committed: async (partition: number) => {
        const commit = await this.#ports.committed(partition);
        if (commit !== undefined) this.#committed.set(partition, commit.offset);
        return commit;
      },
      warned: (warning: AppError) => this.#ports.warned(warning),
    };
    for (const partition of partitions) {
      const work = new PartitionWork({ name, topic, log }, partition, this.#options);
      this.#held.set(partition, { work, committer });
      work.failed.catch((error: unknown) => {
        this.#fail(error);
        void this.#leave(defaultGraceMs);
      });
    }
  }

  async *#read(partition: number, from: number, options: ReadOptions): AsyncGenerator<Fetch> {
    for await (const fetch of this.#ports.read(partition, from, options)) {
      for (const { reason, from: first, to } of fetch.holes) {
        if (reason === 'retention' && this.#committed.has(partition)) this.#ports.missed(partition, to - first);
      }
      yield fetch;
    }
  }

  /** Ends the work on all partitions. */
  #end(graceMs: number): Promise<void> {
    this.#ending ??= Promise.all(
      [...this.#held].map(async ([partition, { work }]) => {
        await work.stop(graceMs);
        this.#held.delete(partition);
        this.#committed.delete(partition);
      }),
    ).then(() => {
      this.#ending = undefined;
    });
    return this.#ending;
  }

  #leave(graceMs: number): Promise<void> {
    this.#left ??= this.#end(graceMs).then(() => this.#membership.close());
    return this.#left;
  }

  #membershipFailed(error: unknown): void {
    const failure =
      error instanceof AppError ? error : kafkaError('KAFKA_NOT_READY', { what: 'the group', cause: messageOf(error) }, error);
    this.#ports.failed(`the membership in group ${this.#options.group}`, failure);
  }
}
