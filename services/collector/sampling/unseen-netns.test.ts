import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UnseenNetns } from './unseen-netns.ts';

const unseenAfter = (...looks: number[][]): number => {
  const unseen = new UnseenNetns();
  for (const cookies of looks) unseen.look(cookies);
  return unseen.count;
};

test('numbers that are left out between namespaces made since the start are unseen', () => {
  expect(unseenAfter([1, 2], [1, 2, 3], [3, 4])).toBe(0);
  expect(unseenAfter([1], [1, 5], [5, 9], [9, 10, 14])).toBe(3 + 3);
  expect(unseenAfter([1], [9, 5])).toBe(3);
});

test('those that may have gone before the start are not counted', () => {
  expect(unseenAfter([1, 10])).toBe(0);
  expect(unseenAfter([1], [20])).toBe(0);
  expect(unseenAfter([], [20], [30])).toBe(9);
});

test('CPUs count by themselves, and what is no cookie is passed over', () => {
  expect(unseenAfter([1], [2, 4097], [2, 4098], [4100])).toBe(1);
  expect(unseenAfter([1], [4096], [4097])).toBe(0);
  expect(unseenAfter([1], [2], [4_026_532_246, 4_026_532_999, 2 ** 64 - 3])).toBe(0);
});

test('it never counts more than came and went, and never falls', () => {
  const life = fc.record({ seen: fc.boolean(), look: fc.boolean() });
  fc.assert(
    fc.property(fc.array(life, { maxLength: 200 }), (lives) => {
      const unseen = new UnseenNetns();
      unseen.look([1]);
      let gone = 0;
      let found: number[] = [];
      let before = 0;
      lives.forEach(({ seen, look }, i) => {
        if (seen) found.push(i + 2);
        else gone++;
        if (!look) return;
        unseen.look(found);
        found = [];
        expect(unseen.count).toBeLessThanOrEqual(gone);
        expect(unseen.count).toBeGreaterThanOrEqual(before);
        before = unseen.count;
      });
    }),
  );
});
