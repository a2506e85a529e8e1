import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SettledOffsets } from './settled-offsets.ts';

const range = fc.tuple(fc.nat({ max: 60 }), fc.integer({ min: 1, max: 8 }));

test('what was settled is settled, and nothing else, also after it was written and read', () => {
  fc.assert(
    fc.property(fc.nat({ max: 20 }), fc.array(range, { maxLength: 12 }), fc.nat({ max: 80 }), (next, ranges, earliest) => {
      const settled = new SettledOffsets(next);
      const model = new Set(Array.from({ length: next }, (_, offset) => offset));
      for (const [from, length] of ranges) {
        settled.add(from, from + length);
        for (let offset = from; offset < from + length; offset++) model.add(offset);
      }
      const read = SettledOffsets.decode(settled.next, settled.text);
      for (let offset = 0; offset < 90; offset++) {
        expect(settled.has(offset)).toBe(model.has(offset));
        expect(read.has(offset)).toBe(model.has(offset));
      }
      // No offset below next is open, and next itself is.
      expect(model.has(settled.next)).toBe(false);
      const open = Array.from({ length: 90 }, (_, offset) => offset).filter((offset) => offset >= earliest && !model.has(offset));
      expect(settled.open(earliest, 90)).toBe(open.length);
    }),
  );
});

test.each(['', 'rubbish', '{"position":1}', '1.5', '-3', '1e9'])('text that is none counts as empty: %j', (text) => {
  const settled = SettledOffsets.decode(7, text);
  expect([settled.next, settled.text]).toEqual([7, '']);
});
