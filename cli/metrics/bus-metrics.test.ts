import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { topics } from '../../proto/bus.ts';
import { aggregatorGroup } from '../../services/aggregator/main.ts';
import { busName } from '../bus.ts';
import { configSchema } from '../config.ts';
import type { Pipeline } from '../pipeline.ts';
import { addBusMetrics } from './bus-metrics.ts';
import { MetricSet } from './metric-set.ts';

/** Lag by group, of a pipeline of one partition with 1000 messages a log: the groups' newest commits are at 400. */
async function lagsOf(hops: { processed?: number; tellsAll: boolean }): Promise<Record<string, number>> {
  const log = { partition: 0, bytes: 0, maxBytes: 1, earliest: 0, next: 1000, pendingBytes: 0, commits: 0 };
  const partitions = new Map(hops.processed === undefined ? [] : [[0, { rawOffset: hops.processed }]]);
  const registry = new Registry();
  addBusMetrics(new MetricSet(registry), {
    bus: {
      stats: () => [topics.raw, topics.events].map((topic) => ({ ...log, topic })),
      position: (group: string) => (['sink-loki', aggregatorGroup].includes(group) ? { offset: 400, metadata: '' } : undefined),
    },
    busLosses: new Map(),
    aggregator: { partitions: () => partitions },
    sinks: { stats: () => [] },
    tellsAll: hops.tellsAll,
  } as unknown as Pipeline);
  const { values } = (await registry.getSingleMetric('jitterscope_group_lag_messages')?.get()) ?? { values: [] };
  return Object.fromEntries(values.map(({ labels, value }) => [labels.group, value]));
}

test('the age of the checkpoint is no lag of the aggregator: who does not run it does not tell it', async () => {
  expect(await lagsOf({ tellsAll: true })).toEqual({ 'sink-loki': 600 });
  expect(await lagsOf({ processed: 990, tellsAll: true })).toEqual({ aggregator: 10, 'sink-loki': 600 });
  expect(await lagsOf({ processed: 990, tellsAll: false })).toEqual({ aggregator: 10 });
});

test('processes on one Kafka name the same bus; another cluster, prefix or data folder is another one', () => {
  const kafka = (topicPrefix: string, cluster: object = {}) =>
    busName(configSchema.parse({ bus: { type: 'kafka', kafka: { brokers: ['kafka:9092'], topicPrefix } }, cluster }), '/data');
  const embedded = (dataDir: string) => busName(configSchema.parse({}), dataDir);
  expect(kafka('js-')).toBe(kafka('js-'));
  expect(embedded('data')).toBe(embedded('./data/'));
  expect(new Set([kafka('js-'), kafka('other-'), kafka('js-', { name: 'lab' }), embedded('data'), embedded('other')]).size).toBe(5);
});
