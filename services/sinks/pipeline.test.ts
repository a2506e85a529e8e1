import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../../core/app-error.ts';
import { createLog } from '../../core/log.ts';
import { DeadLetter, topics } from '../../proto/bus.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import { delivering } from './delivery.ts';
import { openFileSink } from './file/index.ts';
import { type Dispositions, newDeliveryCounters, newDispositions } from './metrics.ts';
import { startPipeline } from './pipeline.ts';
import { decodePosition } from './position.ts';
import type { Sink } from './sink.ts';
import { Life, TestBus, TestBusData } from './test-bus.ts';
import { encodeEvents, idOf, lineOf } from './test-events.ts';

const log = createLog('silent');
const group = `sink-test/${topics.events}`;
const policy = { initialMs: 0.01, maxMs: 0.02, pauseMs: 0.01 };
const observer = { retrying: () => undefined, paused: () => undefined, delivering: () => undefined };

/** One message of a stream: `back` events again, then `count` new ones; or something that cannot be read. */
type Step = { readonly back: number; readonly count: number } | 'poison' | 'damaged';

const stream = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ back: fc.constantFrom(0, 0, 0, 1, 7), count: fc.integer({ min: 0, max: 6 }) }) },
    { weight: 1, arbitrary: fc.constantFrom<Step>('poison', 'damaged') },
  ),
  { maxLength: 12 },
);

/** The stream's messages, and what has to become of them when the store refuses every `refused`th event. */
function messagesOf(steps: readonly Step[], refused = Number.POSITIVE_INFINITY) {
  const messages: (Uint8Array | undefined)[] = [];
  const delivered: number[] = [];
  const expected: Dispositions = newDispositions();
  let next = 0;
  let read = 0;
  let hole: 'damaged' | 'undecodable' = 'damaged';
  for (const step of steps) {
    if (typeof step === 'string') {
      // Three events were in the message that cannot be read.
      hole = step === 'poison' ? 'undecodable' : 'damaged';
      messages.push(step === 'poison' ? Buffer.from('poison') : undefined);
      if (step === 'poison') expected.undecodableMessages++;
      next += 3;
      continue;
    }
    const first = Math.max(0, read - step.back);
    const isWhole = read === next;
    const from = isWhole ? first : next;
    messages.push(encodeEvents(from, next + step.count - from));
    expected.in += next + step.count - from;
    expected.repeat += isWhole ? next - from : 0;
    if (step.count > 0) expected.lost[hole] += next - read;
    for (let number = next; number < next + step.count; number++) {
      if (number % refused === refused - 1) expected.rejected++;
      else delivered.push(number);
    }
    next += step.count;
    if (step.count > 0) read = next;
  }
  expected.delivered = delivered.length;
  return { messages, delivered, expected };
}

/** One life, killed after some steps. Resolves with how many events it counted as possibly stored twice. */
async function liveOnce(data: TestBusData, steps: number, perFetch: number, open: (life: Life) => Promise<Sink>): Promise<number> {
  const life = new Life(steps);
  const counters = newDeliveryCounters();
  const sink = delivering(await open(life), { name: 'test', policy, counters, observer, maxBytes: 1 << 20 });
  const consumer = await startPipeline({ name: 'test', bus: new TestBus(data, life, perFetch), sink, counters, log });
  await Promise.race([consumer.finished, life.died]);
  return counters.possiblyDuplicatedEvents;
}

/** Lives one after the other over the same data; the last one runs to the end. Resolves as liveOnce, for all of them. */
async function live(data: TestBusData, kills: readonly number[], perFetch: number, open: (life: Life) => Promise<Sink>): Promise<number> {
  let counted = 0;
  for (const steps of [...kills, Number.POSITIVE_INFINITY]) counted += await liveOnce(data, steps, perFetch, open);
  return counted;
}

const kills = fc.array(fc.nat({ max: 14 }), { maxLength: 6 });

test('a file holds each event once and the counts are those of one clean run, wherever the process was killed', async () => {
  await fc.assert(
    fc.asyncProperty(stream, kills, fc.integer({ min: 1, max: 4 }), async (steps, points, perFetch) => {
      const dir = await mkdtemp(join(tmpdir(), 'jitterscope-pipeline-'));
      try {
        const { messages, delivered, expected } = messagesOf(steps);
        const data = new TestBusData();
        data.messages(topics.events, 0).push(...messages);
        const opened: Sink[] = [];
        await live(data, points, perFetch, async (life) => {
          const file = await openFileSink({ dir, maxFileBytes: 600, maxFiles: 999, gzip: false, log });
          opened.push(file);
          return {
            check: () => file.check(),
            close: () => file.close(),
            delivered: (partition) => file.delivered(partition),
            deliver: (batch, signal) => life.run(() => file.deliver(batch, signal)),
          };
        });
        const names = (await readdir(dir)).filter((name) => name.endsWith('.ndjson')).sort();
        const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')));
        expect(texts.join('')).toBe(delivered.map(lineOf).join(''));
        if (messages.length > 0) expect(decodePosition(data.commits.get(group)?.metadata ?? '')?.dispositions).toEqual(expected);
        const letters = data.messages(topics.deadLetters, 0).map((letter) => DeadLetter.decode(letter as Uint8Array).offset);
        expect(new Set(letters).size).toBe(expected.undecodableMessages);
        await Promise.all(opened.map((sink) => sink.close()));
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    }),
    { numRuns: 150 },
  );
}, 120_000);

const refusal = new AppError('REFUSED', { message: 'refused', retryable: false, remedy: '' }, {});

/** A store that has no place for its position, but can be asked what it holds; it refuses every fifth event. */
function askedStore(stored: string[], life: Life): Sink {
  return {
    check: async () => undefined,
    close: async () => undefined,
    find: () => life.run(async () => new Set(stored)),
    deliver: ({ view, items }) =>
      life.run(async () => {
        const rejected: { item: number; error: AppError }[] = [];
        items.forEach((row, item) => {
          if (Number(view.id(row).split('-')[1]) % 5 === 4) rejected.push({ item, error: refusal });
          else stored.push(view.id(row));
        });
        return { rejected };
      }),
  };
}

test('a store that can be asked holds each event once, and the DLQ what it refuses, wherever the process was killed', async () => {
  await fc.assert(
    fc.asyncProperty(stream, kills, fc.integer({ min: 1, max: 4 }), async (steps, points, perFetch) => {
      const { messages, delivered, expected } = messagesOf(steps, 5);
      const data = new TestBusData();
      data.messages(topics.events, 0).push(...messages);
      const stored: string[] = [];
      await live(data, points, perFetch, async (life) => askedStore(stored, life));
      expect(stored).toEqual(delivered.map(idOf));
      if (messages.length > 0) expect(decodePosition(data.commits.get(group)?.metadata ?? '')?.dispositions).toEqual(expected);
      // A kill can bury the same event twice; it is the same by its id, and comes whole out of its payload.
      const letters = data.messages(topics.deadLetters, 0).map((letter) => DeadLetter.decode(letter as Uint8Array));
      const events = letters.filter(({ eventId }) => eventId !== '');
      expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(expected.rejected);
      for (const { eventId, code, payload, offset } of events) {
        const view = decodeEventBatch(payload);
        expect([view.count, view.id(0), code]).toEqual([1, eventId, 'REFUSED']);
        const source = decodeEventBatch(messages[offset] as Uint8Array);
        expect(Array.from({ length: source.count }, (_, row) => source.id(row))).toContain(eventId);
      }
    }),
    { numRuns: 300 },
  );
}, 120_000);

/** A store that may not be asked what it holds, and takes two events at a time. */
function silentStore(stored: string[], life: Life): Sink {
  return {
    check: async () => undefined,
    close: async () => undefined,
    find: async () => undefined,
    async deliver({ view, items }) {
      for (let at = 0; at < items.length; at += 2)
        await life.run(async () => void stored.push(...[...items.subarray(at, at + 2)].map((row) => view.id(row))));
      return {};
    },
  };
}

test('a store that may not be asked gets each event; what it may hold twice is counted: of each kill the fetch that was begun, and no more', async () => {
  await fc.assert(
    fc.asyncProperty(stream, kills, fc.integer({ min: 1, max: 4 }), async (steps, points, perFetch) => {
      const { messages, delivered } = messagesOf(steps);
      const data = new TestBusData();
      data.messages(topics.events, 0).push(...messages);
      const stored: string[] = [];
      const counted = await live(data, points, perFetch, async (life) => silentStore(stored, life));
      expect([...new Set(stored)].sort()).toEqual(delivered.map(idOf).sort());
      const twice = stored.length - delivered.length;
      expect(twice).toBeLessThanOrEqual(counted);
      const newEvents = steps.map((step) => (typeof step === 'string' ? 0 : step.count));
      const ofFetch = Math.max(0, ...newEvents.map((_, at) => newEvents.slice(at, at + perFetch).reduce((sum, count) => sum + count, 0)));
      expect(counted).toBeLessThanOrEqual(points.length * ofFetch);
    }),
    { numRuns: 500 },
  );
}, 120_000);

test('what lives before had begun is doubtful until it is committed, however fetches are cut; what none had begun is not', async () => {
  const data = new TestBusData();
  data.messages(topics.events, 0).push(...[0, 1, 2, 3, 4, 5].map((number) => encodeEvents(number, 1)));
  const stored: string[] = [];
  const once = (steps: number, perFetch: number) => liveOnce(data, steps, perFetch, async (life) => silentStore(stored, life));
  const committed = () => {
    const { offset, metadata = '' } = data.commits.get(group) ?? {};
    return [offset, decodePosition(metadata)?.begun];
  };
  // Four were begun, two of them are stored.
  expect([await once(4, 4), committed(), stored.length]).toEqual([0, [0, 4], 2]);
  // The first one is sent again and committed.
  expect([await once(3, 1), committed(), stored.length]).toEqual([1, [1, 4], 3]);
  // The rest, in one go.
  expect([await once(Number.POSITIVE_INFINITY, 6), committed(), stored.length]).toEqual([3, [6, undefined], 8]);
  expect(await once(Number.POSITIVE_INFINITY, 6)).toBe(0);
});

test.each([
  { what: 'the first ones', held: [0, 1, 2] },
  { what: 'those in the middle, as it removed the oldest by itself', held: [2, 3] },
  { what: 'all', held: [0, 1, 2, 3, 5] },
  { what: 'none', held: [] },
])('where the commits were lost and the store holds $what, it gets nothing twice, whoever has the partition next', async ({ held }) => {
  const data = new TestBusData();
  data.messages(topics.events, 0).push(...[0, 1, 2, 3, 4, 5].map((number) => encodeEvents(number, 1)));
  // What another version wrote, or a hand.
  data.commits.set(group, { offset: 0, metadata: '' });
  const stored = held.map(idOf);
  const lives: number[] = [];
  // Each begins, sends and commits a fetch at most; one of them is killed in between.
  for (const steps of [3, 4, 2, 5, 4, Number.POSITIVE_INFINITY])
    lives.push(await liveOnce(data, steps, 1, async (life) => askedStore(stored, life)));
  expect([stored.sort(), lives]).toEqual([[0, 1, 2, 3, 5].map(idOf), [0, 0, 0, 0, 0, 0]]);
  expect(decodePosition(data.commits.get(group)?.metadata ?? '')).toMatchObject({ begun: undefined, guessed: undefined });
});

test('where the commits were lost and the store may not be asked, what was begun since is counted, and no more', async () => {
  const data = new TestBusData();
  data.messages(topics.events, 0).push(...[0, 1, 2, 3, 4, 5].map((number) => encodeEvents(number, 1)));
  const stored: string[] = [];
  const once = (steps: number) => liveOnce(data, steps, 2, async (life) => silentStore(stored, life));
  // The first one is killed in its first fetch, of two events.
  expect([await once(3), stored.length]).toEqual([0, 2]);
  expect([await once(Number.POSITIVE_INFINITY), stored.length]).toEqual([2, 8]);
});

test('metadata of a commit fits the 4 KiB of the bus, with every count at its largest', async () => {
  const data = new TestBusData();
  data.messages(topics.events, 0).push(encodeEvents(0, 5), Buffer.from('poison'));
  await live(data, [], 10, async (life) => askedStore([], life));
  const { metadata = '' } = data.commits.get(group) ?? {};
  const largest = JSON.stringify(JSON.parse(metadata), (_key, value: unknown) =>
    typeof value === 'number' && value !== 1 ? Number.MAX_SAFE_INTEGER : value,
  );
  expect(Buffer.byteLength(largest)).toBeLessThan(1024);
  expect(decodePosition(largest)).toBeDefined();
});

test('a bus that was deleted does not make the file sink skip the events of the new one', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-pipeline-'));
  try {
    const run = async (first: number, count: number) => {
      const data = new TestBusData();
      data.messages(topics.events, 0).push(encodeEvents(first, count, 0));
      const sink = await openFileSink({ dir, maxFileBytes: 1 << 20, maxFiles: 20, gzip: false, log });
      await live(data, [], 10, async () => sink);
      await sink.close();
    };
    await run(100, 10);
    await run(0, 5);
    expect(await readFile(join(dir, '0-000001.ndjson'), 'utf8')).toBe(
      [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 0, 1, 2, 3, 4].map(lineOf).join(''),
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
