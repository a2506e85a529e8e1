import type { Commit } from '../bus.ts';
import { busError } from '../errors.ts';
import type { KafkaClient } from './client.ts';
import type { BrokerLink } from './link.ts';

/** As Kafka's own default, offset.metadata.max.bytes. */
const maxMetadataBytes = 4096;
const none = -1;

/** Who commits: a member of the group in its generation, or somebody outside of a group without members. */
export interface Committer {
  readonly memberId: string;
  readonly generationId: number;
}

export const outsider: Committer = { memberId: '', generationId: none };

/** Positions of groups, as Kafka keeps them. */
export class Commits {
  readonly #client: KafkaClient;
  readonly #links = new Map<string, BrokerLink>();

  constructor(client: KafkaClient) {
    this.#client = client;
  }

  async get(group: string, topic: string, partition: number): Promise<Commit | undefined> {
    const { responses } = await this.#link(group).ask(`the position of group ${group}`, (broker) =>
      broker.offsetFetch({ groupId: group, topics: [{ topic, partitions: [{ partition }] }] }),
    );
    const found = responses[0]?.partitions[0];
    if (found === undefined || Number(found.offset) < 0) return undefined;
    return { offset: Number(found.offset), metadata: found.metadata ?? '' };
  }

  async put(group: string, topic: string, partition: number, { offset, metadata }: Commit, committer: Committer): Promise<void> {
    const found = Buffer.byteLength(metadata);
    if (found > maxMetadataBytes) throw busError('BUS_METADATA_TOO_LARGE', { group, found, limit: maxMetadataBytes });
    const partitions = [{ partition, offset: String(offset), metadata }];
    await this.#link(group).ask(`the position of group ${group}`, (broker) =>
      broker.offsetCommit({
        groupId: group,
        groupGenerationId: committer.generationId,
        memberId: committer.memberId,
        retentionTime: none,
        topics: [{ topic, partitions }],
      }),
    );
  }

  #link(group: string): BrokerLink {
    const link = this.#links.get(group) ?? this.#client.coordinatorLink(group);
    this.#links.set(group, link);
    return link;
  }
}
