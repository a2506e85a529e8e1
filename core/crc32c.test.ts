import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nativeOrUndefined } from '../native/index.ts';
import { crc32c, crc32cJs } from './crc32c.ts';

const bytes = (length: number, at: (index: number) => number): Uint8Array => Uint8Array.from({ length }, (_, index) => at(index));

// RFC 3720, appendix B.4; the last one is the check value that catalogues give.
test.each([
  ['32 zeros', bytes(32, () => 0), 0x8a9136aa],
  ['32 ones', bytes(32, () => 255), 0x62a8ab43],
  ['32 rising', bytes(32, (index) => index), 0x46dd794e],
  ['32 falling', bytes(32, (index) => 31 - index), 0x113fdb5c],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
])('the sum of %s', (_, input, expected) => {
  expect(crc32cJs(input)).toBe(expected);
  expect(crc32c(input)).toBe(expected);
});

test('a sum can be continued at any byte', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(), (input, cut) => {
      const at = input.length === 0 ? 0 : cut % input.length;
      expect(crc32c(input.subarray(at), crc32c(input.subarray(0, at)))).toBe(crc32cJs(input));
    }),
  );
});

test.skipIf(nativeOrUndefined() === undefined)('the addon and JavaScript agree, whatever the length and alignment', () => {
  const native = nativeOrUndefined();
  const pool = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 2654435761) >>> 13);
  fc.assert(
    fc.property(fc.nat(64), fc.oneof(fc.nat(600), fc.nat(290_000)), fc.nat(0xffff_ffff), (from, length, seed) => {
      const input = pool.subarray(from, from + length);
      expect(native?.crc32c(input, seed)).toBe(crc32cJs(input, seed));
    }),
  );
});
