import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningKafka } from '../../../scripts/servers/kafka.mjs';
import { startKafka } from '../../../test/support/servers.ts';
import { appendRetrying } from '../append-retrying.ts';
import type { Consumer } from '../bus.ts';
import { text, until } from '../contract.ts';
import { kafkaSchema } from './config.ts';
import { type KafkaBus, openKafkaBus } from './kafka-bus.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-kafka-faults-'));
const topic = 'faults';
const partitions = 4;
const log = pino({ level: 'silent' });
let kafka: RunningKafka;
const buses: KafkaBus[] = [];

beforeAll(async () => {
  kafka = await startKafka({ dataDir: folder });
});

afterAll(async () => {
  await Promise.all(buses.map((bus) => bus.close()));
  await kafka?.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function open(): Promise<KafkaBus> {
  const config = kafkaSchema.parse({ brokers: [kafka.address], replicationFactor: 1, sessionTimeout: '6s' });
  const topics = [{ name: topic, partitions, maxBytes: 64 * 1024 * 1024, retain: 'checkpoint' }] as const;
  const bus = await openKafkaBus({ config, topics, log });
  buses.push(bus);
  return bus;
}

/** A member that notes what it handled and committed, each value once in the order of its commit. */
async function member(bus: KafkaBus, group: string, into: string[], handleMs = 0): Promise<Consumer> {
  const consumer: Promise<Consumer> = bus.consume({
    group,
    topic,
    handle: async (fetch, signal) => {
      await sleep(handleMs, undefined, { signal });
      await (await consumer).commit(fetch.partition, { offset: fetch.next, metadata: '' });
      for (const { value } of fetch.messages) into.push(`${fetch.partition}/${Buffer.from(value).toString()}`);
    },
  });
  return consumer;
}

test('broker kill: what was acked is there after kill -9 and restart, and both sides go on by themselves', async () => {
  const bus = await open();
  const seen: string[] = [];
  const consumer = await member(bus, 'kill', seen);
  const stop = new AbortController();
  const acked: string[] = [];
  let produced = 0;
  const producing = Array.from({ length: partitions }, async (_, partition) => {
    while (!stop.signal.aborted) {
      const value = `${produced++}`;
      await appendRetrying(bus, topic, partition, [text(value)], log, new AbortController().signal);
      acked.push(`${partition}/${value}`);
      await sleep(2);
    }
  });
  await until(() => seen.length > 200);
  await kafka.kill();
  await until(() => bus.problem?.code === 'KAFKA_UNREACHABLE');
  await sleep(1_000);
  kafka = await startKafka({ dataDir: folder });
  const answeredMs = performance.now();
  const [ackedBefore, seenBefore] = [acked.length, seen.length];
  await until(() => acked.length > ackedBefore);
  const ackedMs = performance.now() - answeredMs;
  await until(() => seen.length > seenBefore + 50);
  process.stdout.write(
    `kafka killed: acked again ${ackedMs.toFixed(0)} ms after it was ready, consumed ${(performance.now() - answeredMs).toFixed(0)} ms\n`,
  );
  expect(performance.now() - answeredMs).toBeLessThan(60_000);
  expect(bus.problem).toBeUndefined();
  stop.abort();
  await Promise.all(producing);
  await until(() => new Set(seen).size >= acked.length);
  expect(acked.filter((value) => !seen.includes(value))).toEqual([]);
  await consumer.close();
});

test('rebalance: members that join and leave under load lose nothing and commit nothing twice', async () => {
  const [first, second, third] = [await open(), await open(), await open()];
  const seen: string[] = [];
  const group = 'rebalance';
  for (let partition = 0; partition < partitions; partition++)
    await first.commit(group, topic, partition, { offset: (await first.offsets(topic, partition)).next, metadata: '' });
  const stop = new AbortController();
  const sent: string[] = [];
  const producing = (async () => {
    for (let index = 0; !stop.signal.aborted; index++) {
      await third.append(topic, index % partitions, [text(`r${index}`)]);
      sent.push(`${index % partitions}/r${index}`);
    }
  })();
  const steady = await member(first, group, seen, 2);
  for (let round = 0; round < 3; round++) {
    const before = seen.length;
    const other = await member(second, group, seen, 2);
    await until(() => seen.length > before + 100);
    await sleep(1_500);
    await other.close();
  }
  stop.abort();
  await producing;
  await until(() => new Set(seen).size === sent.length);
  expect(seen.length).toBe(new Set(seen).size);
  await steady.close();
});

test('a slow handler does not fall out of its group, and holds up no other partition', async () => {
  const bus = await open();
  const group = 'slow';
  for (let partition = 0; partition < partitions; partition++)
    await bus.commit(group, topic, partition, { offset: (await bus.offsets(topic, partition)).next, metadata: '' });
  const handled: number[] = [];
  let assigned = 0;
  const consumer: Promise<Consumer> = bus.consume({
    group,
    topic,
    assigned: async (_, committed) => {
      assigned++;
      return committed?.offset;
    },
    handle: async (fetch) => {
      // Longer than the session.
      if (fetch.partition === 0) await sleep(7_000);
      await (await consumer).commit(fetch.partition, { offset: fetch.next, metadata: '' });
      handled.push(fetch.partition);
    },
  });
  await until(() => assigned === partitions);
  for (let partition = 0; partition < partitions; partition++) await bus.append(topic, partition, [text('x')]);
  await until(() => handled.length === partitions);
  expect(handled[partitions - 1]).toBe(0);
  expect(assigned).toBe(partitions);
  expect(await (await consumer).lag()).toEqual(new Map([0, 1, 2, 3].map((partition) => [partition, 0])));
  await (await consumer).close();
});

test('what lies below the checkpoint before is deleted, and a group that had not read it is told how much', async () => {
  const bus = await open();
  const { next } = await bus.offsets(topic, 3);
  await bus.append(topic, 3, ['a', 'b', 'c', 'd'].map(text));
  await bus.checkpointed(topic, 3, next + 2);
  await bus.checkpointed(topic, 3, next + 4);
  let earliest = 0;
  while (earliest < next + 2) ({ earliest } = await bus.offsets(topic, 3));
  expect(earliest).toBe(next + 2);
  const holes: unknown[] = [];
  for await (const fetch of bus.read(topic, 3, next, { until: next + 4 })) holes.push(...fetch.holes);
  expect(holes).toEqual([{ from: next, to: next + 2, reason: 'retention' }]);
});
