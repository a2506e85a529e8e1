import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeldAddresses } from './held-addresses.ts';

const address = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const ask = (held: HeldAddresses, hex: string): boolean => {
  const bytes = Buffer.from(hex, 'hex');
  return held.has(bytes.readInt32LE(0), bytes.readUInt32LE(4), bytes.readInt32LE(8), bytes.readUInt32LE(12));
};

test('what is held is found, whether words are read as signed or not; what is not, is not', () => {
  fc.assert(
    fc.property(fc.uniqueArray(address, { minLength: 1, maxLength: 50 }), (all) => {
      const [not, ...held] = all;
      const set = new HeldAddresses();
      set.set(held);
      expect(held.every((hex) => ask(set, hex))).toBe(true);
      expect(ask(set, not)).toBe(false);
      set.set([not]);
      expect(held.some((hex) => ask(set, hex))).toBe(false);
    }),
  );
});
