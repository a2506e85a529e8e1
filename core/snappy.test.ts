import fc from 'fast-check';
import { compressSync, uncompressSync } from 'snappy';
import { expect, test } from 'vitest';
import { snappyCompress } from './snappy.ts';

const block = 64 * 1024;

test('block by block makes the bytes that the library makes in one call', () => {
  const lengths = fc.oneof(fc.constantFrom(0, 1, block - 1, block, block + 1, 2 * block, 5 * block + 7), fc.nat(3 * block));
  fc.assert(
    fc.property(lengths, fc.uint8Array({ minLength: 1, maxLength: 500 }), fc.nat(100), (length, pattern, step) => {
      const bytes = Buffer.alloc(length, pattern);
      // Some that compress badly.
      for (let at = 0; at < length; at += 1 + step) bytes[at] = Math.imul(at, 2_654_435_761) >>> 24;
      const compressed = snappyCompress(bytes);
      expect(compressed.equals(compressSync(bytes))).toBe(true);
      expect(bytes.equals(uncompressSync(compressed) as Buffer)).toBe(true);
    }),
    { numRuns: 50 },
  );
});
