import type { RunningServer, Server } from './server.d.mts';

export interface LokiOptions {
  /** Kept over restarts, with the ports. */
  readonly dataDir: string;
  readonly port?: number;
  /** Whether requests must name a tenant (X-Scope-OrgID). Default false: all are of tenant `fake`. */
  readonly tenants?: boolean;
  /** Entries of Loki's limits_config. */
  readonly limits?: Readonly<Record<string, unknown>>;
  /** Further entries of the sections `ingester` and `distributor`. */
  readonly overrides?: { readonly ingester?: Readonly<Record<string, unknown>>; readonly distributor?: Readonly<Record<string, unknown>> };
}

export const loki: Server<LokiOptions, RunningServer>;
