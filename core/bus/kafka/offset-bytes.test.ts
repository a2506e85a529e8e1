import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetBytes, SeenBytes } from './offset-bytes.ts';

test('what was written is told to the byte, what was not is taken for as large', () => {
  const known = new OffsetBytes();
  expect(known.estimate(0, 100)).toBe(0);
  known.note(10, 20, 1_000);
  known.note(20, 40, 200);
  expect(known.estimate(10, 40)).toBe(1_200);
  expect(known.estimate(15, 25)).toBe(550);
  // 30 messages have 1,200 bytes: 40 each.
  expect(known.estimate(0, 50)).toBe(1_200 + 20 * 40);
  known.note(12, 30, 99_999);
  expect(known.estimate(10, 40)).toBe(1_200);
  // Of what is read later below, only what is new counts.
  known.note(0, 20, 2_000);
  expect(known.estimate(0, 40)).toBe(1_000 + 1_200);
  known.note(5, 6, 99_999);
  expect(known.estimate(0, 40)).toBe(2_200);
  known.trim(20);
  expect([known.estimate(20, 40), known.meanBytes]).toEqual([200, 10]);
  known.trim(1_000);
  expect(known.meanBytes).toBe(10);
});

test('of however many batches of whatever size the sum stays exact, and a part is not off by more than its neighbours', () => {
  const batches = fc.array(fc.record({ count: fc.integer({ min: 1, max: 50 }), bytes: fc.integer({ min: 1, max: 5_000 }) }), {
    minLength: 1,
    maxLength: 400,
  });
  fc.assert(
    fc.property(batches, (list) => {
      const known = new OffsetBytes();
      let [next, total] = [0, 0];
      for (const { count, bytes } of list) {
        known.note(next, next + count, bytes);
        next += count;
        total += bytes;
      }
      expect(Math.abs(known.estimate(0, next) - total)).toBeLessThanOrEqual(1);
      const half = Math.floor(next / 2);
      expect(Math.abs(known.estimate(0, half) + known.estimate(half, next) - total)).toBeLessThanOrEqual(2);
    }),
  );
});

test('ranges in any order are known once each, and the sum of the topic is that of its partitions', () => {
  const range = fc.record({ from: fc.nat(3_000), messages: fc.integer({ min: 1, max: 30 }) });
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 300 }), fc.nat(3_000), (ranges, earliest) => {
      const topic = new SeenBytes();
      const logs = [new OffsetBytes(topic), new OffsetBytes(topic)];
      for (const [index, { from, messages }] of ranges.entries()) logs[index % 2].note(from, from + messages, messages * 70);
      for (const log of logs) expect(log.estimate(0, 3_030)).toBeGreaterThanOrEqual(log.end === 0 ? 0 : 3_030 * 70 - 1);
      expect(topic.meanBytes).toBeCloseTo(70, 6);
      logs[0].trim(earliest);
      logs[0].clear();
      expect([logs[0].end, topic.isEmpty]).toEqual([0, logs[1].end === 0]);
      logs[1].clear();
      expect([topic.isEmpty, topic.meanBytes]).toEqual([true, 0]);
    }),
  );
});

test('a first message that is much larger than the others is outweighed by what is looked at besides', () => {
  const known = new OffsetBytes();
  const sizeOf = (offset: number): number => (offset === 0 ? 262_144 : 500);
  known.note(0, 1, sizeOf(0));
  expect(known.estimate(0, 5_000)).toBeGreaterThan(2 ** 30);
  let looks = 0;
  for (let places = known.unsure(0, 5_000, 16); places.length > 0; places = known.unsure(0, 5_000, 16)) {
    for (const offset of places) known.note(offset, Math.min(5_000, offset + 32), Math.min(32, 5_000 - offset) * 500);
    expect(++looks).toBeLessThan(20);
  }
  expect(known.estimate(0, 5_000)).toBeLessThan(5_000 * 1_000);
  // What was written meanwhile is not asked for.
  known.note(5_000, 20_000, 15_000 * 500);
  expect(known.unsure(0, 20_000, 16)).toEqual([]);
});
