import { hostname } from 'node:os';
import { z } from 'zod';
import { configError, loadConfig } from '../core/config.ts';
import { duration, size } from '../core/quantity.ts';
import { aggregatorConfig } from '../services/aggregator/config.ts';
import { collectorConfig } from '../services/collector/config.ts';
import { gatewayConfig } from '../services/gateway/config.ts';
import { sinksSchema } from '../services/sinks/config.ts';

const busConfig = z
  .strictObject({
    rawSize: size('1GiB').describe('Cap of the raw log. Below the newest checkpoint it is deleted, else it takes no more.'),
    eventsSize: size('512MiB').describe('Cap of the events log. The oldest go; a sink that had not read them counts them.'),
    deadLettersSize: size('128MiB').describe('Cap of the dead letters.'),
    commitInterval: duration('20ms').describe('At most one durable write of a log in this time.'),
  })
  .prefault({});

/** The configuration file. */
export const configSchema = z.strictObject({
  node: z
    .strictObject({ name: z.string().min(1).max(253).optional().describe('Name of this node. Default: NODE_NAME, else the host name.') })
    .prefault({}),
  cluster: z
    .strictObject({ name: z.string().min(1).max(253).default('default').describe('Name of the cluster, in every event.') })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('warn').describe('The own log, on standard error.'),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      listen: z
        .string()
        .regex(/^.+:\d+$|^off$/, 'expected address:port, or off')
        .default('127.0.0.1:9464')
        .describe('Where /metrics, /healthz and /readyz answer; off: nowhere.'),
    })
    .prefault({}),
  bus: busConfig,
  collector: collectorConfig,
  gateway: gatewayConfig,
  aggregator: aggregatorConfig,
  sinks: sinksSchema.prefault({}),
});

export type Config = z.output<typeof configSchema>;

/** The configuration from file, environment and command line. */
export function readConfig(options: { readonly config?: string; readonly set?: readonly string[] }): Config {
  return loadConfig(configSchema, { file: options.config, environment: process.env, sets: options.set ?? [] });
}

/** The node's name: configured, NODE_NAME, host name. */
export function nodeName(config: Config): string {
  const name = config.node.name ?? process.env.NODE_NAME ?? hostname();
  if (name === '' || Buffer.byteLength(name) > 253) {
    throw configError('CONFIG_INVALID', { problems: `node.name: found "${name}", expected 1 to 253 bytes` });
  }
  return name;
}
