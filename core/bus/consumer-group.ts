import type { AppError } from '../app-error.ts';
import type { Commit, Fetch, ReadOptions } from './bus.ts';
import type { GroupMember } from './group-member.ts';

/** What a consumer group needs from its bus. */
export interface GroupLog {
  readonly partitions: number;
  read(partition: number, from: number, options: ReadOptions): AsyncIterable<Fetch>;
  offsets(partition: number): { readonly earliest: number; readonly next: number };
  committed(partition: number): Commit | undefined;
  commit(partition: number, commit: Commit): Promise<void>;
  warned(warning: AppError): void;
}

/** The members of one group on one topic, in this process, and which of them has which partition. */
export class ConsumerGroup {
  readonly name: string;
  readonly topic: string;
  readonly log: GroupLog;
  readonly #members: GroupMember[] = [];
  #changes: Promise<void> = Promise.resolve();

  constructor(name: string, topic: string, log: GroupLog) {
    this.name = name;
    this.topic = topic;
    this.log = log;
  }

  get size(): number {
    return this.#members.length;
  }

  join(member: GroupMember): void {
    this.#members.push(member);
    void this.#assign();
  }

  /** Resolves once the member has no partition any more, and the others have them. */
  async leave(member: GroupMember, graceMs: number): Promise<void> {
    const index = this.#members.indexOf(member);
    if (index !== -1) this.#members.splice(index, 1);
    await this.#assign(graceMs);
  }

  /** Deals the partitions round robin, in the order in which the members joined. One change at a time. */
  #assign(graceMs?: number): Promise<void> {
    this.#changes = this.#changes.then(async () => {
      const members = [...this.#members];
      const wanted = new Map<GroupMember, number[]>(members.map((member) => [member, []]));
      for (let partition = 0; members.length > 0 && partition < this.log.partitions; partition++) {
        wanted.get(members[partition % members.length])?.push(partition);
      }
      const all = new Set([...this.#holders, ...members]);
      await Promise.all([...all].map((member) => member.revokeExcept(wanted.get(member) ?? [], graceMs)));
      for (const member of members) member.assign(wanted.get(member) ?? []);
      this.#holders = new Set(members);
    });
    return this.#changes;
  }

  /** Members that may hold partitions. */
  #holders: ReadonlySet<GroupMember> = new Set();
}
