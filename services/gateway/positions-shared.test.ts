import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { text } from '../../core/bus/contract.ts';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { topics } from '../../proto/bus.ts';
import { Positions } from './positions.ts';

async function openBus(partitions = 1): Promise<Bus> {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-positions-'));
  const raw = { name: topics.raw, partitions, maxBytes: 2 ** 24, retain: 'oldest' } as const;
  const bus = await openEmbeddedLog({ dir, commitMs: 1, topics: [raw] });
  onTestFinished(async () => {
    await bus.close();
    rmSync(dir, { recursive: true });
  });
  return bus;
}

/** @param over methods of the bus that are others once the positions are loaded */
async function loaded(bus: Bus, over: Partial<Bus> = {}): Promise<Positions> {
  let isLoaded = false;
  const overlaid = new Proxy(bus, {
    get(target, name) {
      const value: unknown = (isLoaded ? Reflect.get(over, name) : undefined) ?? Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const positions = new Positions(overlaid);
  await positions.load();
  isLoaded = true;
  return positions;
}

const sessionOf = (n: number): string => n.toString(16).padStart(32, '0');

test('two gateways that share the commit take over what the other knows, and lose nothing of it', async () => {
  const bus = await openBus();
  // What is in the log, but not readable: only the commit knows the positions.
  await bus.append(topics.raw, 0, [text('x')]);
  const [first, second] = [await loaded(bus), await loaded(bus)];
  first.advance(sessionOf(1), 10, 0);
  second.advance(sessionOf(2), 20, 0);
  await first.save();
  await second.save();
  expect(second.acked(sessionOf(1))).toBe(10);
  // The session moves to the other gateway, and back.
  second.advance(sessionOf(1), 15, 0);
  await second.save();
  await first.save();
  expect([first.acked(sessionOf(1)), first.acked(sessionOf(2))]).toEqual([15, 20]);
  const third = await loaded(bus);
  expect([third.acked(sessionOf(1)), third.acked(sessionOf(2))]).toEqual([15, 20]);
});

test('a position that another gateway has overwritten is written again, until it is found', async () => {
  const bus = await openBus();
  await bus.append(topics.raw, 0, [text('x')]);
  const positions = await loaded(bus);
  positions.advance(sessionOf(1), 10, 0);
  await positions.save();
  // As one does that read the commit before, and writes behind.
  await bus.commit('gateway', topics.raw, 0, { offset: 1, metadata: JSON.stringify({ [sessionOf(2)]: 5 }) });
  expect((await loaded(bus)).acked(sessionOf(1))).toBe(0);
  await positions.save();
  const next = await loaded(bus);
  expect([next.acked(sessionOf(1)), next.acked(sessionOf(2))]).toEqual([10, 5]);
  const { metadata } = (await bus.committed('gateway', topics.raw, 0)) ?? {};
  await positions.save();
  expect((await bus.committed('gateway', topics.raw, 0))?.metadata).toBe(metadata);
});

test('a position never goes back, and what is none is not taken', async () => {
  const bus = await openBus();
  await bus.append(topics.raw, 0, [text('x')]);
  const positions = await loaded(bus);
  positions.advance(sessionOf(1), 10, 0);
  positions.advance(sessionOf(1), 4, 0);
  const rubbish = { [sessionOf(1)]: 7, [sessionOf(2)]: '9e9', [sessionOf(3)]: 1e300, short: 5, [sessionOf(4)]: 3 };
  for (const metadata of [JSON.stringify(rubbish), 'null', '[1]', '{'])
    await bus.commit('gateway', topics.raw, 0, { offset: 1, metadata }).then(() => positions.save());
  expect([1, 2, 3, 4].map((n) => positions.acked(sessionOf(n)))).toEqual([10, 0, 0, 3]);
});

test('a partition that nobody answers for holds up the positions of no other, and is written once it answers', async () => {
  const bus = await openBus(3);
  for (let partition = 0; partition < 3; partition++) await bus.append(topics.raw, partition, [text('x')]);
  let answer = (): void => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const offsets: Bus['offsets'] = async (topic, partition) => {
    if (partition === 0) await answered;
    return bus.offsets(topic, partition);
  };
  const positions = await loaded(bus, { offsets });
  for (let partition = 0; partition < 3; partition++) positions.advance(sessionOf(partition), 10, partition);
  const first = positions.save();
  const told = async (): Promise<(string | undefined)[]> =>
    Promise.all([0, 1, 2].map(async (partition) => (await bus.committed('gateway', topics.raw, partition))?.metadata));
  const metadata = (partition: number, seq: number): string => JSON.stringify({ [sessionOf(partition)]: seq });
  await vi.waitUntil(async () => (await told()).filter((one) => one !== undefined).length === 2, 30_000);
  // While the first one still waits others are written again.
  for (let partition = 0; partition < 3; partition++) positions.advance(sessionOf(partition), 20, partition);
  await positions.save();
  expect(await told()).toEqual([undefined, metadata(1, 20), metadata(2, 20)]);
  positions.advance(sessionOf(0), 30, 0);
  const last = positions.saveLast();
  answer();
  await Promise.all([first, last]);
  expect(await told()).toEqual([metadata(0, 30), metadata(1, 20), metadata(2, 20)]);
});
