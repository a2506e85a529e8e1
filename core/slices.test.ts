import fc from 'fast-check';
import { expect, test } from 'vitest';
import { slices } from './slices.ts';

test('slices together are all items in order, all of them full but the last one', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 10 }), (items, length) => {
      const cut = [...slices(items, length)];
      expect(cut.flat()).toEqual(items);
      expect(cut.slice(0, -1).every((slice) => slice.length === length)).toBe(true);
      expect(cut.every((slice) => slice.length > 0)).toBe(true);
    }),
  );
});
