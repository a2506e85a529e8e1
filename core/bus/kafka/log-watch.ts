import { sleep } from '../../retry.ts';
import type { Commit } from '../bus.ts';
import type { KafkaClient, Led } from './client.ts';
import type { Commits } from './commits.ts';
import { fetchRequest } from './fetch-request.ts';
import type { BrokerLink } from './link.ts';
import { decodeRecordBatches } from './record-batches.ts';
import { type WatchedLog, WatchedLogs } from './watched-logs.ts';

/** Between two looks. */
const lookMs = 2_000;
/** The first batch comes whole, whatever its size. */
const sampleBytes = 16 * 1024;
/** Places that one look reads of a log whose size is unsure. */
const samplePlaces = 16;
const earliestOffset = -2;
const latestOffset = -1;

export interface LogWatchOptions {
  readonly client: Pick<KafkaClient, 'leaders' | 'brokerLink'>;
  /** By the names that Kafka knows them by. */
  readonly groups: readonly { readonly group: string; readonly topic: string; readonly partitions: number }[];
  readonly commits: Pick<Commits, 'all'>;
  /** Told of each question that was not answered, and of whatever else fails. */
  failed(what: string, thrown: unknown): void;
}

/**
 * Where the logs begin and end, and where groups stand: asked for every 2 s in the background, each broker for all that it
 * leads in one go, so that whoever wants to know never waits for a broker. No broker and no group waits for another: while
 * one is away its answers are those from before.
 */
export class LogWatch {
  readonly #options: LogWatchOptions;
  readonly #logs = new WatchedLogs();
  /** By group and topic, then by partition. */
  readonly #positions = new Map<string, ReadonlyMap<number, Commit>>();
  readonly #links = new Map<number, BrokerLink>();
  /** Brokers that are being looked at. */
  readonly #looks = new Map<number, Promise<void>>();
  /** From which offset on the size of a log is in question. */
  readonly #unsure = new Map<string, number>();
  readonly #closed = new AbortController();
  readonly #loops: readonly Promise<void>[];

  constructor(options: LogWatchOptions) {
    this.#options = options;
    this.#loops = [
      this.#every('who leads the logs', () => this.#lookAtAll()),
      ...options.groups.map(({ group, topic, partitions }) =>
        this.#every(`the position of ${group}`, async () => {
          this.#positions.set(`${group}/${topic}`, await options.commits.all(group, topic, partitions));
        }),
      ),
    ];
  }

  /** Undefined: not known yet. */
  log(topic: string, partition: number): WatchedLog | undefined {
    return this.#logs.log(topic, partition);
  }

  /** Bytes of what this process wrote and read of a log, be anything else known of it or not. */
  seenBytes(topic: string, partition: number): number {
    return this.#logs.seenBytes(topic, partition);
  }

  /** Whether it is known what a group has committed, be it nothing. */
  isKnown(group: string, topic: string): boolean {
    return this.#positions.has(`${group}/${topic}`);
  }

  /** What a group has committed; undefined: nothing, or it is not known yet. */
  position(group: string, topic: string, partition: number): Commit | undefined {
    return this.#positions.get(`${group}/${topic}`)?.get(partition);
  }

  /** A range was written or read by this process. @param bytes at the broker */
  seen(topic: string, partition: number, from: number, to: number, bytes: number): void {
    this.#logs.seen(topic, partition, from, to, bytes);
  }

  /** Something was decided by the size of what lies above an offset: where little of it is known, the next look reads some of it. */
  decidedBy(topic: string, partition: number, from: number): void {
    this.#unsure.set(`${topic}/${partition}`, from);
  }

  /** Resolves when nobody is asked any more; the connections that the client makes end with the client. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('closed'));
    for (const link of this.#links.values()) link.close();
    await Promise.all([...this.#loops, ...this.#looks.values()]);
  }

  async #every(what: string, action: () => Promise<void>): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await this.#try(what, action);
      await sleep(lookMs, signal).catch(() => undefined);
    }
  }

  async #try(what: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (thrown) {
      if (!this.#closed.signal.aborted) this.#options.failed(what, thrown);
    }
  }

  async #lookAtAll(): Promise<void> {
    for (const [nodeId, led] of await this.#options.client.leaders()) {
      if (this.#looks.has(nodeId) || this.#closed.signal.aborted) continue;
      const look = this.#try('the ends of the logs', () => this.#lookAt(nodeId, led));
      this.#looks.set(
        nodeId,
        look.finally(() => this.#looks.delete(nodeId)),
      );
    }
  }

  async #lookAt(nodeId: number, led: readonly Led[]): Promise<void> {
    const link = this.#links.get(nodeId) ?? this.#options.client.brokerLink(nodeId);
    this.#links.set(nodeId, link);
    await this.#offsets(link, led);
    for (const { topic, partitions } of led)
      for (const partition of partitions)
        for (const offset of this.#places(topic, partition)) await this.#sample(link, topic, partition, offset);
  }

  async #offsets(link: BrokerLink, led: readonly Led[]): Promise<void> {
    const at = async (timestamp: number) => {
      const topics = led.map(({ topic, partitions }) => ({ topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }));
      const { responses } = await link.ask('the ends of the logs', (broker) =>
        broker.listOffsets({ replicaId: -1, isolationLevel: 0, topics }),
      );
      return new Map(
        responses.flatMap((row) => row.partitions.map(({ partition, offset }) => [`${row.topic}/${partition}`, Number(offset)])),
      );
    };
    for (const { topic, partitions } of led) for (const partition of partitions) this.#logs.asked(topic, partition);
    const [earliest, latest] = await Promise.all([at(earliestOffset), at(latestOffset)]);
    for (const { topic, partitions } of led)
      for (const partition of partitions) {
        const [first, next] = [earliest.get(`${topic}/${partition}`), latest.get(`${topic}/${partition}`)];
        if (first !== undefined && next !== undefined) this.#logs.told(topic, partition, first, next);
      }
  }

  /** Where to read some of a log: anywhere while nothing of its topic was seen, and of what is above an offset that counts. */
  #places(topic: string, partition: number): readonly number[] {
    const key = `${topic}/${partition}`;
    const log = this.log(topic, partition);
    if (log === undefined || log.next <= log.earliest) return [];
    const from = this.#unsure.get(key);
    this.#unsure.delete(key);
    if (from !== undefined) return log.bytes.unsure(Math.max(from, log.earliest), log.next, samplePlaces);
    return this.#logs.isSeen(topic) ? [] : [log.earliest];
  }

  async #sample(link: BrokerLink, topic: string, partition: number, offset: number): Promise<void> {
    const range = { topic, partition, offset, maxBytes: sampleBytes, maxWaitMs: 0 };
    const { batches, highWatermark } = await link.send(`some messages of ${topic}`, fetchRequest(range));
    // A sample is an estimate: of a batch that fills it alone, what follows is not asked for.
    const { extent } = await decodeRecordBatches(batches, { from: offset, to: highWatermark, isAll: true });
    if (extent !== undefined) this.seen(topic, partition, extent.from, extent.to, extent.bytes);
  }
}
