import { AppError, messageOf } from '../../app-error.ts';
import { Deadline, endsWithin } from '../../deadline.ts';
import { joinSignals, sharedAbort } from '../../joined-signal.ts';
import { type Log, LogLimiter } from '../../log.ts';
import { retry } from '../../retry.ts';
import type {
  Bus,
  BusObserver,
  Commit,
  ConsumeOptions,
  Consumer,
  Fetch,
  Hole,
  LogStats,
  MessageValue,
  ReadOptions,
  TopicSpec,
} from '../bus.ts';
import { DamageRecord } from '../damage-record.ts';
import { busError } from '../errors.ts';
import { MAX_MESSAGE_BYTES } from '../frame.ts';
import { checkName, checkSpec } from '../topic-folder.ts';
import { tellUnflushed } from '../unflushed.ts';
import { KafkaClient } from './client.ts';
import { Commits, type Committer, outsider } from './commits.ts';
import type { KafkaConfig } from './config.ts';
import { ForeignBatches } from './foreign-batches.ts';
import { KafkaConsumer } from './kafka-consumer.ts';
import type { BrokerLink } from './link.ts';
import { LogFills } from './log-fills.ts';
import { LogWatch } from './log-watch.ts';
import { PartitionProducer } from './partition-producer.ts';
import { type ReadPlace, readPartition } from './partition-reader.ts';
import { sizeOf } from './record-batch.ts';
import { compressionTypeOf, prepareTopics } from './topics.ts';

export interface KafkaBusOptions {
  readonly config: KafkaConfig;
  readonly topics: readonly TopicSpec[];
  /** Groups whose positions are looked at in the background, besides those of checkpoints: see `position`. */
  readonly watched?: readonly { readonly group: string; readonly topic: string }[];
  readonly observer?: BusObserver;
  readonly log: Log;
  /** Ends the wait for brokers that do not answer at the start. */
  readonly signal?: AbortSignal;
}

const defaultGraceMs = 10_000;
const policy = { initialMs: 50, maxMs: 2_000 };
const earliestOffset = -2;
const latestOffset = -1;
/** Groups of several installations, and of others, share the names of a cluster. */
const groupPrefix = 'jitterscope.';

/** A partition with what works on it. */
interface Partition {
  readonly producer: PartitionProducer;
  /** For short questions. */
  readonly link: BrokerLink;
  /** What is counted as damaged. */
  readonly damage: DamageRecord;
  /** Offset of the checkpoint before: what lies below may go. */
  checkpoint: number | undefined;
}

/**
 * Connects to a cluster, and creates or checks the topics. Brokers that do not answer are waited for, until the signal
 * aborts; a user, certificate or topic that cannot be used is an error at once.
 */
export async function openKafkaBus(options: KafkaBusOptions): Promise<KafkaBus> {
  for (const spec of options.topics) checkSpec(spec);
  const { config, log, signal = new AbortController().signal } = options;
  const topics = options.topics.map((spec) => ({ ...spec, name: config.topicPrefix + spec.name }));
  const client = new KafkaClient({ config, log });
  const limiter = new LogLimiter();
  try {
    await retry(() => prepareTopics(client, config, topics), {
      ...policy,
      signal,
      retryable: (thrown) => thrown instanceof AppError && thrown.retryable,
      failed: (thrown) => {
        const { code, remedy, message } = thrown as AppError;
        limiter.once(code, (heldBack) => log.warn({ code, remedy, heldBack }, `waiting for Kafka: ${message}`));
      },
    });
  } catch (thrown) {
    client.close();
    throw thrown;
  }
  client.opened();
  return new KafkaBus(client, options, limiter);
}

/** The bus of a cluster: topics of Kafka. */
export class KafkaBus implements Bus {
  readonly #client: KafkaClient;
  readonly #options: KafkaBusOptions;
  readonly #limiter: LogLimiter;
  readonly #specs: ReadonlyMap<string, TopicSpec>;
  readonly #partitions = new Map<string, Partition>();
  readonly #commits: Commits;
  readonly #watch: LogWatch;
  readonly #fills: LogFills;
  readonly #foreignBatches: ForeignBatches;
  readonly #consumers = new Set<KafkaConsumer>();
  readonly #closed = sharedAbort();
  #closing: Promise<void> | undefined;

  constructor(client: KafkaClient, options: KafkaBusOptions, limiter: LogLimiter) {
    this.#client = client;
    this.#options = options;
    this.#limiter = limiter;
    this.#specs = new Map(options.topics.map((spec) => [spec.name, spec]));
    this.#commits = new Commits(client);
    const checkpoints = options.topics.flatMap(({ name, checkpointGroup }) =>
      checkpointGroup === undefined ? [] : [{ group: checkpointGroup, topic: name }],
    );
    const failed = (what: string, thrown: unknown): void => this.#tell(what, thrown);
    this.#foreignBatches = new ForeignBatches({ setting: (topic) => compressionTypeOf(client, topic), failed });
    this.#watch = new LogWatch({
      client,
      groups: [...checkpoints, ...(options.watched ?? [])].map(({ group, topic }) => ({
        group: this.#groupName(group),
        topic: this.#topicName(topic),
        partitions: this.partitions(topic),
      })),
      commits: this.#commits,
      failed,
    });
    this.#fills = new LogFills({
      watch: this.#watch,
      topicName: (topic) => this.#topicName(topic),
      groupName: (group) => this.#groupName(group),
    });
  }

  /** Why brokers cannot be worked with now; undefined when they can. */
  get problem(): AppError | undefined {
    return this.#client.problem;
  }

  /**
   * Fill and bounds of every partition, or of those of one number, as they were a moment ago; never asks a broker. Bytes are
   * those of what can be read, by the size of what this process wrote and read (offset-bytes.ts): brokers delete whole
   * segments, and keep some more. Logs of which the brokers have not told yet are empty.
   */
  stats(only?: number): LogStats[] {
    return this.#options.topics.flatMap((spec) => {
      const asked = only === undefined ? [...Array(spec.partitions).keys()] : [only];
      return asked.map((partition) => this.#fills.stats(spec, partition, this.#partitions.get(`${spec.name}/${partition}`)?.producer));
    });
  }

  /** What a watched group had committed a moment ago; never asks a broker. */
  position(group: string, topic: string, partition: number): Commit | undefined {
    return this.#watch.position(this.#groupName(group), this.#topicName(topic), partition);
  }

  partitions(topic: string): number {
    return this.#spec(topic).partitions;
  }

  /** See Bus.append. Repeats what was stored when the answer got lost and the caller comes again. */
  async append(topic: string, partition: number, values: readonly MessageValue[]): Promise<number> {
    const { producer } = this.#partition(topic, partition);
    this.#refuseClosed();
    this.#fills.refuseFull(this.#spec(topic), partition, producer.waitingBytes);
    for (const value of values) {
      const found = sizeOf(value);
      if (found > MAX_MESSAGE_BYTES) throw busError('BUS_MESSAGE_TOO_LARGE', { topic, found, limit: MAX_MESSAGE_BYTES });
    }
    return producer.append(values);
  }

  offsets(topic: string, partition: number): Promise<{ readonly earliest: number; readonly next: number }> {
    return this.#persistently(`offsets of ${topic}`, () => this.#offsetsOnce(topic, partition));
  }

  read(topic: string, partition: number, from: number, options: ReadOptions): AsyncIterable<Fetch> {
    const { damage } = this.#partition(topic, partition);
    const name = this.#topicName(topic);
    const place = {
      topic: name,
      partition,
      from,
      link: this.#client.leaderLink(name, partition),
      offsets: () => this.offsets(topic, partition),
      seen: (first: number, to: number, bytes: number) => this.#watch.seen(name, partition, first, to, bytes),
      damaged: (hole: Hole) => {
        const messages = damage.add(hole.from, hole.to);
        if (messages > 0) this.#options.observer?.lost?.({ topic, partition, reason: 'damaged', messages, bytes: 0 });
      },
      unknownCodec: (codec: number) => this.#foreignBatches.found(name, partition, codec),
      failed: (error: AppError) => this.#tell(`reading ${topic}`, error),
    };
    return renamed(topic, place, options, this.#closed.signal);
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    this.#refuseClosed();
    const { group, topic } = options;
    checkName('group', group);
    const { partitions } = this.#spec(topic);
    const { observer, config } = this.#options;
    const consumer = new KafkaConsumer(options, {
      membership: {
        group: this.#groupName(group),
        topic: this.#topicName(topic),
        partitions,
        sessionTimeoutMs: config.sessionTimeout,
        link: this.#client.coordinatorLink(this.#groupName(group)),
      },
      read: (partition, from, limits) => this.read(topic, partition, from, limits),
      offsets: (partition) => this.#offsetsOnce(topic, partition),
      committed: (partition) => this.committed(group, topic, partition),
      commit: (partition, commit, as) => this.#commit(group, topic, partition, commit, as),
      missed: (partition, messages) => observer?.lost?.({ topic, partition, reason: 'retention', group, messages, bytes: 0 }),
      warned: (warning) => observer?.warned?.(warning),
      failed: (what, error) => this.#tell(what, error),
    });
    this.#consumers.add(consumer);
    const forget = (): void => void this.#consumers.delete(consumer);
    consumer.finished.then(forget, forget);
    return consumer;
  }

  async committed(group: string, topic: string, partition: number): Promise<Commit | undefined> {
    this.#partition(topic, partition);
    return this.#persistently(`the position of ${group}`, () =>
      this.#commits.get(this.#groupName(group), this.#topicName(topic), partition),
    );
  }

  /** See Bus.commit. For groups without members; a consumer commits as its own. */
  async commit(group: string, topic: string, partition: number, commit: Commit): Promise<void> {
    this.#partition(topic, partition);
    await this.#persistently(`the position of ${group}`, () => this.#commit(group, topic, partition, commit, outsider));
  }

  /**
   * See Bus.checkpointed. What lies below the checkpoint *before* is deleted: when the newest one cannot be read, the one
   * before it still has its messages.
   */
  async checkpointed(topic: string, partition: number, offset: number): Promise<void> {
    const state = this.#partition(topic, partition);
    const before = state.checkpoint;
    if (before !== undefined && before >= offset) return;
    state.checkpoint = offset;
    if (this.#spec(topic).retain !== 'checkpoint' || before === undefined || before === 0) return;
    const name = this.#topicName(topic);
    state.link
      .ask(`deleting what is no longer needed of ${topic}`, (broker) =>
        broker.deleteRecords({ topics: [{ topic: name, partitions: [{ partition, offset: String(before) }] }] }),
      )
      .catch((thrown: unknown) => this.#tell(`deleting from ${topic}`, thrown));
  }

  close(graceMs = defaultGraceMs): Promise<void> {
    this.#closing ??= this.#close(new Deadline(graceMs));
    return this.#closing;
  }

  async #close(deadline: Deadline): Promise<void> {
    const left = Promise.all([...this.#consumers].map((consumer) => consumer.close(deadline.share(0.5))));
    await endsWithin(left, deadline.share(0.8));
    this.#closed.abort(busError('BUS_CLOSED'));
    const watched = this.#watch.close();
    const producers = [...this.#partitions.values()].map(({ producer }) => producer);
    await endsWithin(Promise.all(producers.map((producer) => producer.flushed())), deadline.leftMs);
    tellUnflushed(
      producers.map(({ unflushed }) => unflushed),
      this.#options.observer,
    );
    for (const producer of producers) producer.close(busError('BUS_CLOSED'));
    this.#client.close();
    await watched;
  }

  async #commit(group: string, topic: string, partition: number, commit: Commit, as: Committer): Promise<void> {
    await this.#commits.put(this.#groupName(group), this.#topicName(topic), partition, commit, as);
  }

  async #offsetsOnce(topic: string, partition: number): Promise<{ readonly earliest: number; readonly next: number }> {
    const { link } = this.#partition(topic, partition);
    const name = this.#topicName(topic);
    const at = async (timestamp: number): Promise<number> => {
      const { responses } = await link.ask(`offsets of ${topic}`, (broker) =>
        broker.listOffsets({ replicaId: -1, isolationLevel: 0, topics: [{ topic: name, partitions: [{ partition, timestamp }] }] }),
      );
      return Number(responses[0].partitions[0].offset);
    };
    const [earliest, next] = await Promise.all([at(earliestOffset), at(latestOffset)]);
    return { earliest, next };
  }

  /** Asks for as long as the brokers may come back, until the bus closes. */
  #persistently<Result>(what: string, action: () => Promise<Result>): Promise<Result> {
    return retry(action, {
      ...policy,
      signal: this.#closed.signal,
      retryable: (thrown) => thrown instanceof AppError && thrown.retryable,
      failed: (thrown) => this.#tell(what, thrown),
    });
  }

  #tell(what: string, thrown: unknown): void {
    if (this.#closing !== undefined) return;
    const { log } = this.#options;
    if (thrown instanceof AppError) {
      const { code, message, remedy } = thrown;
      this.#limiter.once(`${what} ${code}`, (heldBack) => log.warn({ code, what, remedy, heldBack }, message));
    } else this.#limiter.once(what, (heldBack) => log.error({ err: thrown, what, heldBack }, messageOf(thrown)));
  }

  #spec(topic: string): TopicSpec {
    const spec = this.#specs.get(topic);
    if (spec === undefined) throw busError('BUS_TOPIC', { topic, expected: [...this.#specs.keys()].join(', ') });
    return spec;
  }

  #partition(topic: string, partition: number): Partition {
    const { partitions } = this.#spec(topic);
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitions)
      throw busError('BUS_PARTITION', { topic, found: partition, last: partitions - 1 });
    const key = `${topic}/${partition}`;
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const { config, observer } = this.#options;
    const name = this.#topicName(topic);
    const made: Partition = {
      producer: new PartitionProducer({
        topic: name,
        partition,
        compression: config.compression,
        timeoutMs: config.requestTimeout,
        link: this.#client.leaderLink(name, partition),
        produced: (baseOffset, messages, bytes, batchBytes) => {
          this.#watch.seen(name, partition, baseOffset, baseOffset + messages, batchBytes);
          observer?.appended?.(topic, messages, bytes);
        },
      }),
      link: this.#client.leaderLink(name, partition),
      damage: new DamageRecord(),
      checkpoint: undefined,
    };
    this.#partitions.set(key, made);
    return made;
  }

  #topicName(topic: string): string {
    return this.#options.config.topicPrefix + topic;
  }

  #groupName(group: string): string {
    return this.#options.config.topicPrefix + groupPrefix + group;
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw busError('BUS_CLOSED');
  }
}

/** Fetches under the name that the service knows the topic by; they end when the bus closes, too. */
async function* renamed(topic: string, place: ReadPlace, options: ReadOptions, closed: AbortSignal): AsyncGenerator<Fetch> {
  const { signal, release } = joinSignals(closed, options.signal);
  try {
    for await (const fetch of readPartition(place, { ...options, signal })) yield { ...fetch, topic };
  } finally {
    release();
  }
}
