import { createRequire } from 'node:module';
import type { ISocketFactory, KafkaConfig, logCreator, SASLOptions } from 'kafkajs';
import type { Broker, ConnectionPool } from './broker.ts';

// kafkajs 2.2.4, pinned: its connections, its authentication and its requests are used as they are. Its consumer is not: it gives
// up silently, blocks one partition by another, and reads nothing without a group. Its types do not tell of these classes.
const load = createRequire(import.meta.url);

interface Logger {
  namespace(name: string): unknown;
}

const { createLogger } = load('kafkajs/src/loggers/index.js') as {
  createLogger(options: { level: number; logCreator: logCreator }): Logger;
};
const buildPools = load('kafkajs/src/cluster/connectionPoolBuilder.js') as (options: object) => {
  build(address: { host: string; port: number }): Promise<ConnectionPool>;
};
const BrokerClass = load('kafkajs/src/broker/index.js') as new (options: {
  connectionPool: ConnectionPool;
  logger: Logger;
  authenticationTimeout: number;
  allowAutoTopicCreation: boolean;
}) => Broker;
const { createErrorFromCode } = load('kafkajs/src/protocol/error.js') as { createErrorFromCode(code: number): Error };

const nothing = 0;

/** What a connection is made with. */
export interface ConnectionOptions {
  readonly clientId: string;
  readonly ssl: Exclude<KafkaConfig['ssl'], undefined> | undefined;
  readonly sasl: SASLOptions | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly socketFactory?: ISocketFactory;
  /** Ends it at once while it is being made: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A broker that is connected, and authenticated where that is asked for. */
export async function connectBroker(address: { host: string; port: number }, options: ConnectionOptions): Promise<Broker> {
  // What goes wrong is thrown, and told by whoever catches it.
  const logger = createLogger({ level: nothing, logCreator: () => () => undefined });
  const socketFactory = options.socketFactory ?? (load('kafkajs/src/network/socketFactory.js') as () => ISocketFactory)();
  const pools = buildPools({
    logger,
    socketFactory,
    ssl: options.ssl,
    sasl: options.sasl,
    clientId: options.clientId,
    connectionTimeout: options.connectTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    enforceRequestTimeout: true,
    maxInFlightRequests: null,
    reauthenticationThreshold: 10_000,
  });
  const connectionPool = await pools.build(address);
  const broker = new BrokerClass({
    connectionPool,
    logger,
    authenticationTimeout: options.connectTimeoutMs,
    allowAutoTopicCreation: false,
  });
  const { signal } = options;
  let stop: () => void = () => undefined;
  try {
    // kafkajs does not tell whoever connects that the connection was abandoned.
    await new Promise<void>((resolve, reject) => {
      stop = () => reject(signal?.reason);
      signal?.addEventListener('abort', stop, { once: true });
      broker.connect().then(resolve, reject);
    });
    signal?.throwIfAborted();
    return broker;
  } catch (thrown) {
    abandon(broker);
    throw thrown;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Ends a broker's connections at once; requests that wait are rejected. */
export function abandon(broker: Broker): void {
  for (const connection of broker.connectionPool.pool) {
    connection.rejectRequests(new Error('the connection was closed'));
    connection.socket?.destroy();
    connection.disconnect().catch(() => undefined);
  }
}

/** The error for a code of the protocol, with its name in `type`. */
export function protocolFailure(code: number): Error {
  return createErrorFromCode(code);
}
