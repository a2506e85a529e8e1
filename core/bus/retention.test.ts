import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BusObserver, Fetch } from './bus.ts';
import { readAll, until } from './contract.ts';
import { type EmbeddedLog, openEmbeddedLog } from './embedded-log.ts';

type Loss = Parameters<NonNullable<BusObserver['lost']>>[0];

const KIB = 1024;
let dir: string;
let log: EmbeddedLog;
let losses: Loss[];

beforeEach(async () => {
  dir = await mkdtemp(`${tmpdir()}/jitterscope-retention-`);
  losses = [];
});

afterEach(async () => {
  await log.close();
  await rm(dir, { recursive: true });
});

test('at its cap, a topic that keeps the newest drops the oldest, and each group is told exactly what it missed', async () => {
  await open('oldest');
  await fill(30);
  await log.commit('behind', 't', 0, { offset: 7, metadata: '' });
  await log.commit('ahead', 't', 0, { offset: 30, metadata: '' });
  await fill(170);
  const { earliest, next } = await log.offsets('t', 0);
  expect(next).toBe(200);
  const [{ bytes, maxBytes, segments }] = log.stats();
  expect(bytes).toBeLessThanOrEqual(maxBytes);
  expect(segments).toBeGreaterThan(1);
  expect(earliest).toBeGreaterThan(50);
  expect(missed('behind')).toBe(earliest - 7);
  expect(missed('ahead')).toBe(earliest - 30);
  expect(losses.every(({ reason }) => reason === 'retention')).toBe(true);
  const read = await readAll(log, 't', 0, 7, 200);
  expect(read.holes).toEqual([{ from: 7, to: earliest, reason: 'retention' }]);
  expect(read.offsets).toEqual(Array.from({ length: 200 - earliest }, (_, index) => earliest + index));
});

test('a group that keeps up misses nothing, and nobody is told', async () => {
  await open('oldest');
  for (let count = 0; count < 20; count++) {
    await fill(10);
    await log.commit('g', 't', 0, { offset: (await log.offsets('t', 0)).next, metadata: '' });
  }
  expect((await log.offsets('t', 0)).earliest).toBeGreaterThan(0);
  expect(losses).toEqual([]);
});

test('a group that never came to commit misses everything that is dropped', async () => {
  await open('oldest');
  await fill(10);
  let started = false;
  const consumer = await log.consume({
    group: 'slow',
    topic: 't',
    handle: (_, signal) => {
      started = true;
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
    },
  });
  await until(() => started);
  await fill(190);
  expect(missed('slow')).toBe((await log.offsets('t', 0)).earliest);
  await consumer.close(0);
});

test('what a group missed is not counted again after opening the log again', async () => {
  await open('oldest');
  await fill(1);
  await log.commit('g', 't', 0, { offset: 1, metadata: '' });
  await fill(99);
  await log.close();
  await open('oldest');
  await fill(100);
  expect(missed('g')).toBe((await log.offsets('t', 0)).earliest - 1);
});

test('a reader whose segment is dropped goes on at the earliest, and is told of the hole', async () => {
  await open('oldest');
  await fill(20);
  const seen: number[] = [];
  let holes = 0;
  for await (const fetch of log.read('t', 0, 0, { until: 220, maxBytes: 4 * KIB })) {
    if (seen.length === 0) await fill(200);
    seen.push(...fetch.messages.map(({ offset }) => offset));
    for (const hole of fetch.holes) {
      expect(hole.reason).toBe('retention');
      holes += hole.to - hole.from;
    }
  }
  expect(holes).toBeGreaterThan(0);
  expect(seen.length + holes).toBe(220);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
});

test('at its cap, a topic that keeps what no checkpoint covers refuses, and accepts again once the checkpoint moves', async () => {
  await open('checkpoint');
  await expect(fill(200)).rejects.toMatchObject({ code: 'BUS_FULL', retryable: true });
  const { earliest, next } = await log.offsets('t', 0);
  expect(earliest).toBe(0);
  expect(log.stats()[0].bytes).toBeLessThanOrEqual(64 * KIB);
  await expect(fill(1)).rejects.toMatchObject({ code: 'BUS_FULL' });
  // Commits of a group are no checkpoint.
  await log.commit('g', 't', 0, { offset: next, metadata: '' });
  await expect(fill(1)).rejects.toMatchObject({ code: 'BUS_FULL' });
  await log.checkpointed('t', 0, 1);
  await expect(fill(1)).rejects.toMatchObject({ code: 'BUS_FULL' });
  await log.checkpointed('t', 0, next);
  await fill(20);
  const after = await log.offsets('t', 0);
  expect(after).toMatchObject({ next: next + 20 });
  expect(after.earliest).toBeGreaterThan(0);
  expect(losses).toEqual([]);
  // Checkpoints are told again after a start; until then nothing more is deleted.
  await log.close();
  await open('checkpoint');
  expect(await log.offsets('t', 0)).toEqual(after);
  await expect(fill(200)).rejects.toMatchObject({ code: 'BUS_FULL' });
  await log.checkpointed('t', 0, next);
  await fill(1);
});

test('refused appends leave nothing behind, and later ones have no gap', async () => {
  await open('checkpoint');
  const calls = await Promise.allSettled(Array.from({ length: 100 }, () => log.append('t', 0, [message()])));
  const accepted = calls.flatMap((call) => (call.status === 'fulfilled' ? [call.value] : []));
  expect(accepted.length).toBeGreaterThan(40);
  expect(accepted.length).toBeLessThan(64);
  expect(accepted).toEqual(accepted.map((_, index) => index));
  expect((await readAll(log, 't', 0, 0, accepted.length)).holes).toEqual([]);
});

test('readers and consumers of many segments see each message once while retention works', async () => {
  await open('oldest');
  let seen = 0;
  let holes = 0;
  const count = (fetch: Fetch): void => {
    seen += fetch.messages.length;
    for (const { from, to } of fetch.holes) holes += to - from;
  };
  const consumer = await log.consume({
    group: 'g',
    topic: 't',
    handle: async (fetch) => {
      count(fetch);
      await consumer.commit(0, { offset: fetch.next, metadata: '' });
    },
  });
  for (let round = 0; round < 30; round++) await fill(10);
  await until(() => seen + holes === 300);
  await consumer.close();
  expect(await log.committed('g', 't', 0)).toEqual({ offset: 300, metadata: '' });
});

test('dropped segments are gone from the folder', async () => {
  await open('oldest');
  await fill(200);
  expect((await readdir(`${dir}/t/0`)).length).toBe(log.stats()[0].segments);
});

async function open(retain: 'oldest' | 'checkpoint'): Promise<void> {
  const observer: BusObserver = { lost: (loss) => losses.push(loss) };
  log = await openEmbeddedLog({
    dir,
    topics: [{ name: 't', partitions: 1, maxBytes: 64 * KIB, retain }],
    commitMs: 0,
    segmentBytes: 8 * KIB,
    observer,
  });
}

async function fill(messages: number): Promise<void> {
  for (let count = 0; count < messages; count++) await log.append('t', 0, [message()]);
}

function message(): Uint8Array {
  return new Uint8Array(1000);
}

function missed(group: string): number {
  return losses.filter((loss) => loss.group === group).reduce((sum, { messages }) => sum + messages, 0);
}
