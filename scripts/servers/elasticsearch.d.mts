import type { Certificates } from './certificates.d.mts';
import type { RunningServer, Server } from './server.d.mts';

export interface ElasticsearchOptions {
  /** Kept over restarts, with the ports. */
  readonly dataDir: string;
  /** Of HTTP. */
  readonly port?: number;
  /** As 512m, which is the default. */
  readonly heap?: string;
  /** Further settings. */
  readonly overrides?: Readonly<Record<string, string | number | boolean>>;
  /** TLS, and users of the file realm. Default false. */
  readonly secured?: boolean;
  /** A secured server takes only clients with a certificate of its authority. Default false: they may have none. */
  readonly clientCertificates?: boolean;
  /** Beside elasticsearchUser. */
  readonly users?: readonly { readonly name: string; readonly password: string; readonly role: string }[];
  /** As in roles.yml, by name. */
  readonly roles?: Readonly<Record<string, object>>;
}

export interface RunningElasticsearch extends RunningServer {
  /** URL of its REST API. */
  readonly address: string;
  /** Of a secured server. */
  readonly certificates: Certificates | undefined;
}

/** The superuser of a secured server. */
export const elasticsearchUser: { readonly name: string; readonly password: string };
export const elasticsearch: Server<ElasticsearchOptions, RunningElasticsearch>;
