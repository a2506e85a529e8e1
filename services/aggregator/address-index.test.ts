import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressIndex, wordsOf } from './address-index.ts';

interface Held {
  address: number[];
  entity: number;
  from: number;
  to: number;
}

const byte = fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff);
const address = fc.oneof(
  fc.array(byte, { minLength: 16, maxLength: 16 }),
  fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 255 })).map(([c, d]) => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 244, c, d]),
);
const held = fc.record({
  address,
  entity: fc.nat({ max: 4 }),
  from: fc.nat({ max: 100 }),
  to: fc.oneof(fc.constant(Infinity), fc.nat({ max: 200 })),
});

/** What the index must say: everyone whose interval holds the time. */
function naive(all: readonly Held[], wanted: readonly number[], at: number): number {
  const key = wanted.join();
  const holders = new Set(all.filter((h) => h.address.join() === key && at >= h.from && at < h.to).map((h) => h.entity));
  return holders.size === 0 ? -1 : holders.size > 1 ? -2 : [...holders][0];
}

test('it finds the holder of an address at a time as a list does', () => {
  fc.assert(
    fc.property(fc.array(held, { maxLength: 200 }), fc.array(fc.tuple(address, fc.nat({ max: 220 })), { maxLength: 50 }), (all, asked) => {
      const index = new AddressIndex();
      for (const h of all) index.add(Uint8Array.from(h.address), h.entity, h.from, h.to);
      const askedToo = all.map((h): [number[], number] => [h.address, h.from]);
      for (const [wanted, at] of [...asked, ...askedToo]) {
        const [w0, w1, w2, w3] = wordsOf(Uint8Array.from(wanted));
        expect(index.holderAt(w0, w1, w2, w3, at)).toBe(naive(all, wanted, at));
      }
    }),
  );
});

test('an address is found by signed and by unsigned words', () => {
  const index = new AddressIndex();
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
  index.add(bytes, 3, 0, Infinity);
  const words = wordsOf(bytes);
  const [w0, w1, w2, w3] = words.map((word) => word >>> 0);
  expect(words.every((word) => word < 0)).toBe(true);
  expect(index.holderAt(w0, w1, w2, w3, 1)).toBe(3);
});

test('an address inside of a larger array is read from its own place', () => {
  const large = Uint8Array.from({ length: 40 }, (_, i) => i);
  expect(wordsOf(large.subarray(5, 21))).toEqual(wordsOf(Uint8Array.from(large.subarray(5, 21))));
});
