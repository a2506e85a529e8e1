import type { AppError } from '../../app-error.ts';
import { endsWithin } from '../../deadline.ts';
import { backoffMs, sleep } from '../../retry.ts';
import { assignmentProtocol, deal, decodeAssignment, encodeAssignment, encodeMember, ownedOf } from './assignment.ts';
import type { GroupJoined } from './broker.ts';
import { type Committer, outsider } from './commits.ts';
import { errorType } from './errors.ts';
import type { BrokerLink } from './link.ts';

/** A member of a group, seen from its membership. */
export interface MembershipOptions {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly sessionTimeoutMs: number;
  readonly link: BrokerLink;
  /** Partitions are this member's from now on; `committer`: as whom to commit for them, for as long as they are. */
  assigned(partitions: readonly number[], committer: Committer): void;
  /** Nothing is this member's any more. `fenced`: others may work on it already. Resolves when the work has ended. */
  revoked(fenced: boolean): Promise<void>;
  /** Told of failures; it goes on for ever. */
  failed(error: AppError): void;
}

/** Others wait for this member so long when it has to finish its work. */
const rebalanceTimeoutMs = 60_000;
const heartbeatMs = 1_000;
/** The last heartbeat and the word that it leaves may take so long. */
const leaveMs = 2_000;
const retry = { initialMs: 100, maxMs: 1_000 };
/** The coordinator knows this member no more, or not in this generation: others may have its partitions. */
const fencing = /^(UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION|FENCED_INSTANCE_ID)$/;

/**
 * A membership in a consumer group (Kafka's classic protocol): joins, deals the partitions when it leads, says each second that
 * it lives, whatever its work does meanwhile, and gives everything back before it joins again. Goes on until it is closed.
 */
export class GroupMembership {
  readonly #options: MembershipOptions;
  readonly #closing = new AbortController();
  readonly #life: Promise<void>;
  #committer: Committer = outsider;
  #owned: readonly number[] = [];
  /** Wakes the heart early. */
  #wake: () => void = () => undefined;
  #isFenced = false;
  /** Between joining and joining again. */
  #isLive = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#life = this.#run();
  }

  /** A commit was refused because others have the partitions. */
  fence(): void {
    this.#isFenced = true;
    this.#wake();
  }

  /** Leaves the group; the work must have ended. A coordinator that does not answer finds out by itself. */
  async close(): Promise<void> {
    const { link } = this.#options;
    this.#closing.abort();
    this.#wake();
    // A JoinGroup waits for the other members, up to the time that a rebalance may take: the end does not wait with it.
    if (!this.#isLive) link.reset();
    await endsWithin(this.#leave(), leaveMs);
    link.close();
    await this.#life;
  }

  async #leave(): Promise<void> {
    const { group, link } = this.#options;
    await this.#life;
    const { memberId } = this.#committer;
    if (memberId !== '') await link.ask('leaving the group', (broker) => broker.leaveGroup({ groupId: group, memberId }));
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const partitions = await this.#join();
        attempt = 0;
        if (signal.aborted) return;
        this.#owned = partitions;
        this.#options.assigned(partitions, this.#committer);
        this.#isLive = true;
        await this.#live().finally(() => {
          this.#isLive = false;
        });
      } catch (thrown) {
        if (fencing.test(errorType(thrown) ?? '')) this.#committer = outsider;
        if (signal.aborted) return;
        if (errorType(thrown) !== 'REBALANCE_IN_PROGRESS') this.#options.failed(thrown as AppError);
        await sleep(backoffMs(attempt, retry), signal).catch(() => undefined);
      }
    }
  }

  async #join(): Promise<number[]> {
    const { group, topic, sessionTimeoutMs, link } = this.#options;
    this.#isFenced = false;
    const joined = await link.ask('joining the group', (broker) =>
      broker.joinGroup({
        groupId: group,
        sessionTimeout: sessionTimeoutMs,
        rebalanceTimeout: rebalanceTimeoutMs,
        memberId: this.#committer.memberId,
        groupProtocols: [{ name: assignmentProtocol, metadata: encodeMember(topic, this.#owned) }],
      }),
    );
    const { memberId, generationId } = joined;
    this.#committer = { memberId, generationId };
    this.#closing.signal.throwIfAborted();
    const groupAssignment = joined.leaderId === memberId ? this.#deal(joined) : [];
    const { memberAssignment } = await link.ask('the partitions of the group', (broker) =>
      broker.syncGroup({ groupId: group, generationId, memberId, groupAssignment }),
    );
    return decodeAssignment(topic, memberAssignment);
  }

  #deal({ members }: GroupJoined): { memberId: string; memberAssignment: Buffer }[] {
    const { topic, partitions } = this.#options;
    const known = members.map(({ memberId, memberMetadata }) => ({ memberId, owned: ownedOf(memberMetadata) }));
    return [...deal(known, partitions)].map(([memberId, mine]) => ({ memberId, memberAssignment: encodeAssignment(topic, mine) }));
  }

  /** Until the group changes. While the work is given back the heart goes on. */
  async #live(): Promise<void> {
    let ending: Promise<void> | undefined;
    let ended = false;
    let heardMs = performance.now();
    const end = (fenced: boolean): void => {
      ending ??= this.#options.revoked(fenced).finally(() => {
        ended = true;
        this.#wake();
      });
    };
    while (!ended && !this.#closing.signal.aborted) {
      await this.#pause();
      if (this.#closing.signal.aborted) return;
      if (this.#isFenced) end(true);
      try {
        await this.#beat();
        heardMs = performance.now();
      } catch (thrown) {
        const type = errorType(thrown) ?? '';
        if (type === 'REBALANCE_IN_PROGRESS') {
          heardMs = performance.now();
          end(false);
        } else if (fencing.test(type)) {
          this.#committer = outsider;
          end(true);
        } else {
          if (ending === undefined) this.#options.failed(thrown as AppError);
          // By now the coordinator counts this member as dead, if it lives itself.
          if (performance.now() - heardMs > this.#options.sessionTimeoutMs) end(true);
        }
      }
    }
    await ending;
  }

  async #beat(): Promise<void> {
    const { group, link } = this.#options;
    const { memberId, generationId } = this.#committer;
    await link.ask('a heartbeat', (broker) => broker.heartbeat({ groupId: group, groupGenerationId: generationId, memberId }));
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, heartbeatMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
