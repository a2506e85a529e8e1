import { AppError } from '../../app-error.ts';
import { sleep } from '../../retry.ts';
import type { Commit } from '../bus.ts';
import type { KafkaClient, Led } from './client.ts';
import type { Commits } from './commits.ts';
import { fetchRequest } from './fetch-request.ts';
import type { BrokerLink } from './link.ts';
import { OffsetBytes } from './offset-bytes.ts';
import { extentOf } from './record-batches.ts';

/** Between two looks. */
const lookMs = 2_000;
/** The first batch comes whole, whatever its size. */
const sampleBytes = 1;
const earliestOffset = -2;
const latestOffset = -1;

export interface LogWatchOptions {
  readonly client: KafkaClient;
  /** By the names that Kafka knows them by. */
  readonly groups: readonly { readonly group: string; readonly topic: string; readonly partitions: number }[];
  readonly commits: Commits;
  /** Told of each question that was not answered. */
  failed(what: string, error: AppError): void;
}

/** What is known of a partition. */
export interface WatchedLog {
  readonly earliest: number;
  readonly next: number;
  readonly bytes: OffsetBytes;
}

/**
 * Where the logs begin and end, and where groups stand: asked for every 2 s in the background, each broker for all that it
 * leads in one go, so that whoever wants to know never waits for a broker. While one is away its answers are those from before.
 */
export class LogWatch {
  readonly #options: LogWatchOptions;
  readonly #logs = new Map<string, { earliest: number; next: number; bytes: OffsetBytes }>();
  readonly #positions = new Map<string, Commit>();
  readonly #links = new Map<number, BrokerLink>();
  readonly #closed = new AbortController();

  constructor(options: LogWatchOptions) {
    this.#options = options;
    void this.#run();
  }

  /** Undefined: not known yet. */
  log(topic: string, partition: number): WatchedLog | undefined {
    return this.#logs.get(`${topic}/${partition}`);
  }

  /** What a group has committed; undefined: nothing, or it is not known yet. */
  position(group: string, topic: string, partition: number): Commit | undefined {
    return this.#positions.get(`${group}/${topic}/${partition}`);
  }

  /** Mean bytes of a message, over the partitions of a topic of which something is known. */
  meanBytes(topic: string): number {
    const means = [...this.#logs].flatMap(([key, { bytes }]) => (key.startsWith(`${topic}/`) && !bytes.isEmpty ? [bytes.meanBytes] : []));
    return means.length === 0 ? 0 : means.reduce((sum, mean) => sum + mean, 0) / means.length;
  }

  /** A range was written or read by this process. @param bytes at the broker */
  seen(topic: string, partition: number, from: number, to: number, bytes: number): void {
    const log = this.#logOf(topic, partition);
    log.next = Math.max(log.next, to);
    log.bytes.note(from, to, bytes);
  }

  close(): void {
    this.#closed.abort(new Error('closed'));
    for (const link of this.#links.values()) link.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await this.#look();
      await sleep(lookMs, signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { client, groups } = this.#options;
    const logs = this.#asking('the ends of the logs', async () => {
      const leaders = await client.leaders();
      await Promise.all([...leaders].map(([nodeId, led]) => this.#asking('the ends of the logs', () => this.#offsets(nodeId, led))));
      await this.#asking('the size of messages', () => this.#sample(leaders));
    });
    const positions = groups.map(({ group, topic, partitions }) =>
      this.#asking(`the position of ${group}`, () => this.#positionsOf(group, topic, partitions)),
    );
    await Promise.all([logs, ...positions]);
  }

  async #asking(what: string, ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (thrown) {
      if (!this.#closed.signal.aborted && thrown instanceof AppError) this.#options.failed(what, thrown);
    }
  }

  async #offsets(nodeId: number, led: readonly Led[]): Promise<void> {
    const at = async (timestamp: number) => {
      const topics = led.map(({ topic, partitions }) => ({ topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }));
      const { responses } = await this.#linkTo(nodeId).ask('the ends of the logs', (broker) =>
        broker.listOffsets({ replicaId: -1, isolationLevel: 0, topics }),
      );
      return responses;
    };
    const [earliest, latest] = await Promise.all([at(earliestOffset), at(latestOffset)]);
    for (const { topic, partitions } of earliest)
      for (const { partition, offset } of partitions) {
        const log = this.#logOf(topic, partition);
        log.earliest = Number(offset);
        log.bytes.trim(log.earliest);
      }
    for (const { topic, partitions } of latest)
      for (const { partition, offset } of partitions) {
        const log = this.#logOf(topic, partition);
        // What this process appended meanwhile is behind it already.
        log.next = Math.max(log.next, Number(offset));
      }
  }

  /** One batch of each topic that holds something, and of which this process wrote and read nothing. */
  async #sample(leaders: ReadonlyMap<number, readonly Led[]>): Promise<void> {
    for (const [nodeId, led] of leaders) {
      for (const { topic, partitions } of led) {
        const partition = partitions.find((one) => {
          const { earliest, next } = this.#logOf(topic, one);
          return next > earliest;
        });
        if (partition === undefined || this.meanBytes(topic) > 0) continue;
        const { earliest, bytes } = this.#logOf(topic, partition);
        const range = { topic, partition, offset: earliest, maxBytes: sampleBytes, maxWaitMs: 0 };
        const { batches } = await this.#linkTo(nodeId).send(`a message of ${topic}`, fetchRequest(range));
        const extent = extentOf(batches);
        if (extent !== undefined) bytes.note(extent.from, extent.to, extent.bytes);
      }
    }
  }

  async #positionsOf(group: string, topic: string, partitions: number): Promise<void> {
    const found = await this.#options.commits.all(group, topic, partitions);
    for (let partition = 0; partition < partitions; partition++) {
      const key = `${group}/${topic}/${partition}`;
      const commit = found.get(partition);
      if (commit === undefined) this.#positions.delete(key);
      else this.#positions.set(key, commit);
    }
  }

  #logOf(topic: string, partition: number) {
    const key = `${topic}/${partition}`;
    const log = this.#logs.get(key) ?? { earliest: 0, next: 0, bytes: new OffsetBytes() };
    this.#logs.set(key, log);
    return log;
  }

  #linkTo(nodeId: number): BrokerLink {
    const link = this.#links.get(nodeId) ?? this.#options.client.brokerLink(nodeId);
    this.#links.set(nodeId, link);
    return link;
  }
}
