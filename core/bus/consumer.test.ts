import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AppError } from '../app-error.ts';
import { text, until } from './contract.ts';
import { type EmbeddedLog, openEmbeddedLog } from './embedded-log.ts';

let dir: string;
let log: EmbeddedLog;
let warnings: AppError[];

beforeEach(async () => {
  dir = await mkdtemp(`${tmpdir()}/jitterscope-consumer-`);
  warnings = [];
  const observer = { warned: (warning: AppError) => void warnings.push(warning) };
  log = await openEmbeddedLog({ dir, topics: [{ name: 't', partitions: 3, maxBytes: 1e7, retain: 'oldest' }], commitMs: 1, observer });
});

afterEach(async () => {
  await log.close();
  await rm(dir, { recursive: true });
});

test('a partition changes hands only when its running handle has ended, and nothing is handled twice', async () => {
  for (let partition = 0; partition < 3; partition++)
    await log.append(
      't',
      partition,
      Array.from({ length: 50 }, (_, index) => text(`${index}`)),
    );
  const running = new Set<number>();
  const handled: string[] = [];
  const join = async () => {
    const consumer = await log.consume({
      group: 'g',
      topic: 't',
      maxBytes: 4096,
      handle: async (fetch) => {
        expect(running.has(fetch.partition)).toBe(false);
        running.add(fetch.partition);
        await new Promise((resolve) => setTimeout(resolve, 3));
        for (const { value } of fetch.messages) handled.push(`${fetch.partition}/${Buffer.from(value).toString()}`);
        await consumer.commit(fetch.partition, { offset: fetch.next, metadata: '' });
        running.delete(fetch.partition);
      },
    });
    return consumer;
  };
  const consumers = [await join()];
  for (let round = 0; round < 6; round++) {
    consumers.push(await join());
    for (let partition = 0; partition < 3; partition++) await log.append('t', partition, [text(`round ${round}`)]);
    if (round % 2 === 0) await consumers.shift()?.close();
  }
  await until(() => handled.length === 3 * 56);
  expect(new Set(handled).size).toBe(3 * 56);
  for (const consumer of consumers) await consumer.close();
});

test('a commit for a partition that was taken away is refused; in revoked it still counts', async () => {
  let revoked = false;
  const first = await log.consume({
    group: 'g',
    topic: 't',
    handle: async () => undefined,
    revoked: async (partition) => {
      if (partition !== 1) return;
      await first.commit(partition, { offset: 0, metadata: 'last words' });
      revoked = true;
    },
  });
  const second = await log.consume({ group: 'g', topic: 't', handle: async () => undefined });
  await until(() => revoked);
  expect(await log.committed('g', 't', 1)).toEqual({ offset: 0, metadata: 'last words' });
  await second.close();
  await first.close();
  await expect(first.commit(0, { offset: 0, metadata: '' })).rejects.toMatchObject({ code: 'BUS_NOT_ASSIGNED' });
});

test('when a member fails, the others take its partitions', async () => {
  const seen: number[] = [];
  const broken = await log.consume({ group: 'g', topic: 't', handle: () => Promise.reject(new Error('broken')) });
  const sound = await log.consume({ group: 'g', topic: 't', handle: async ({ partition }) => void seen.push(partition) });
  for (let partition = 0; partition < 3; partition++) await log.append('t', partition, [text('x')]);
  await expect(broken.finished).rejects.toThrow('broken');
  await until(() => new Set(seen).size === 3);
  await broken.close();
  await sound.close();
});

test('an assigned that fails ends the consumer with its error', async () => {
  const consumer = await log.consume({
    group: 'g',
    topic: 't',
    assigned: () => Promise.reject(new Error('no state')),
    handle: async () => undefined,
  });
  await expect(consumer.finished).rejects.toThrow('no state');
});

test('a handler that ignores its signal is left behind and reported', { timeout: 30_000 }, async () => {
  await log.append('t', 0, [text('x')]);
  let started = false;
  const consumer = await log.consume({
    group: 'g',
    topic: 't',
    handle: () => {
      started = true;
      return new Promise(() => undefined);
    },
  });
  await until(() => started);
  await consumer.close(10);
  expect(warnings).toMatchObject([{ code: 'BUS_HANDLER_STUCK' }]);
});

test('a revoked that fails is reported, and the partition is given up all the same', async () => {
  let assigned = 0;
  const consumer = await log.consume({
    group: 'g',
    topic: 't',
    assigned: async () => void assigned++,
    handle: async () => undefined,
    revoked: () => Promise.reject(new Error('state file')),
  });
  await until(() => assigned === 3);
  await consumer.close();
  expect(warnings.map(({ code }) => code)).toEqual(['BUS_REVOKED_FAILED', 'BUS_REVOKED_FAILED', 'BUS_REVOKED_FAILED']);
});
