import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AppError } from '../../app-error.ts';
import type { Hole } from '../bus.ts';
import { text } from '../contract.ts';
import { readPartition } from './partition-reader.ts';
import { batchField } from './record-batch.ts';
import { logLink, type StoredBatch, storedBatch } from './test-broker.ts';

/** Reads a log to its end, or until the signal aborts. */
async function readLog(
  segments: readonly (readonly StoredBatch[])[],
  options: {
    readonly from?: number;
    readonly maxBytes?: number;
    readonly signal?: AbortSignal;
    readonly believes?: boolean;
    readonly told?: (failures: number) => void;
  } = {},
) {
  const link = logLink(segments, options.believes ?? false);
  const failures: AppError[] = [];
  const messages: string[] = [];
  const holes: Hole[] = [];
  const end = segments.at(-1)?.at(-1)?.next ?? 0;
  const { from = segments[0][0].base, maxBytes = 1024, signal, told = () => undefined } = options;
  const place = {
    topic: 'raw',
    partition: 0,
    from,
    link,
    offsets: async () => ({ earliest: 0, next: end }),
    seen: () => undefined,
    damaged: (hole: Hole) => void holes.push(hole),
    unknownCodec: async () => undefined,
    failed: (error: AppError) => void told(failures.push(error)),
  };
  let next = from;
  for await (const fetch of readPartition(place, { until: end, maxBytes, ...(signal && { signal }) })) {
    expect(fetch.next).toBeGreaterThan(next);
    next = fetch.next;
    messages.push(...fetch.messages.map(({ offset, value }) => `${offset} ${Buffer.from(value).toString()}`));
  }
  return { messages, holes, next, end, requests: link.requests, failures };
}

/** Messages of batches, as `readLog` gives them. */
function contentOf(batches: readonly StoredBatch[]): string[] {
  return batches.flatMap(({ base, next }) => Array.from({ length: next - base }, (_, index) => `${base + index} m${base + index}`));
}

async function logOf(first: number, counts: readonly (readonly number[])[]): Promise<StoredBatch[][]> {
  const segments: StoredBatch[][] = [];
  let base = first;
  for (const segment of counts) {
    const batches: StoredBatch[] = [];
    for (const count of segment) {
      const values = Array.from({ length: count }, (_, index) => text(`m${base + index}`));
      batches.push(await storedBatch(base, values, base % 3 === 0 ? 'snappy' : 'none'));
      base += count;
    }
    segments.push(batches);
  }
  return segments;
}

function flipped(batch: StoredBatch, bit: number): StoredBatch {
  const bytes = Buffer.from(batch.bytes);
  bytes[bit >> 3] ^= 1 << (bit & 7);
  return { ...batch, bytes };
}

test.each([
  ['on its way', false],
  ['on the disk of the broker, which looks for offsets by what is damaged', true],
])('a bit that is flipped %s costs messages of its own batch only, and the reader comes to the end', async (_, believes) => {
  const counts = fc.array(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 });
  const run = fc.record({
    counts,
    first: fc.nat({ max: 2 ** 34 }),
    place: fc.nat(),
    bit: fc.nat(),
    maxBytes: fc.integer({ min: 1, max: 2000 }),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ counts, first, place, bit, maxBytes }) => {
      const segments = await logOf(first, [...counts, [1]]);
      const all = segments.flat();
      // At the end of its log such a broker sends nothing until more comes: see the test of that.
      const damaged = all[place % (believes ? Math.max(1, all.length - 1) : all.length)];
      const isLastOfSegment = segments.some((segment) => segment.at(-1) === damaged);
      const bits = damaged.bytes.length * 8;
      // Where nothing follows that tells its base is wrong, it is believed (see the reader).
      const flip = isLastOfSegment && bit % bits < 64 ? 64 + (bit % (bits - 64)) : bit % bits;
      const log = segments.map((segment) => segment.map((batch) => (batch === damaged ? flipped(batch, flip) : batch)));
      const found = await readLog(log, { maxBytes, believes });
      const others = contentOf(all.filter((batch) => batch !== damaged));
      expect(found.messages.filter((message) => !contentOf([damaged]).includes(message))).toEqual(others);
      expect(found.next).toBe(found.end);
      const missing = contentOf(all).length - found.messages.length;
      expect(found.holes.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(missing);
    }),
    // Its first batch alone in its answer, with a base one too low: the reader begins there, and sees nothing else that tells.
    { numRuns: 300, examples: [[{ counts: [[6, 1], [1]], first: 1_013_978_909, place: 0, bit: 931_576_728, maxBytes: 1 }]] },
  );
});

test('a last batch that says it goes on for ever ends where its other numbers say, and never beyond the end of the log', async () => {
  const [[before, damaged], [after]] = await logOf(100, [[2, 3], [4]]);
  const endless = { ...damaged, bytes: Buffer.from(damaged.bytes) };
  endless.bytes.writeInt32BE(2 ** 31 - 2, batchField.lastOffsetDelta);
  const found = await readLog([[before, endless], [after]]);
  expect(found.messages).toEqual(contentOf([before, after]));
  expect(found.holes).toEqual([{ from: 102, to: 105, reason: 'damaged' }]);
  const last = await readLog([[before, endless]]);
  expect([last.next, last.end]).toEqual([105, 105]);
});

test('what is asked for in the middle of a damaged batch ends with it', async () => {
  const [[damaged, after]] = await logOf(7, [[5, 2]]);
  const found = await readLog([[flipped(damaged, 8 * (damaged.bytes.length - 3)), after]], { from: 10 });
  expect(found.messages).toEqual(contentOf([after]));
  expect(found.holes).toEqual([{ from: 10, to: 12, reason: 'damaged' }]);
});

test('bytes of which nothing can be told, and a broker that sends none of what it has, are told, and asked for again', async () => {
  const rubbish = { base: 3, next: 9, bytes: Buffer.from('too short for a batch') };
  const [[, hidden]] = await logOf(3, [[2, 4]]);
  // The broker takes it for one that ends before what is asked for.
  hidden.bytes.writeBigInt64BE(0n, batchField.baseOffset);
  for (const [segment, believes] of [
    [rubbish, false],
    [hidden, true],
  ] as const) {
    const stop = new AbortController();
    const found = await readLog([[segment]], { believes, signal: stop.signal, told: (failures) => failures === 2 && stop.abort() });
    expect(found.failures.map(({ code, retryable }) => [code, retryable])).toEqual([
      ['KAFKA_NO_PROGRESS', true],
      ['KAFKA_NO_PROGRESS', true],
    ]);
    expect([found.messages, found.holes]).toEqual([[], []]);
  }
});

test('a log that is whole is read with one request for each answer', async () => {
  const segments = await logOf(0, [
    [3, 1, 2],
    [1, 1],
  ]);
  const found = await readLog(segments);
  expect([found.messages, found.requests, found.holes]).toEqual([contentOf(segments.flat()), 2, []]);
});
