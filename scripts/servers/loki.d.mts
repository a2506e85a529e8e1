import type { Certificates } from './certificates.d.mts';
import type { RunningServer, Server } from './server.d.mts';

export interface LokiOptions {
  /** Kept over restarts, with the ports. */
  readonly dataDir: string;
  readonly port?: number;
  /** Whether requests must name a tenant (X-Scope-OrgID). Default false: all are of tenant `fake`. */
  readonly tenants?: boolean;
  /** Mutual TLS. Default false. */
  readonly secured?: boolean;
  /** Entries of Loki's limits_config. */
  readonly limits?: Readonly<Record<string, unknown>>;
  /** Entries of limits_config for single tenants. */
  readonly tenantLimits?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Further entries of these sections. */
  readonly overrides?: Readonly<Partial<Record<'ingester' | 'distributor' | 'querier', Readonly<Record<string, unknown>>>>>;
}

export interface RunningLoki extends RunningServer {
  /** Of a secured server. */
  readonly certificates: Certificates | undefined;
  /** All that single tenants have, from within a second on; of a server that was started with `tenantLimits`. */
  limitTenants(tenantLimits: NonNullable<LokiOptions['tenantLimits']>): void;
}

export const loki: Server<LokiOptions, RunningLoki>;
