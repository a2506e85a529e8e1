import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchField, encodeRecordBatch } from './record-batch.ts';
import { decodeRecordBatches, UnknownCodec } from './record-batches.ts';

const nowMs = 1_795_000_000_000;

async function batchAt(base: number, values: readonly Uint8Array[], compression: 'none' | 'gzip' | 'snappy' = 'none'): Promise<Buffer> {
  const batch = await encodeRecordBatch(values, compression, nowMs);
  // As a broker does: the offset lies outside of what the checksum covers.
  batch.writeBigInt64BE(BigInt(base), batchField.baseOffset);
  return batch;
}

test.each(['none', 'gzip', 'snappy'] as const)(
  'what is encoded with %s is decoded: any values, in one piece or in several',
  async (compression) => {
    const values = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(values, fc.nat({ max: 2 ** 40 }), async (bytes, base) => {
        const pieces = bytes.map((value) => [value.subarray(0, 7), value.subarray(7)]);
        const whole = await batchAt(base, bytes, compression);
        expect((await encodeRecordBatch(pieces, 'none', nowMs)).equals(await encodeRecordBatch(bytes, 'none', nowMs))).toBe(true);
        const { messages, next, holes } = await decodeRecordBatches(whole, base);
        expect(messages.map(({ value }) => Buffer.from(value))).toEqual(bytes.map((value) => Buffer.from(value)));
        expect(messages.map(({ offset }) => offset)).toEqual(bytes.map((_, index) => base + index));
        expect([next, holes]).toEqual([base + bytes.length, []]);
      }),
      { numRuns: 40 },
    );
  },
);

test('a read may begin within a batch, and end within another', async () => {
  const two = Buffer.concat([await batchAt(10, [Buffer.from('a'), Buffer.from('b')]), await batchAt(12, [Buffer.from('c')])]);
  const { messages, next } = await decodeRecordBatches(two.subarray(0, -1), 11);
  expect(messages.map(({ offset, value }) => `${offset}${String(Buffer.from(value))}`)).toEqual(['11b']);
  expect(next).toBe(12);
});

test('a batch that does not match its checksum is a hole, and the next one is read', async () => {
  const damaged = await batchAt(5, [Buffer.from('abc'), Buffer.from('def')]);
  damaged[damaged.length - 2] ^= 1;
  const { messages, holes, next } = await decodeRecordBatches(Buffer.concat([damaged, await batchAt(7, [Buffer.from('x')])]), 6);
  expect(holes).toEqual([{ from: 6, to: 7, reason: 'damaged' }]);
  expect(messages.map(({ offset }) => offset)).toEqual([7]);
  expect(next).toBe(8);
});

test('a batch of another codec is told, not guessed', async () => {
  const batch = await batchAt(0, [Buffer.from('x')], 'gzip');
  const { crc32c } = await import('../../crc32c.ts');
  batch.writeInt16BE(4, batchField.attributes);
  batch.writeUInt32BE(crc32c(batch.subarray(batchField.attributes)), batchField.crc);
  await expect(decodeRecordBatches(batch, 0)).rejects.toThrow(UnknownCodec);
});
