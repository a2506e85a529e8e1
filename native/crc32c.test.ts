import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32cJs } from '../core/crc32c.ts';
import { loadNative } from './index.ts';

const native = loadNative();
const upwards = Uint8Array.from({ length: 32 }, (_, index) => index);

test.each([
  ['nothing', new Uint8Array(0), 0x00000000],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 times ff', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['00 to 1f', upwards, 0x46dd794e],
  ['1f to 00', upwards.toReversed(), 0x113fdb5c],
])('the CRC-32C of %s is that of RFC 3720, appendix B.4', (_, bytes, sum) => {
  expect(native.crc32c(bytes)).toBe(sum);
});

test('the sum is the same as in JavaScript, at every alignment, in one piece or two', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(7), (bytes, cut, offset) => {
      const shifted = new Uint8Array(bytes.length + offset).subarray(offset);
      shifted.set(bytes);
      const expected = crc32cJs(bytes);
      expect(native.crc32c(shifted)).toBe(expected);
      expect(native.crc32c(shifted.subarray(cut), native.crc32c(shifted.subarray(0, cut)))).toBe(expected);
    }),
  );
});
