import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetSet } from './offset-set.ts';

/** Within one chunk, over the edges of several, and far away. */
const offset = fc.oneof(fc.nat({ max: 100 }), fc.integer({ min: 8_100, max: 8_300 }), fc.integer({ min: 2 ** 50, max: 2 ** 50 + 50 }));
const length = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 30_000 }), fc.constant(2 ** 51));

test('it holds what was added and not deleted, in any order', () => {
  const step = fc.oneof(fc.record({ add: offset }), fc.record({ delete: offset, length }), fc.record({ within: offset, length }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const set = new OffsetSet();
      const model = new Set<number>();
      const inRange = (from: number, count: number) => [...model].filter((found) => found >= from && found < from + count);
      for (const one of steps) {
        if ('add' in one) {
          set.add(one.add);
          model.add(one.add);
        } else if ('delete' in one) {
          const gone = inRange(one.delete, one.length);
          expect(set.delete(one.delete, one.delete + one.length)).toBe(gone.length);
          for (const found of gone) model.delete(found);
        } else {
          const found = [...set.within(one.within, one.within + one.length)];
          expect(found.sort((a, b) => a - b)).toEqual(inRange(one.within, one.length).sort((a, b) => a - b));
        }
        expect(set.size).toBe(model.size);
        expect(set.first()).toBe(model.size === 0 ? undefined : Math.min(...model));
      }
      for (const found of model) expect(set.has(found)).toBe(true);
      for (let found = 0; found < 200; found++) expect(set.has(found)).toBe(model.has(found));
    }),
  );
});

test('what is in use may be deleted while it is gone through', () => {
  const set = new OffsetSet();
  for (let offset = 0; offset < 20_000; offset += 3) set.add(offset);
  let seen = 0;
  for (const offset of set.within(0, 20_000)) {
    set.delete(offset);
    seen++;
  }
  expect([seen, set.size, set.first()]).toEqual([6_667, 0, undefined]);
});
