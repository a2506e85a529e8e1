import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deal, decodeAssignment, encodeAssignment, encodeMember, ownedOf } from './assignment.ts';

const members = fc.uniqueArray(fc.record({ memberId: fc.uuid(), owned: fc.array(fc.nat({ max: 40 }), { maxLength: 40 }) }), {
  minLength: 1,
  maxLength: 9,
  selector: ({ memberId }) => memberId,
});

test('every partition goes to one member, and no one has two more than another', () => {
  fc.assert(
    fc.property(members, fc.integer({ min: 1, max: 40 }), (all, partitions) => {
      const dealt = deal(all, partitions);
      const sizes = [...dealt.values()].map((mine) => mine.length);
      expect([...dealt.values()].flat().sort((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, index) => index));
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      expect([...dealt.keys()].sort()).toEqual(all.map(({ memberId }) => memberId).sort());
    }),
  );
});

test('who joins or leaves moves no more partitions than it must', () => {
  const two = deal(
    [
      { memberId: 'a', owned: [0, 1, 2, 3, 4, 5] },
      { memberId: 'b', owned: [] },
    ],
    6,
  );
  expect(two).toEqual(
    new Map([
      ['a', [0, 1, 2]],
      ['b', [3, 4, 5]],
    ]),
  );
  expect(deal([{ memberId: 'b', owned: [3, 4, 5] }], 6)).toEqual(new Map([['b', [3, 4, 5, 0, 1, 2]]]));
});

test('what members tell each other comes back', () => {
  expect(ownedOf(encodeMember('t', [3, 5]))).toEqual([3, 5]);
  expect(ownedOf(Buffer.from('rubbish'))).toEqual([]);
  expect(decodeAssignment('t', encodeAssignment('t', [1, 2]))).toEqual([1, 2]);
  expect(decodeAssignment('u', encodeAssignment('t', [1, 2]))).toEqual([]);
});
