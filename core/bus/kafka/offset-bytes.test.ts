import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetBytes } from './offset-bytes.ts';

test('what was written is told to the byte, what was not is taken for as large', () => {
  const known = new OffsetBytes();
  expect([known.isEmpty, known.estimate(0, 100), known.estimate(0, 100, 7)]).toEqual([true, 0, 700]);
  known.note(10, 20, 1_000);
  known.note(20, 40, 200);
  expect(known.estimate(10, 40)).toBe(1_200);
  expect(known.estimate(15, 25)).toBe(550);
  // 30 messages have 1,200 bytes: 40 each.
  expect(known.estimate(0, 50)).toBe(1_200 + 20 * 40);
  known.note(12, 30, 99_999);
  expect(known.estimate(10, 40)).toBe(1_200);
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
