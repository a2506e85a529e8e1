import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunningKafka } from '../../../scripts/servers/kafka.mjs';
import { startKafka } from '../../../test/support/servers.ts';
import { appendRetrying } from '../append-retrying.ts';
import type { BusObserver, TopicSpec } from '../bus.ts';
import { readAll, text, until } from '../contract.ts';
import { kafkaSchema } from './config.ts';
import { type KafkaBus, openKafkaBus } from './kafka-bus.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-kafka-caps-'));
const mebibyte = 1024 * 1024;
const topics: readonly TopicSpec[] = [
  { name: 'raw', partitions: 2, maxBytes: 2 * mebibyte, retain: 'checkpoint', checkpointGroup: 'aggregator' },
  { name: 'uneven', partitions: 1, maxBytes: 8 * mebibyte, retain: 'checkpoint', checkpointGroup: 'reader' },
  { name: 'damaged', partitions: 1, maxBytes: 64 * mebibyte, retain: 'oldest' },
];
const log = pino({ level: 'silent' });
let kafka: RunningKafka;
const buses: KafkaBus[] = [];
/** A test has topics of its own, and so has one that is tried again. */
let topicPrefix = '';
let tries = 0;

beforeAll(async () => {
  kafka = await startKafka({ dataDir: folder });
});

beforeEach(() => {
  topicPrefix = `try-${++tries}-`;
});

afterAll(async () => {
  await Promise.all(buses.map((bus) => bus.close()));
  await kafka?.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function open(observer: BusObserver = {}): Promise<KafkaBus> {
  const config = kafkaSchema.parse({ brokers: [kafka.address], topicPrefix, replicationFactor: 1, compression: 'none' });
  const bus = await openKafkaBus({ config, topics, watched: [{ group: 'sink-file', topic: 'damaged' }], observer, log });
  buses.push(bus);
  return bus;
}

test('topics with more replicas than there are brokers are refused with the setting to change', async () => {
  const config = kafkaSchema.parse({ brokers: [kafka.address], topicPrefix: 'three-' });
  const opening = openKafkaBus({ config, topics, log });
  await expect(opening).rejects.toMatchObject({ code: 'KAFKA_REPLICATION_FACTOR', exitCode: 78, details: { found: 3 } });
});

/** Of partition 0 of raw. */
function bytesOf(bus: KafkaBus): number {
  return bus.stats().find(({ topic, partition }) => topic === 'raw' && partition === 0)?.bytes ?? 0;
}

const message = new Uint8Array(64 * 1024).fill(7);

/** Appends until the bus refuses; how many it took. */
async function fill(bus: KafkaBus, partition: number): Promise<number> {
  for (let count = 0; count < 1_000; count++) {
    try {
      await bus.append('raw', partition, [message]);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'BUS_FULL', retryable: true, details: { topic: 'raw', partition, limit: 2 * mebibyte } });
      return count;
    }
  }
  throw new Error('it was never full');
}

test('a raw partition refuses at its cap, at every gateway, and takes again once the checkpoint moves', async () => {
  const [first, second, aggregator] = [await open(), await open(), await open()];
  const taken = await fill(first, 0);
  expect(taken).toBe(32);
  // The second one has written nothing: it knows from the brokers.
  await until(() => bytesOf(second) > 2 * mebibyte);
  await expect(second.append('raw', 0, [message])).rejects.toMatchObject({ code: 'BUS_FULL' });
  // Other partitions take more; one started behind is full at once.
  await second.append('raw', 1, [message]);
  const third = await open();
  await until(() => bytesOf(third) > 2 * mebibyte);
  await expect(third.append('raw', 0, [message])).rejects.toMatchObject({ code: 'BUS_FULL' });

  const waiting = appendRetrying(first, 'raw', 0, [message], log, new AbortController().signal);
  await aggregator.checkpointed('raw', 0, taken);
  await aggregator.commit('aggregator', 'raw', 0, { offset: taken, metadata: 'all is read' });
  expect(await waiting).toBe(taken);
  await until(() => first.position('aggregator', 'raw', 0)?.metadata === 'all is read');
  expect(await fill(first, 0)).toBe(taken - 1);
});

test('a log whose first message is much larger than the others is not full for who has seen nothing else', async () => {
  const first = await open();
  await first.append('uneven', 0, [new Uint8Array(256 * 1024)]);
  for (let batch = 0; batch < 50; batch++)
    await first.append(
      'uneven',
      0,
      Array.from({ length: 100 }, () => new Uint8Array(100)),
    );
  const other = await open();
  const bytes = () => other.stats().find(({ topic }) => topic === 'uneven')?.bytes ?? 0;
  await until(() => bytes() > 1000 * mebibyte);
  expect(await appendRetrying(other, 'uneven', 0, [text('a tick')], log, new AbortController().signal)).toBe(5_001);
  expect(bytes()).toBeLessThan(8 * mebibyte);
});

test('the fill of logs and the positions of groups are told without asking anybody', async () => {
  const bus = await open();
  const offset = await bus.append('damaged', 0, [message, message, message]);
  await bus.commit('sink-file', 'damaged', 0, { offset: offset + 1, metadata: 'one' });
  await until(() => bus.position('sink-file', 'damaged', 0)?.offset === offset + 1);
  const told = () => bus.stats().find(({ topic }) => topic === 'damaged');
  await until(() => told()?.next === offset + 3);
  expect(told()).toMatchObject({ earliest: 0, commits: 1, pendingBytes: 0, maxBytes: 64 * mebibyte });
  const bytes = told()?.bytes ?? 0;
  expect(bytes).toBeGreaterThan(3 * message.length);
  expect(bytes).toBeLessThan(3 * message.length + 1_000);
  // Whoever has neither written nor read knows it by a sample.
  const other = await open();
  await until(() => (other.stats().find(({ topic }) => topic === 'damaged')?.bytes ?? 0) > 0);
  expect(other.stats().find(({ topic }) => topic === 'damaged')).toMatchObject({ bytes, commits: 0 });
});

test('a batch that was damaged on the disk of the broker is a hole, counted once however often it is read', async () => {
  const losses: unknown[] = [];
  const bus = await open({ lost: (loss) => losses.push(loss) });
  const before = await bus.append('damaged', 0, [text('before')]);
  await bus.append('damaged', 0, [text('to be damaged'), text('and this, too')]);
  const after = await bus.append('damaged', 0, [text('after')]);
  const segment = join(folder, 'logs', `${topicPrefix}damaged-0`, '00000000000000000000.log');
  const file = openSync(segment, 'r+');
  writeSync(file, 'T', readFileSync(segment).indexOf('to be damaged'));
  closeSync(file);
  const hole = { from: before + 1, to: after, reason: 'damaged' };
  for (let round = 0; round < 2; round++) {
    const { values, holes } = await readAll(bus, 'damaged', 0, before, after + 1);
    expect([values, holes]).toEqual([['before', 'after'], [hole]]);
  }
  expect(losses).toEqual([{ topic: 'damaged', partition: 0, reason: 'damaged', messages: 2, bytes: 0 }]);
});
