import type { SASLOptions } from 'kafkajs';
import { type AppError, messageOf } from '../../app-error.ts';
import { Followed, FollowedFile } from '../../followed-file.ts';
import { type HostPort, parseHostPort } from '../../host-port.ts';
import { sharedAbort } from '../../joined-signal.ts';
import type { Log } from '../../log.ts';
import { TlsFiles } from '../../tls.ts';
import { busError } from '../errors.ts';
import type { Broker, ClusterMetadata } from './broker.ts';
import type { KafkaConfig } from './config.ts';
import { errorType, isConnectionFailure, kafkaError, kafkaFailure, renewable } from './errors.ts';
import { abandon, connectBroker } from './kafkajs.ts';
import { BrokerLink, type LinkOwner } from './link.ts';

/** Partitions of a topic that one broker leads. */
export interface Led {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface KafkaClientOptions {
  readonly config: KafkaConfig;
  readonly log: Log;
}

const clientId = 'jitterscope';
const connectTimeoutMs = 5_000;
/** Metadata are asked for again after this time, so that brokers that were added are known before they are needed. */
const metadataAgeMs = 60_000;
const groupCoordinator = 0;

/** A cluster: who leads what, and connections to those. It has no retries of its own but the next broker of the list. */
export class KafkaClient {
  readonly brokers: string;
  readonly #options: KafkaClientOptions;
  readonly #tls: TlsFiles | undefined;
  readonly #password: Followed<string> | undefined;
  readonly #links = new Set<BrokerLink>();
  #topics: readonly string[] = [];
  #seed: Promise<Broker> | undefined;
  #metadata: Promise<ClusterMetadata> | undefined;
  #metadataAtMs = 0;
  #known: readonly HostPort[] = [];
  #problem: AppError | undefined;
  #isOpen = false;
  readonly #closed = sharedAbort();
  /**
   * For what is asked in the background: whether that is answered says nothing of the requests that somebody waits for, and
   * their connections stay. Only who leads what is asked anew.
   */
  readonly #background: LinkOwner = {
    connect: (address) => this.connect(address),
    answered: () => undefined,
    failed: (thrown, what) => {
      const failure = this.#failure(thrown, what);
      if (isConnectionFailure(failure.cause ?? failure) || isStale(thrown)) this.#metadata = undefined;
      return failure;
    },
  };

  constructor(options: KafkaClientOptions) {
    const { config, log } = options;
    const { brokers, tls, sasl } = config;
    this.#options = options;
    this.brokers = brokers.join(', ');
    this.#tls = tls && new TlsFiles(tls, log, 'bus.kafka.tls');
    this.#password = sasl?.passwordFile === undefined ? undefined : passwordIn(sasl.passwordFile, log);
  }

  /** Why the last request to a broker failed; undefined when it did not. What is asked in the background does not count. */
  get problem(): AppError | undefined {
    return this.#problem;
  }

  /** A connection of its own to the leader of a partition. What waits on it holds up nothing else. */
  leaderLink(topic: string, partition: number): BrokerLink {
    return this.#link(async () => this.#addressOf(await this.#leaderOf(topic, partition)));
  }

  /** A connection of its own to a broker, for what is asked in the background: see `problem`. */
  brokerLink(nodeId: number): BrokerLink {
    return this.#link(() => this.#addressOf(nodeId), this.#background);
  }

  /**
   * By broker, what it leads of the topics that are worked with; partitions without a leader are left out. Asked in the
   * background: see `problem`.
   */
  async leaders(): Promise<ReadonlyMap<number, readonly Led[]>> {
    const leaders = new Map<number, Led[]>();
    const { topicMetadata } = await this.#cluster().catch((thrown: unknown) => {
      throw this.#background.failed(thrown, 'metadata');
    });
    for (const { topic, partitionMetadata } of topicMetadata) {
      for (const nodeId of new Set(partitionMetadata.map(({ leader }) => leader))) {
        const partitions = partitionMetadata.filter(({ leader }) => leader === nodeId).map(({ partitionId }) => partitionId);
        if (nodeId >= 0) leaders.set(nodeId, [...(leaders.get(nodeId) ?? []), { topic, partitions }]);
      }
    }
    return leaders;
  }

  /** A connection of its own to the coordinator of a group. */
  coordinatorLink(group: string): BrokerLink {
    return this.#link(() => this.#coordinatorOf(group));
  }

  /** As `coordinatorLink`, for what is asked in the background: see `problem`. */
  backgroundCoordinatorLink(group: string): BrokerLink {
    return this.#link(() => this.#coordinatorOf(group), this.#background);
  }

  /** A connection of its own to the controller. */
  controllerLink(): BrokerLink {
    return this.#link(async () => this.#addressOf((await this.#cluster()).controllerId));
  }

  /** What the brokers say of topics, now. */
  async metadataOf(topics: readonly string[]): Promise<ClusterMetadata> {
    try {
      const found = await this.#askSeed((seed) => seed.metadata(topics));
      this.answered();
      return found;
    } catch (thrown) {
      throw this.failed(thrown, 'metadata');
    }
  }

  /** Names the topics that are worked with: those that exist, because a question for one that does not fails as a whole. */
  workWith(topics: readonly string[]): void {
    this.#topics = topics;
    this.#metadata = undefined;
  }

  /** It was let in: from now on, refused credentials are waited for (errors.ts). */
  opened(): void {
    this.#isOpen = true;
  }

  /** A broker has answered. */
  answered(): void {
    this.#problem = undefined;
  }

  /** A request has failed: the error to throw. Who leads what is asked anew where that may be why. */
  failed(thrown: unknown, what: string): AppError {
    const failure = this.#failure(thrown, what);
    if (isConnectionFailure(failure.cause ?? failure) || isStale(thrown)) this.#forget();
    // A broker that refuses a request is there.
    if (/^KAFKA_(UNREACHABLE|TLS|AUTHENTICATION|FORBIDDEN|NOT_READY)$/.test(failure.code)) this.#problem = failure;
    return failure;
  }

  /** Connects to an address as the configuration says. Rejects once the client is closed, also what is on its way then. */
  async connect(address: HostPort): Promise<Broker> {
    const { signal } = this.#closed;
    signal.throwIfAborted();
    const { requestTimeout } = this.#options.config;
    return connectBroker(address, {
      clientId,
      ssl: this.#tls?.current(),
      sasl: this.#sasl(),
      connectTimeoutMs,
      requestTimeoutMs: requestTimeout,
      signal,
    });
  }

  close(): void {
    this.#closed.abort(busError('BUS_CLOSED'));
    for (const link of this.#links) link.close();
    this.#forget();
  }

  #link(locate: () => Promise<HostPort>, owner: LinkOwner = this): BrokerLink {
    const link: BrokerLink = new BrokerLink(owner, locate, () => this.#links.delete(link));
    this.#links.add(link);
    return link;
  }

  #failure(thrown: unknown, what: string): AppError {
    const failure = kafkaFailure(thrown, what, this.brokers);
    return this.#isOpen ? renewable(failure) : failure;
  }

  #forget(): void {
    this.#metadata = undefined;
    this.#forgetSeed();
  }

  #forgetSeed(): void {
    this.#seed?.then(abandon, () => undefined);
    this.#seed = undefined;
  }

  async #coordinatorOf(group: string): Promise<HostPort> {
    const request = { groupId: group, coordinatorType: groupCoordinator };
    const { coordinator } = await this.#askSeed((seed) => seed.findGroupCoordinator(request));
    return { host: coordinator.host, port: coordinator.port };
  }

  async #leaderOf(topic: string, partition: number): Promise<number> {
    const { topicMetadata } = await this.#cluster();
    const found = topicMetadata.find((row) => row.topic === topic)?.partitionMetadata.find((row) => row.partitionId === partition);
    if (found === undefined || found.leader < 0) {
      this.#metadata = undefined;
      throw kafkaError('KAFKA_NOT_READY', { what: `${topic}/${partition}`, cause: 'the partition has no leader' });
    }
    return found.leader;
  }

  async #addressOf(nodeId: number): Promise<HostPort> {
    const found = (await this.#cluster()).brokers.find((broker) => broker.nodeId === nodeId);
    if (found !== undefined) return found;
    this.#metadata = undefined;
    throw kafkaError('KAFKA_NOT_READY', { what: 'requests', cause: `broker ${nodeId} is not among those that are known` });
  }

  /** Metadata of the cluster; one question at a time for all who ask. */
  #cluster(): Promise<ClusterMetadata> {
    if (this.#metadata !== undefined && performance.now() - this.#metadataAtMs < metadataAgeMs) return this.#metadata;
    const asked = this.#askSeed((seed) => seed.metadata(this.#topics)).then((found) => {
      this.#known = found.brokers;
      return found;
    });
    this.#metadata = asked;
    this.#metadataAtMs = performance.now();
    asked.catch(() => {
      if (this.#metadata === asked) this.#metadata = undefined;
    });
    return asked;
  }

  /** One connection for all who ask. One that broke, or could not be made, is not used again. */
  async #askSeed<Answer>(request: (seed: Broker) => Promise<Answer>): Promise<Answer> {
    this.#seed ??= this.#seedBroker();
    const seed = this.#seed;
    const broker = await seed.catch((thrown: unknown) => {
      if (this.#seed === seed) this.#seed = undefined;
      throw thrown;
    });
    try {
      return await request(broker);
    } catch (thrown) {
      if (this.#seed === seed && isConnectionFailure(thrown)) this.#forgetSeed();
      throw thrown;
    }
  }

  /** Any broker that answers: those that are known, then those of the configuration. */
  async #seedBroker(): Promise<Broker> {
    let last: unknown;
    for (const address of [...this.#known, ...this.#seeds()]) {
      try {
        return await this.connect(address);
      } catch (thrown) {
        this.#closed.signal.throwIfAborted();
        last = thrown;
      }
    }
    throw last;
  }

  /** The brokers of the configuration, which checked their addresses. */
  #seeds(): HostPort[] {
    return this.#options.config.brokers.flatMap((address) => parseHostPort(address) ?? []);
  }

  #sasl(): SASLOptions | undefined {
    const { sasl } = this.#options.config;
    if (sasl === undefined) return undefined;
    const password = sasl.password ?? this.#password?.current() ?? '';
    return { mechanism: sasl.mechanism, username: sasl.username, password };
  }
}

const stale =
  /^(UNKNOWN_TOPIC_OR_PARTITION|LEADER_NOT_AVAILABLE|NOT_LEADER_FOR_PARTITION|.*COORDINATOR.*|NOT_CONTROLLER|FENCED_LEADER_EPOCH|UNKNOWN_LEADER_EPOCH|KAFKA_STORAGE_ERROR)$/;

/** Whether another broker than the one that was asked may be the right one now. */
export function isStale(thrown: unknown): boolean {
  return stale.test(errorType(thrown) ?? '');
}

function passwordIn(path: string, log: Log): Followed<string> {
  const field = 'bus.kafka.sasl.passwordFile';
  const file = new FollowedFile(field, path);
  return new Followed([file], {
    make: () => file.readSecret(),
    refused: (cause) =>
      log.error({ code: 'PASSWORD_NOT_RENEWED' }, `${field} changed and cannot be used; the password before stays: ${messageOf(cause)}`),
  });
}
