import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SkippedRanges, uncovered } from './skipped-ranges.ts';

test.each([
  [
    'neighbours join',
    [
      [0, 5, 'a'],
      [5, 5, 'a'],
    ],
    [[0, 10, 'a']],
  ],
  [
    'in any order',
    [
      [5, 5, 'a'],
      [0, 5, 'a'],
    ],
    [[0, 10, 'a']],
  ],
  [
    'a range between two joins both',
    [
      [0, 5, 'a'],
      [10, 5, 'a'],
      [5, 5, 'a'],
    ],
    [[0, 15, 'a']],
  ],
  [
    'overlaps count once',
    [
      [0, 6, 'a'],
      [3, 7, 'a'],
    ],
    [[0, 10, 'a']],
  ],
  [
    'reasons stay apart',
    [
      [0, 5, 'a'],
      [5, 5, 'b'],
    ],
    [
      [0, 5, 'a'],
      [5, 5, 'b'],
    ],
  ],
  [
    'an item keeps its first reason',
    [
      [2, 2, 'b'],
      [0, 6, 'a'],
    ],
    [
      [0, 2, 'a'],
      [2, 2, 'b'],
      [4, 2, 'a'],
    ],
  ],
  [
    'what lies between is not covered',
    [
      [0, 5, 'a'],
      [6, 5, 'a'],
    ],
    [
      [0, 5, 'a'],
      [6, 5, 'a'],
    ],
  ],
  ['nothing is no range', [[4, 0, 'a']], []],
] as const)('%s', (_, added, expected) => {
  const ranges = new SkippedRanges();
  for (const [firstItem, count, reason] of added) ranges.add(firstItem, count, reason);
  expect(ranges.take().map(({ firstItem, count, reason }) => [firstItem, count, reason])).toEqual(expected);
  expect(ranges.size).toBe(0);
});

test('one batch takes a bounded number of ranges; the others follow, none is lost', () => {
  const ranges = new SkippedRanges();
  for (let n = 0; n < 3000; n++) ranges.add(n * 2, 1, 'disk_full');
  expect(ranges.items).toBe(3000);
  const taken: number[][] = [];
  while (ranges.size > 0) taken.push(ranges.take().map(({ firstItem }) => firstItem ?? 0));
  expect(taken.map((part) => part.length)).toEqual([1024, 1024, 952]);
  expect(taken.flat()).toEqual(Array.from({ length: 3000 }, (_, n) => n * 2));
});

test('whatever is added, exactly those items are covered, in order, each once', () => {
  const range = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 12 }), fc.constantFrom('a', 'b'));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), (added) => {
      const ranges = new SkippedRanges();
      const reasons = new Map<number, string>();
      for (const [first, count, reason] of added) {
        ranges.add(first, count, reason);
        for (let item = first; item < first + count; item++) if (!reasons.has(item)) reasons.set(item, reason);
      }
      const free = uncovered(0, 100, ranges.all).flatMap(({ from, to }) => Array.from({ length: to - from }, (_, n) => from + n));
      expect(free).toEqual(Array.from({ length: 100 }, (_, item) => item).filter((item) => !reasons.has(item)));
      const taken = ranges.take();
      const items = taken.flatMap((one) => Array.from({ length: one.count ?? 0 }, (_, n) => [(one.firstItem ?? 0) + n, one.reason]));
      expect(items).toEqual([...reasons].sort(([a], [b]) => a - b));
      for (const [at, { firstItem, reason }] of taken.entries()) {
        const before = taken[at - 1];
        if (before?.reason === reason) expect((before.firstItem ?? 0) + (before.count ?? 0)).toBeLessThan(firstItem ?? 0);
      }
    }),
  );
});
