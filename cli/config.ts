import { hostname } from 'node:os';
import { z } from 'zod';
import { kafkaSchema } from '../core/bus/kafka/config.ts';
import { configError } from '../core/config/errors.ts';
import { loadConfig } from '../core/config/load.ts';
import type { ConfigSources } from '../core/config/sources.ts';
import { live } from '../core/config/traits.ts';
import { hostPort } from '../core/host-port.ts';
import { duration, size } from '../core/quantity.ts';
import { aggregatorConfig } from '../services/aggregator/config.ts';
import { rulesConfig } from '../services/aggregator/rules/config.ts';
import { collectorConfig } from '../services/collector/config.ts';
import { gatewayConfig } from '../services/gateway/config.ts';
import { sinksSchema } from '../services/sinks/config.ts';

const busConfig = z
  .strictObject({
    type: z
      .enum(['embedded', 'kafka'])
      .default('embedded')
      .describe('embedded: logs in the data folder of one process (role all). kafka: topics of a cluster, for separate roles.'),
    kafka: kafkaSchema.prefault({}),
    rawSize: size('1GiB', { atLeast: '16MiB' }).describe(
      'Cap of the raw log. Below the newest checkpoint it is deleted, else it takes no more. Over Kafka of what lies above the newest checkpoint of each partition; all above the one before is kept besides.',
    ),
    eventsSize: size('512MiB', { atLeast: '16MiB' }).describe(
      'Cap of the events log; over Kafka of each partition. The oldest go; a sink that had not read them counts them.',
    ),
    metricsSize: size('128MiB', { atLeast: '16MiB' }).describe(
      'Cap of the metrics log; over Kafka of each partition. The oldest go: each minute tells all series again.',
    ),
    deadLettersSize: size('128MiB', { atLeast: '16MiB' }).describe('Cap of the dead letters; over Kafka of each partition.'),
    commitInterval: duration('20ms').describe('At most one durable write of a log in this time.'),
  })
  .prefault({});

const name = z.string().refine((text) => text !== '' && Buffer.byteLength(text) <= 253, {
  error: ({ input }) => `found "${String(input)}", expected 1 to 253 bytes`,
});

/** What a message holds besides its batch: losses, skipped items, the envelope. */
const messageSlackBytes = 256 * 1024;

const sections = z.strictObject({
  node: z.strictObject({ name: name.optional().describe('Name of this node. Default: NODE_NAME, else the host name.') }).prefault({}),
  cluster: z.strictObject({ name: name.default('default').describe('Name of the cluster, in every event.') }).prefault({}),
  log: z
    .strictObject({
      level: live(z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('warn').describe('The own log, on standard error.')),
      format: z.enum(['json', 'text']).default('json').describe('One JSON object a line, or text for people.'),
    })
    .prefault({}),
  metrics: z
    .strictObject({
      listen: hostPort({ off: true }).default('127.0.0.1:9464').describe('Where /metrics, /healthz and /readyz answer; off: nowhere.'),
    })
    .prefault({}),
  bus: busConfig,
  collector: collectorConfig,
  gateway: gatewayConfig,
  aggregator: aggregatorConfig,
  rules: rulesConfig,
  sinks: sinksSchema.prefault({}),
});

/** The configuration file. */
export const configSchema = sections.superRefine(({ collector, gateway }, context) => {
  const most = gateway.messageSize - messageSlackBytes;
  if (collector.batchSize <= most) return;
  const message = `found ${collector.batchSize} bytes, expected at most ${most}: gateway.messageSize without ${messageSlackBytes}`;
  context.addIssue({ code: 'custom', path: ['collector', 'batchSize'], message });
});

export type Config = z.output<typeof configSchema>;

/** Where a command's configuration comes from. */
export interface ConfigOptions {
  /** Path of the YAML file. */
  readonly config?: string;
  readonly set?: readonly string[];
}

/** File, environment and command line. */
export function configSources({ config, set = [] }: ConfigOptions): ConfigSources {
  return { file: config, environment: process.env, sets: set };
}

/** The configuration from file, environment and command line. */
export function readConfig(options: ConfigOptions): Config {
  return loadConfig(configSchema, configSources(options)).config;
}

/** The node's name: configured, NODE_NAME, host name. */
export function nodeName(config: Config): string {
  const found = config.node.name ?? process.env.NODE_NAME ?? hostname();
  const checked = name.safeParse(found);
  if (!checked.success) throw configError('CONFIG_INVALID', { problems: `node.name: ${checked.error.issues[0].message}` });
  return found;
}
