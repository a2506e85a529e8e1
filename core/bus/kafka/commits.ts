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
  readonly #backgroundLinks = new Map<string, BrokerLink>();

  constructor(client: KafkaClient) {
    this.#client = client;
  }

  async get(group: string, topic: string, partition: number): Promise<Commit | undefined> {
    return (await positionsOf(this.#link(group), group, topic, [partition])).get(partition);
  }

  /** Of all partitions of a topic that the group has committed; asked for in the background. */
  all(group: string, topic: string, partitions: number): Promise<ReadonlyMap<number, Commit>> {
    const link = this.#backgroundLinks.get(group) ?? this.#client.backgroundCoordinatorLink(group);
    this.#backgroundLinks.set(group, link);
    return positionsOf(link, group, topic, [...Array(partitions).keys()]);
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

async function positionsOf(link: BrokerLink, group: string, topic: string, asked: readonly number[]): Promise<Map<number, Commit>> {
  const topics = [{ topic, partitions: asked.map((partition) => ({ partition })) }];
  const { responses } = await link.ask(`the position of group ${group}`, (broker) => broker.offsetFetch({ groupId: group, topics }));
  const found = (responses[0]?.partitions ?? []).filter(({ offset }) => Number(offset) >= 0);
  return new Map(found.map(({ partition, offset, metadata }) => [partition, { offset: Number(offset), metadata: metadata ?? '' }]));
}
