import fc from 'fast-check';
import { expect, test } from 'vitest';
import { instantOf, millisOf, nanosOf, wallNow } from './time.ts';

test('nanoseconds and instants are the same, below zero too', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 80n) / 1_000_000n, max: 2n ** 63n }), (ns) => {
      const instant = instantOf(ns);
      expect(nanosOf(instant)).toBe(ns);
      expect(instant.nanos).toBeGreaterThanOrEqual(0);
      expect(instant.nanos).toBeLessThan(1e9);
      expect(Number.isInteger(instant.seconds)).toBe(true);
    }),
  );
});

test.each([
  [-1n, { seconds: -1, nanos: 999_999_999 }],
  [-1_000_000_000n, { seconds: -1, nanos: 0 }],
  [0n, { seconds: 0, nanos: 0 }],
  [1_790_000_000_123_456_789n, { seconds: 1_790_000_000, nanos: 123_456_789 }],
])('%s ns is %j', (ns, instant) => {
  expect(instantOf(ns)).toEqual(instant);
});

test('milliseconds are rounded down', () => {
  expect(millisOf({ seconds: 2, nanos: 1_999_999 })).toBe(2001);
  expect(millisOf({ seconds: -1, nanos: 999_999_999 })).toBe(-1);
});

test('the wall clock is that of the machine', () => {
  const before = Date.now();
  const now = millisOf(wallNow());
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(Date.now());
});
