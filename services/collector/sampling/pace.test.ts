import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

test('a cheap cycle keeps the interval, a dear one stretches it to 1.5 % of a core, and no further than 10 s', () => {
  const cheap = new Pace(2000);
  expect([cheap.cycleCost(20), cheap.intervalMs]).toEqual([false, 2000]);
  const dear = new Pace(2000);
  expect([dear.cycleCost(70), Math.round(dear.intervalMs)]).toEqual([true, 6667]);
  const dearest = new Pace(2000);
  expect([dearest.cycleCost(1000), dearest.intervalMs]).toEqual([true, 10_000]);
  expect(new Pace(30_000).intervalMs).toBe(30_000);
});

test('it comes back when cycles are cheap again, and one slow cycle alone changes little', () => {
  const pace = new Pace(2000);
  for (let i = 0; i < 20; i++) pace.cycleCost(70);
  pace.cycleCost(105);
  expect(pace.intervalMs).toBeLessThan(8000);
  for (let i = 0; i < 30; i++) pace.cycleCost(1);
  expect(pace.intervalMs).toBe(2000);
});

test('whatever cycles cost, the interval stays in its bounds and settles near the share', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 50 }),
      fc.integer({ min: 100, max: 20_000 }),
      (costs, least) => {
        const pace = new Pace(least);
        for (const cost of costs) pace.cycleCost(cost);
        expect(pace.intervalMs).toBeGreaterThanOrEqual(least);
        expect(pace.intervalMs).toBeLessThanOrEqual(Math.max(least, 10_000));
      },
    ),
  );
});

test('an interval that is configured anew holds at once, as far as the cost allows', () => {
  const pace = new Pace(60_000);
  pace.setLeast(2000);
  expect(pace.intervalMs).toBe(2000);
  pace.cycleCost(52.5);
  pace.setLeast(100);
  expect(Math.round(pace.intervalMs)).toBe(5000);
  pace.setLeast(30_000);
  expect(pace.intervalMs).toBe(30_000);
});
