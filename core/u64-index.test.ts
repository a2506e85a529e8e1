import fc from 'fast-check';
import { expect, test } from 'vitest';
import { U64Index } from './u64-index.ts';

// Few distinct halves, so that keys meet in one slot and differ in one half alone.
const half = fc.oneof(
  fc.constantFrom(0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff),
  fc.nat({ max: 300 }),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
);

test('it answers as a map does, for any keys and through every growth', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(half, half, fc.nat({ max: 2 ** 31 - 1 })), { maxLength: 400 }),
      fc.array(fc.tuple(half, half)),
      (sets, gets) => {
        const index = new U64Index();
        const naive = new Map<string, number>();
        for (const [lo, hi, value] of sets) {
          index.set(lo, hi, value);
          naive.set(`${lo}/${hi}`, value);
          expect(index.get(lo, hi)).toBe(value);
        }
        expect(index.size).toBe(naive.size);
        for (const [lo, hi] of [...gets, ...sets]) expect(index.get(lo, hi)).toBe(naive.get(`${lo}/${hi}`) ?? -1);
      },
    ),
  );
});

test('halves may be signed or unsigned: they are the same 32 bits', () => {
  const index = new U64Index();
  index.set(0xffffffff, 0x80000000, 7);
  expect(index.get(-1, -0x80000000)).toBe(7);
});

test('100,000 neighbouring keys are found', () => {
  const index = new U64Index();
  for (let key = 0; key < 100_000; key++) index.set(key, 1, key);
  expect(index.size).toBe(100_000);
  for (let key = 0; key < 100_000; key++) if (index.get(key, 1) !== key) throw new Error(`key ${key}: found ${index.get(key, 1)}`);
  expect(index.get(5, 0)).toBe(-1);
});
