import type { RunningServer, Server } from './server.d.mts';

export interface PrometheusOptions {
  readonly dataDir: string;
  readonly port?: number;
  /** Address and port of what has /metrics. */
  readonly target?: string;
}

export const prometheus: Server<PrometheusOptions, RunningServer>;
