import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { topics } from '../proto/bus.ts';
import type { RunningKafka } from '../scripts/servers/kafka.mjs';
import { temporaryFolder } from './support/data-folder.ts';
import { FileStore, verdictOf } from './support/event-stores.ts';
import { clean, ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { KafkaRoles } from './support/kafka-roles.ts';
import { patiently } from './support/patiently.ts';
import { Random, seedOfRun } from './support/random.ts';
import { startKafka } from './support/servers.ts';

const nodes = 6;
const partitions = 4;
const batchRecords = 12;
const stayMs = 1_500;

const folder = temporaryFolder();
const random = new Random(seedOfRun());
let kafka: RunningKafka;
let roles: KafkaRoles;
let events: ExpectedEvents;
let collectors: FakeCollector[];
let loading: Promise<void>;
let loadEnds = false;
let runs = 0;

beforeAll(async () => {
  process.stdout.write(`roles over Kafka: JITTERSCOPE_SEED=${random.seed}\n`);
  kafka = await startKafka({ dataDir: join(folder.path, 'kafka') });
});

beforeEach(async () => {
  await roles?.killAll();
  runs++;
  roles = await KafkaRoles.over(kafka.address, join(folder.path, `run${runs}`), [
    `bus.kafka.topicPrefix=run${runs}-`,
    `bus.kafka.partitions=${partitions}`,
  ]);
  events = new ExpectedEvents();
  // The first one makes the topics; collectors need the gateway alone.
  await roles.start('gateway');
  await Promise.all([roles.start('aggregator'), roles.start('sinks')]);
  collectors = await Promise.all(
    Array.from({ length: nodes }, (_, index) =>
      FakeCollector.start({ node: index + 1, spoolDir: join(folder.path, `run${runs}`, `spool${index}`), gateway: roles.gateway, events }),
    ),
  );
  loadEnds = false;
  loading = load();
});

afterAll(async () => {
  loadEnds = true;
  await loading;
  await roles?.killAll();
  await kafka?.kill();
  folder.remove();
});

async function load(): Promise<void> {
  while (!loadEnds) {
    for (const collector of collectors) collector.batch(random.integer(1, 2 * batchRecords));
    await sleep(25);
  }
}

/** Ends the load; every event is in the files, once. */
async function expectStored(): Promise<void> {
  loadEnds = true;
  await loading;
  expect(await Promise.all(collectors.map((collector) => collector.close(60_000)))).toEqual(collectors.map(() => 0));
  const files = new FileStore(roles.folderOf('sinks'));
  const verdict = async () => verdictOf(events, await files.events(''));
  await patiently('every event is stored', 60_000, async () => (await verdict()).missing === 0);
  // What would come twice may still be on its way.
  await sleep(1_000);
  expect(await verdict(), ['aggregator', 'sinks'].map((name) => roles.said(name)).join('\n')).toEqual(clean);
  process.stdout.write(`  ${events.count} events of ${collectors.reduce((sum, { nextItem }) => sum + nextItem, 0)} records\n`);
}

test('a dead Kafka: collectors go on into their spools, and everything arrives once when it is back', async () => {
  await sleep(1_000);
  await kafka.kill();
  await sleep(stayMs);
  // More than the gateway takes without durability.
  await patiently('collectors spool', 30_000, () => collectors.every(({ metrics }) => metrics.inFlightBytes > 0));
  kafka = await startKafka({ dataDir: join(folder.path, 'kafka') });
  await expectStored();
});

test('SIGTERM while Kafka is killed: each role ends, says what it does not know, and nothing is lost', async () => {
  await sleep(1_000);
  await kafka.kill();
  await patiently('collectors spool', 30_000, () => collectors.every(({ metrics }) => metrics.inFlightBytes > 0));
  loadEnds = true;
  const beganMs = performance.now();
  const names = ['gateway', 'aggregator', 'sinks'] as const;
  const ends = await Promise.all(
    names.map(async (name) => ({ name, code: await roles.stop(name), tookMs: performance.now() - beganMs, said: roles.summary(name) })),
  );
  for (const { name, tookMs } of ends) process.stdout.write(`  ${name} ended ${(tookMs / 1e3).toFixed(1)} s after SIGTERM\n`);
  for (const { name, code, said } of ends) {
    expect(code, `${name}: ${roles.said(name)}`).toBe(143);
    const isUnknown = said.some((line) => /^waiting .* the bus does not answer: what waits on it is not known/.test(line));
    expect(isUnknown, `${name} says that it does not know: ${said.join(' / ')}`).toBe(name !== 'gateway');
  }
  kafka = await startKafka({ dataDir: join(folder.path, 'kafka') });
  await Promise.all(names.map((name) => roles.start(name)));
  await expectStored();
});

test('two gateways: collectors move between them, and each is killed in turn under load; nothing is lost, and nothing stored twice', async () => {
  await roles.start('gateway', 'gateway-2');
  for (const name of ['gateway', 'gateway-2']) {
    await roles.kill(name);
    await sleep(stayMs);
    await roles.start('gateway', name);
    await sleep(random.integer(500, stayMs));
  }
  // Either knows how full the logs are, whoever wrote them.
  for (const name of ['gateway', 'gateway-2']) {
    const isFilled = async () =>
      ((await roles.ask(name, 'storage')) as { name: string; bytes: number }[]).some((log) => /raw/.test(log.name) && log.bytes > 0);
    await patiently(`${name} knows the logs`, 30_000, isFilled);
  }
  await expectStored();
});

test('the shipped rule state-lost finds over Kafka that an aggregator started without its state', async () => {
  const admin = new Kafka({ brokers: [kafka.address], logLevel: logLevel.NOTHING }).admin();
  const files = new FileStore(roles.folderOf('sinks'));
  const lost = () => files.findings().filter(({ rule, event }) => rule.id === 'state-lost' && event.action === 'anomaly-opened');
  try {
    await admin.connect();
    await patiently('events are delivered', 60_000, async () => (await files.events('')).ids.length > 0);
    await roles.kill('aggregator');
    for (const [name, offset] of [
      [topics.state, '-1'],
      [topics.raw, '1'],
    ]) {
      const topic = `run${runs}-${name}`;
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: Array.from({ length: partitions }, (_, partition) => ({ partition, offset })) });
    }
    expect(lost()).toEqual([]);
    await roles.start('aggregator');
    await patiently('the lost state is found', 120_000, () => lost().length > 0);
    expect(lost()[0].message).toMatch(/the aggregator started without its state; findings that were firing may never be resolved/);
    expect(roles.said('aggregator')).toContain('AGGREGATOR_STATE_LOST');
  } finally {
    loadEnds = true;
    await loading;
    await Promise.all(collectors.map((collector) => collector.close(0)));
    await admin.disconnect();
  }
});
