import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningKafka, RunningKafkaCluster } from '../../../scripts/servers/kafka.mjs';
import { startKafkaCluster } from '../../../test/support/servers.ts';
import { appendRetrying } from '../append-retrying.ts';
import type { TopicSpec } from '../bus.ts';
import { text, until } from '../contract.ts';
import { KafkaClient } from './client.ts';
import { kafkaSchema } from './config.ts';
import { type KafkaBus, openKafkaBus } from './kafka-bus.ts';
import { settingsOf } from './topics.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-kafka-cluster-'));
const partitions = 3;
const topics: readonly TopicSpec[] = [{ name: 'raw', partitions, maxBytes: 64 * 1024 * 1024, retain: 'checkpoint' }];
const log = pino({ level: 'silent' });
let cluster: RunningKafkaCluster;
let nodes: RunningKafka[];
let bus: KafkaBus;

const configOf = (more: object) => kafkaSchema.parse({ brokers: cluster.brokers, sessionTimeout: '6s', requestTimeout: '3s', ...more });

beforeAll(async () => {
  cluster = await startKafkaCluster({ dataDir: folder });
  nodes = [...cluster.nodes];
  bus = await openKafkaBus({ config: configOf({ partitions }), topics, log });
}, 180_000);

afterAll(async () => {
  await bus?.close();
  await Promise.all((nodes ?? []).map((node) => node.kill()));
  rmSync(folder, { recursive: true, force: true });
});

/** Index of the node that leads a partition. */
async function leaderOf(client: KafkaClient, partition: number): Promise<number> {
  const { topicMetadata } = await client.metadataOf(['raw']);
  return (topicMetadata[0].partitionMetadata.find(({ partitionId }) => partitionId === partition)?.leader ?? 0) - 1;
}

test('three brokers: the leader is killed and comes back under load, then two of them; nothing acked is lost, and nothing is acked on one', {
  timeout: 240_000,
}, async () => {
  const client = new KafkaClient({ config: configOf({}), log });
  const seen = new Set<string>();
  const consumer = bus.consume({
    group: 'readers',
    topic: 'raw',
    handle: async (fetch) => {
      for (const { value } of fetch.messages) seen.add(`${fetch.partition}/${Buffer.from(value).toString()}`);
      await (await consumer).commit(fetch.partition, { offset: fetch.next, metadata: '' });
    },
  });
  const acked: string[] = [];
  const ackedOf = (partition: number): number => acked.filter((value) => value.startsWith(`${partition}/`)).length;
  const stop = new AbortController();
  const producing = Array.from({ length: partitions }, async (_, partition) => {
    for (let index = 0; !stop.signal.aborted; index++) {
      await appendRetrying(bus, 'raw', partition, [text(`${index}`)], log, new AbortController().signal);
      acked.push(`${partition}/${index}`);
      await sleep(5);
    }
  });
  await until(() => seen.size > 100);

  const leader = await leaderOf(client, 0);
  await nodes[leader].kill();
  const killedMs = performance.now();
  const before = ackedOf(0);
  await until(() => ackedOf(0) > before + 20);
  process.stdout.write(`leader killed: its partition took messages again ${(performance.now() - killedMs).toFixed(0)} ms later\n`);
  const seenBefore = seen.size;
  await until(() => seen.size > seenBefore + 50);
  nodes[leader] = await cluster.start(leader);

  // With a single one left what comes waits: neither lost nor acked.
  const [first, second] = [0, 1, 2].filter((index) => index !== leader);
  await Promise.all([nodes[first].kill(), nodes[second].kill()]);
  const alone = [...acked];
  await sleep(4_000);
  // What was under way when they died.
  expect(acked.length - alone.length).toBeLessThanOrEqual(partitions);
  [nodes[first], nodes[second]] = await Promise.all([cluster.start(first), cluster.start(second)]);
  const counts = [0, 1, 2].map(ackedOf);
  await until(() => counts.every((count, partition) => ackedOf(partition) > count));
  stop.abort();
  await Promise.all(producing);
  await until(() => acked.every((value) => seen.has(value)));
  process.stdout.write(`${acked.length} acked, ${seen.size} seen\n`);
  await (await consumer).close();
  client.close();
});

test('a topic that others made so that one broker could lose what it acknowledged is refused with its remedy', async () => {
  const client = new KafkaClient({ config: configOf({}), log });
  const link = client.controllerLink();
  const settings = { ...settingsOf(topics[0], 1), 'min.insync.replicas': '1' };
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  const [one, three] = [`one-${randomUUID()}-`, `three-${randomUUID()}-`];
  const made = [
    { topic: `${one}raw`, replicationFactor: 1 },
    { topic: `${three}raw`, replicationFactor: 3 },
  ];
  await link.ask('topics', (broker) =>
    broker.createTopics({ topics: made.map((topic) => ({ ...topic, numPartitions: partitions, configEntries })), timeout: 30_000 }),
  );
  link.close();
  client.close();
  const opened = (topicPrefix: string, replicationFactor: number): Promise<KafkaBus> =>
    openKafkaBus({ config: configOf({ partitions, topicPrefix, replicationFactor }), topics, log });
  await expect(opened(one, 3)).rejects.toMatchObject({ code: 'KAFKA_TOPIC_SETTING', details: { setting: 'replicas', found: 1 } });
  await expect(opened(three, 3)).rejects.toMatchObject({ code: 'KAFKA_TOPIC_SETTING', details: { setting: 'min.insync.replicas' } });
  await (await opened(one, 1)).close();
});
