import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { text } from '../../core/bus/contract.ts';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { topics } from '../../proto/bus.ts';
import { Positions } from './positions.ts';

async function openBus(): Promise<Bus> {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-positions-'));
  const raw = { name: topics.raw, partitions: 1, maxBytes: 2 ** 24, retain: 'oldest' } as const;
  const bus = await openEmbeddedLog({ dir, commitMs: 1, topics: [raw] });
  onTestFinished(async () => {
    await bus.close();
    rmSync(dir, { recursive: true });
  });
  return bus;
}

async function loaded(bus: Bus): Promise<Positions> {
  const positions = new Positions(bus);
  await positions.load();
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
