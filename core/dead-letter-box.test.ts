import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { topics } from '../proto/bus.ts';
import { mortal } from '../test/support/mortal-bus.ts';
import { until } from './bus/contract.ts';
import { type EmbeddedLog, openEmbeddedLog } from './bus/embedded-log.ts';
import { busError } from './bus/errors.ts';
import { encodeDeadLetter } from './dead-letter.ts';
import { claimMs, DeadLetterBox, deadLetterError } from './dead-letter-box.ts';
import { DeadLetterCount } from './dead-letter-count.ts';
import { createLog } from './log.ts';

const signal = new AbortController().signal;
const topic = topics.deadLetters;

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-letters-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function open(dir: string, maxBytes = 64 * 1024 * 1024): Promise<EmbeddedLog> {
  const bus = await openEmbeddedLog({ dir, topics: [{ name: topic, partitions: 2, maxBytes, retain: 'oldest' }], commitMs: 1 });
  onTestFinished(() => bus.close());
  return bus;
}

function letter(number: number, bytes = 10): Uint8Array {
  const error = deadLetterError('DEAD_LETTER_UNKNOWN', { id: `x-${number}` });
  return encodeDeadLetter({
    stage: 'sink',
    target: 'store',
    error,
    topic: 'events',
    partition: 0,
    offset: number,
    payload: Buffer.alloc(bytes),
  });
}

const letters = (count: number, bytes?: number) => Array.from({ length: count }, (_, number) => letter(number, bytes));

async function waiting(box: DeadLetterBox): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of box.waiting({}, signal)) ids.push(id);
  return ids;
}

test('two that settle at once both settle, each letter for one of them, and it is so after a restart', async () => {
  const dir = await folder();
  const bus = await open(dir);
  await bus.append(topic, 0, letters(3_000));
  await bus.append(topic, 1, letters(10));
  const boxes = [new DeadLetterBox(bus), new DeadLetterBox(bus)];
  // Scattered: every third stays.
  const ids = Array.from({ length: 3_000 }, (_, number) => number).filter((number) => number % 3 > 0);
  const settled = await Promise.all(
    boxes.map(async (box) => {
      let sum = 0;
      for (let at = 0; at < ids.length; at += 250)
        sum += await box.settle(
          ids.slice(at, at + 250).map((number) => `0-${number}`),
          signal,
        );
      return sum;
    }),
  );
  expect(settled[0] + settled[1]).toBe(2_000);
  const left = [
    ...Array.from({ length: 1_000 }, (_, third) => `0-${third * 3}`),
    ...Array.from({ length: 10 }, (_, number) => `1-${number}`),
  ];
  for (const box of boxes) expect(await waiting(box)).toEqual(left);
  await bus.close();
  expect(await waiting(new DeadLetterBox(await open(dir)))).toEqual(left);
});

test('of two that claim the same letters each is held by one, until it ends', async () => {
  const bus = await open(await folder());
  await bus.append(topic, 0, letters(6));
  const [first, second] = [new DeadLetterBox(bus), new DeadLetterBox(bus)];
  const ids = letters(6).map((_, number) => `0-${number}`);
  const held = await Promise.all([first.claim(ids.slice(0, 4), signal), second.claim(ids.slice(2), signal)]);
  const names = held.flatMap(({ letters: own }) => [...own.keys()]);
  expect(names.sort()).toEqual(ids);
  await held[0].end(['0-0']);
  await held[1].end([]);
  await second.settle(['0-5'], signal);
  const again = await second.claim(ids, signal);
  expect([...again.letters].map(([id, { isDoubtful }]) => [id, isDoubtful])).toEqual(ids.slice(0, 5).map((id) => [id, id === '0-0']));
});

test('a claim is dated when it is stored, and one whose answer was lost is no other', async () => {
  const bus = await open(await folder());
  await bus.append(topic, 0, letters(1));
  let nowMs = Date.now();
  vi.spyOn(Date, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => void vi.restoreAllMocks());
  let failures = 2;
  const append: typeof bus.append = async (...call) => {
    if (failures === 0) return bus.append(...call);
    // The second one is stored, and its answer is lost.
    if (--failures === 0) await bus.append(...call);
    else nowMs += 70_000;
    throw busError('BUS_BUSY', { topic, partition: 0, found: 1, limit: 1 });
  };
  const box = new DeadLetterBox({ ...mortal(bus).bus, append });
  const held = await box.claim(['0-0'], signal);
  expect([...held.letters.keys()]).toEqual(['0-0']);
  expect(held.untilMs).toBe(nowMs + claimMs);
  nowMs += claimMs - 1;
  const rival = new DeadLetterBox(bus);
  expect((await rival.claim(['0-0'], signal)).letters.size).toBe(0);
});

test('a settlement whose answer was lost counts each letter once, and none that others settled', async () => {
  const bus = await open(await folder());
  await bus.append(topic, 0, letters(5));
  let failures = 2;
  const append: typeof bus.append = async (...call) => {
    const at = await bus.append(...call);
    if (failures-- > 0) throw busError('BUS_BUSY', { topic, partition: 0, found: 1, limit: 1 });
    return at;
  };
  const [box, other] = [new DeadLetterBox({ ...mortal(bus).bus, append }), new DeadLetterBox(bus)];
  expect(await other.settle(['0-1'], signal)).toBe(1);
  expect(await box.settle(['0-0', '0-1', '0-2'], signal)).toBe(2);
  expect(await box.settle(['0-2', '0-3'], signal)).toBe(1);
  expect(await waiting(box)).toEqual(['0-4']);
});

test('they are counted as they come and go, also by the process that counts next; what retention takes is told as lost', async () => {
  const dir = await folder();
  const bus = await open(dir, 2 * 1024 * 1024);
  const log = createLog('silent');
  const count = new DeadLetterCount(bus, log);
  await bus.append(topic, 0, letters(20));
  await bus.append(topic, 1, letters(5));
  await until(() => count.waiting === 25);
  const box = new DeadLetterBox(bus);
  await box.settle(
    letters(20).map((_, number) => `0-${number}`),
    signal,
  );
  await until(() => count.waiting === 5);
  await until(() => bus.stats().length === 2);
  const floor = async () => (await bus.committed('dlq', topic, 0))?.offset;
  for (let found = await floor(); found !== 21; found = await floor()) await new Promise((resolve) => setTimeout(resolve, 5));
  await count.close();
  expect(await waiting(new DeadLetterBox(bus))).toEqual([0, 1, 2, 3, 4].map((number) => `1-${number}`));

  const next = new DeadLetterCount(bus, log, 10);
  await until(() => next.waiting === 5);
  // Settled letters and what settled them go, too: they are no loss.
  for (let round = 0; round < 40; round++) await bus.append(topic, 0, letters(1, 128 * 1024));
  for (let round = 0; round < 40; round++) await bus.append(topic, 1, letters(1, 128 * 1024));
  const { earliest, next: end } = await bus.offsets(topic, 1);
  expect(earliest).toBeGreaterThan(5);
  const first = (await bus.offsets(topic, 0)).earliest;
  expect(first).toBeGreaterThan(21);
  await until(() => next.lost === earliest + first - 21);
  await until(() => next.waiting === end - earliest + 21 + 40 - first);
  expect((await waiting(new DeadLetterBox(bus))).length).toBe(next.waiting);
  // It commits what it knows to be lost: who counts next does not count that again.
  for (const [partition, from] of [first, earliest].entries())
    while (((await bus.committed('dlq', topic, partition))?.offset ?? 0) < from) await new Promise((resolve) => setTimeout(resolve, 5));
  await next.close();
  const last = new DeadLetterCount(bus, log);
  await until(() => last.waiting === next.waiting);
  expect(last.lost).toBe(0);
  await last.close();
});
