import type { Certificates } from './certificates.d.mts';
import type { RunningServer, Server } from './server.d.mts';

export interface KafkaOptions {
  /** Kept over restarts, with the ports. */
  readonly dataDir: string;
  readonly port?: number;
  /** Also listens with mutual TLS and with SASL over TLS. Default false. */
  readonly secured?: boolean;
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
