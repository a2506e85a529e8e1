import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { murmur2, partitionOf } from './partition.ts';

const { vectors } = JSON.parse(readFileSync(new URL('../../proto/golden/murmur2.json', import.meta.url), 'utf8')) as {
  vectors: Record<string, number>;
};

test.each(Object.entries(vectors))("Kafka's hash of %j is %d", (key, hash) => {
  expect(murmur2(Buffer.from(key))).toBe(hash);
  expect(partitionOf(key, 16)).toBe((hash & 0x7fffffff) % 16);
});

/** The algorithm as Kafka's Java has it, in 32-bit arithmetic of big integers. */
function slowly(bytes: Uint8Array): number {
  const int = (value: bigint): bigint => BigInt.asIntN(32, value);
  const unsigned = (value: bigint): bigint => BigInt.asUintN(32, value);
  const m = 0x5bd1e995n;
  let h = int(0x9747b28cn ^ BigInt(bytes.length));
  const whole = bytes.length - (bytes.length % 4);
  for (let at = 0; at < whole; at += 4) {
    let k = int(BigInt(bytes[at]) + (BigInt(bytes[at + 1]) << 8n) + (BigInt(bytes[at + 2]) << 16n) + (BigInt(bytes[at + 3]) << 24n));
    k = int(k * m);
    k = int(k ^ (unsigned(k) >> 24n));
    h = int(int(h * m) ^ int(k * m));
  }
  for (let at = bytes.length - 1; at >= whole; at--) h = int(h ^ (BigInt(bytes[at]) << BigInt(8 * (at - whole))));
  if (whole < bytes.length) h = int(h * m);
  h = int(int(h ^ (unsigned(h) >> 13n)) * m);
  return Number(int(h ^ (unsigned(h) >> 15n)));
}

test('it hashes any bytes as the published algorithm does', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      expect(murmur2(bytes)).toBe(slowly(bytes));
    }),
    { numRuns: 1000 },
  );
});

test('every key has one of the partitions', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 1000 }), (key, partitions) => {
      const partition = partitionOf(key, partitions);
      expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
    }),
  );
});
