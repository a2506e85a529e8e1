import type { Certificates } from './certificates.d.mts';
import type { RunningServer, Server } from './server.d.mts';

export interface KafkaOptions {
  /** Kept over restarts, with the ports. */
  readonly dataDir: string;
  readonly port?: number;
  /** Also listens with mutual TLS and with SASL over TLS. Default false. */
  readonly secured?: boolean;
  /** Largest heap of Java. Default 512. */
  readonly heapMiB?: number;
  /** Further server properties. */
  readonly overrides?: Readonly<Record<string, string | number | boolean>>;
}

export interface RunningKafka extends RunningServer {
  readonly ports: { readonly PLAINTEXT: number; readonly SSL?: number; readonly SASL_SSL?: number };
  /** Of a secured broker. */
  readonly certificates: Certificates | undefined;
}

export const kafkaUser: { readonly name: string; readonly password: string };
/** A version of Kafka as a server. */
export function kafkaOf(version: string): Server<KafkaOptions, RunningKafka>;
export const kafka: Server<KafkaOptions, RunningKafka>;

export interface KafkaClusterOptions {
  /** Has a folder for each node. */
  readonly dataDir: string;
  /** Default 3. */
  readonly nodes?: number;
  readonly overrides?: KafkaOptions['overrides'];
}

export interface RunningKafkaCluster {
  readonly nodes: readonly RunningKafka[];
  /** Addresses of all nodes. */
  readonly brokers: readonly string[];
  /** Starts one again that has ended. */
  start(index: number): Promise<RunningKafka>;
}

/** @param server of which version */
export function startKafkaCluster(server: Server<KafkaOptions, RunningKafka>, options: KafkaClusterOptions): Promise<RunningKafkaCluster>;
