// What is used of kafkajs' classes, as they are; kafkajs.ts says why.

/** A request of our own making, in the shape that kafkajs' connections send. */
export interface BrokerRequest<Answer> {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
  };
  readonly response: { decode(payload: Buffer): Promise<Answer>; parse(decoded: Answer): Promise<Answer> };
  /** ms; at least that of the connection. */
  readonly requestTimeout?: number;
}

export interface Connection {
  send<Answer>(request: BrokerRequest<Answer>): Promise<Answer>;
  readonly socket?: { destroy(): void };
  rejectRequests(error: Error): void;
  disconnect(): Promise<unknown>;
}

export interface ConnectionPool {
  /** The first one is connected and authenticated when the broker is; only it is used. */
  readonly pool: readonly [Connection, ...Connection[]];
}

/** Metadata of a cluster, as a broker tells it. */
export interface ClusterMetadata {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly controllerId: number;
  readonly topicMetadata: readonly {
    readonly topic: string;
    readonly topicErrorCode: number;
    readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number; readonly replicas: readonly number[] }[];
  }[];
}

export interface GroupJoined {
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  readonly groupProtocol: string;
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
}

interface Partitions<Row> {
  readonly topic: string;
  readonly partitions: readonly Row[];
}

interface Answers<Row> {
  readonly responses: readonly Partitions<Row>[];
}

/** One connected broker. Each call rejects with kafkajs' errors. */
export interface Broker {
  readonly connectionPool: ConnectionPool;
  connect(): Promise<void>;
  metadata(topics: readonly string[]): Promise<ClusterMetadata>;
  findGroupCoordinator(request: {
    groupId: string;
    coordinatorType: number;
  }): Promise<{ readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number } }>;
  joinGroup(request: {
    groupId: string;
    sessionTimeout: number;
    rebalanceTimeout: number;
    memberId: string;
    groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  }): Promise<GroupJoined>;
  syncGroup(request: {
    groupId: string;
    generationId: number;
    memberId: string;
    groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[];
  }): Promise<{ readonly memberAssignment: Buffer }>;
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
  offsetCommit(request: {
    groupId: string;
    groupGenerationId: number;
    memberId: string;
    retentionTime: number;
    topics: readonly Partitions<{ partition: number; offset: string; metadata: string }>[];
  }): Promise<unknown>;
  offsetFetch(request: {
    groupId: string;
    topics: readonly Partitions<{ partition: number }>[];
  }): Promise<Answers<{ readonly partition: number; readonly offset: string; readonly metadata: string | null }>>;
  listOffsets(request: {
    replicaId: number;
    isolationLevel: number;
    topics: readonly Partitions<{ partition: number; timestamp: number }>[];
  }): Promise<Answers<{ readonly partition: number; readonly offset: string }>>;
  createTopics(request: {
    topics: readonly {
      topic: string;
      numPartitions: number;
      replicationFactor: number;
      configEntries: readonly { name: string; value: string }[];
    }[];
    timeout: number;
  }): Promise<unknown>;
  describeConfigs(request: { resources: readonly { type: number; name: string; configNames: readonly string[] }[] }): Promise<{
    readonly resources: readonly {
      readonly resourceName: string;
      readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[];
    }[];
  }>;
  deleteRecords(request: { topics: readonly Partitions<{ partition: number; offset: string }>[] }): Promise<unknown>;
}
