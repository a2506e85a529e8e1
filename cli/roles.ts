import { errorTable } from '../core/app-error.ts';
import type { Aggregator } from '../services/aggregator/main.ts';
import type { Gateway } from '../services/gateway/main.ts';
import { emptyGatewayMetrics } from '../services/gateway/metrics.ts';
import type { Sinks } from '../services/sinks/main.ts';
import type { PipelineBus } from './bus.ts';
import type { Config } from './config.ts';

/** Parts of the pipeline that a process can run. */
export const roles = ['all', 'collector', 'gateway', 'aggregator', 'sinks'] as const;

export type Role = (typeof roles)[number];

const roleError = errorTable({
  ROLE_NEEDS_KAFKA: {
    message: 'the role {role} needs Kafka, but bus.type is embedded: the logs of a data folder belong to one process',
    retryable: false,
    remedy: 'Set bus.type: kafka and bus.kafka.brokers, or run everything in one process (--role all).',
    exitCode: 78,
  },
  ROLE_NEEDS_GATEWAY: {
    message: 'the role collector needs a gateway, and collector.gateway.address names none',
    retryable: false,
    remedy: 'Set it to the address where the gateway listens (its gateway.listen).',
    exitCode: 78,
  },
  ROLE_GATEWAY_UNREACHABLE: {
    message: 'the role gateway serves collectors of other processes, and gateway.listen is off: nobody could reach it',
    retryable: false,
    remedy: 'Set gateway.listen to an address and port, such as 0.0.0.0:9463, and gateway.tls.',
    exitCode: 78,
  },
  ROLE_WITHOUT_BUS: {
    message: 'this process runs the role collector: there are no events in it',
    retryable: false,
    remedy: 'Ask a process of the role aggregator or sinks: name its data folder with --data-dir.',
  },
  ROLE_WITHOUT_SINKS: {
    message: 'this process runs no sinks: it sends nothing to stores',
    retryable: false,
    remedy: 'Ask a process of the role sinks, any of them: name its data folder with --data-dir.',
  },
});

/** Throws when a role cannot run with this configuration. */
export function checkRole(role: Role, { bus, collector, gateway }: Config): void {
  if (role === 'collector') {
    if (collector.gateway.address === undefined) throw roleError('ROLE_NEEDS_GATEWAY');
  } else if (role !== 'all' && bus.type === 'embedded') throw roleError('ROLE_NEEDS_KAFKA', { role });
  else if (role === 'gateway' && gateway.listen === 'off') throw roleError('ROLE_GATEWAY_UNREACHABLE');
}

/** Whether a process of this role runs a hop. */
export function runs(role: Role, hop: Exclude<Role, 'all'>): boolean {
  return role === 'all' || role === hop;
}

const none = new Map<number, never>();
const nothing = async (): Promise<ReadonlyMap<number, number>> => none;

const withoutBus = (): never => {
  throw roleError('ROLE_WITHOUT_BUS');
};

const withoutSinks = (): never => {
  throw roleError('ROLE_WITHOUT_SINKS');
};

/** Throws when the sinks are another process's. */
export function checkSinks(sinks: Sinks): void {
  if (sinks === absentSinks) withoutSinks();
}

/** In place of the bus, in a collector. */
export const absentBus: PipelineBus = {
  partitions: withoutBus,
  append: async () => withoutBus(),
  offsets: async () => withoutBus(),
  read: withoutBus,
  consume: async () => withoutBus(),
  committed: async () => withoutBus(),
  commit: async () => withoutBus(),
  checkpointed: async () => withoutBus(),
  stats: () => [],
  position: () => undefined,
  close: async () => undefined,
};

/** In place of the gateway, where another process is it. */
export const absentGateway: Gateway = {
  metrics: emptyGatewayMetrics(),
  tcpAddress: undefined,
  requestKeyframes: () => undefined,
  close: async () => undefined,
};

/** In place of the aggregator. */
export const absentAggregator: Aggregator = {
  partitions: () => none,
  times: () => none,
  pending: () => false,
  lag: nothing,
  statesLost: () => new Set(),
  rules: () => undefined,
  replaceRules: async () => undefined,
  finished: new Promise(() => undefined),
  close: async () => undefined,
};

/** In place of the sinks. */
export const absentSinks: Sinks = {
  ready: () => ({ ready: true, problems: [] }),
  stats: () => [],
  lag: async () => new Map(),
  diskBytes: async () => new Map(),
  replay: async () => withoutSinks(),
  stopReplays: () => undefined,
  close: async () => undefined,
};
