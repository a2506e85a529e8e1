import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c } from '../../crc32c.ts';
import { maxRecordsBytes } from './compression.ts';
import { batchField, batchHeaderBytes, encodeRecordBatch, lengthFrom } from './record-batch.ts';
import { decodeRecordBatches } from './record-batches.ts';

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
        const { messages, next, holes } = await decodeRecordBatches(whole, { from: base, to: base + bytes.length });
        expect(messages.map(({ value }) => Buffer.from(value))).toEqual(bytes.map((value) => Buffer.from(value)));
        expect(messages.map(({ offset }) => offset)).toEqual(bytes.map((_, index) => base + index));
        expect([next, holes]).toEqual([base + bytes.length, []]);
      }),
      { numRuns: 40 },
    );
  },
);

test('a read may begin within a batch, and end within another', async () => {
  const [first, ...others] = [await batchAt(10, [Buffer.from('a'), Buffer.from('b')]), await batchAt(12, [Buffer.from('c')])];
  const three = Buffer.concat([first, ...others, await batchAt(13, [Buffer.from('d')])]);
  const { messages, next } = await decodeRecordBatches(three.subarray(0, -1), { from: 11, to: 14 });
  expect(messages.map(({ offset, value }) => `${offset}${String(Buffer.from(value))}`)).toEqual(['11b', '12c']);
  expect(next).toBe(13);
  // Alone it is no proof of its base: the reader asks for what follows, and believes it where nothing does.
  expect(await decodeRecordBatches(first, { from: 11, to: 14 })).toMatchObject({ messages: [], next: 11 });
  expect(await decodeRecordBatches(first, { from: 11, to: 14, isAll: true })).toMatchObject({ messages: [{ offset: 11 }], next: 12 });
  expect(await decodeRecordBatches(first, { from: 11, to: 12 })).toMatchObject({ messages: [{ offset: 11 }], next: 12 });
});

test('a batch that does not match its checksum is a hole, and the next one is read', async () => {
  const damaged = await batchAt(5, [Buffer.from('abc'), Buffer.from('def')]);
  damaged[damaged.length - 2] ^= 1;
  const follower = [await batchAt(7, [Buffer.from('x')]), await batchAt(8, [Buffer.from('y')])];
  const { messages, holes, next } = await decodeRecordBatches(Buffer.concat([damaged, ...follower]), { from: 6, to: 9 });
  expect(holes).toEqual([{ from: 6, to: 7, reason: 'damaged' }]);
  expect(messages.map(({ offset }) => offset)).toEqual([7, 8]);
  expect(next).toBe(9);
});

test('of how far batches go only those that match their checksum are believed', async () => {
  const good = await batchAt(3, [Buffer.from('abc'), Buffer.from('def')]);
  const damaged = await batchAt(5, [Buffer.from('abc')]);
  damaged.writeInt32BE(2 ** 31 - 2, batchField.lastOffsetDelta);
  expect((await decodeRecordBatches(Buffer.concat([good, damaged]), { from: 4, to: 6, isAll: true })).extent).toEqual({
    from: 3,
    to: 5,
    bytes: good.length,
  });
  expect((await decodeRecordBatches(damaged, { from: 5, to: 6, isAll: true })).extent).toBeUndefined();
});

test('a batch of another codec is a hole, and told', async () => {
  const batch = await batchAt(0, [Buffer.from('x')], 'gzip');
  batch.writeInt16BE(4, batchField.attributes);
  batch.writeUInt32BE(crc32c(batch.subarray(batchField.attributes)), batchField.crc);
  const { messages, holes, next, unknownCodecs } = await decodeRecordBatches(Buffer.concat([batch, await batchAt(1, [Buffer.from('y')])]), {
    from: 0,
    to: 2,
  });
  expect([messages.map(({ offset }) => offset), holes, next]).toEqual([[1], [{ from: 0, to: 1, reason: 'damaged' }], 2]);
  expect([...unknownCodecs]).toEqual([4]);
});

/** A batch of two offsets with a right checksum around records that are not. */
async function faultyBatch(base: number, codec: number, records: Uint8Array): Promise<Buffer> {
  const header = (await batchAt(base, [Buffer.from('a'), Buffer.from('b')])).subarray(0, batchHeaderBytes);
  const batch = Buffer.concat([header, records]);
  batch.writeInt32BE(batch.length - lengthFrom, batchField.length);
  batch.writeInt16BE(codec, batchField.attributes);
  batch.writeUInt32BE(crc32c(batch.subarray(batchField.attributes)), batchField.crc);
  return batch;
}

const rubbish = Buffer.from('neither gzip nor snappy');
const xerial = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);

// A record: length, attributes, timestamp delta, offset delta, key length, value length, value, headers; numbers zigzag.
test.each<[string, number, Uint8Array]>([
  ['gzip that is none', 1, rubbish],
  ['gzip that ends early', 1, gzipSync(rubbish).subarray(0, 20)],
  ['gzip of more than is unpacked', 1, gzipSync(Buffer.alloc(maxRecordsBytes + 1), { level: 1 })],
  ['snappy that is none', 2, rubbish],
  ['snappy that declares 4 GiB', 2, Buffer.from([255, 255, 255, 255, 15, 0])],
  ['snappy without a length', 2, Buffer.from([255, 255, 255, 255, 255, 255])],
  ['a snappy block behind the end', 2, Buffer.concat([xerial, Buffer.from([0, 0, 1, 0, 1, 0])])],
  ['a snappy block with half a length', 2, Buffer.concat([xerial, Buffer.from([0, 0])])],
  ['no records at all', 0, Buffer.alloc(0)],
  ['a record behind the end', 0, Buffer.from([120, 0, 0, 0, 1, 2, 65, 0])],
  ['a record of a negative length', 0, Buffer.from([13, 0, 0, 0, 1, 2, 65, 0])],
  ['a value behind its record', 0, Buffer.from([14, 0, 0, 0, 1, 120, 65, 0])],
  ['an offset behind the batch', 0, Buffer.from([14, 0, 0, 40, 1, 2, 65, 0])],
  ['one good record, one cut off', 0, Buffer.from([14, 0, 0, 0, 1, 2, 65, 0, 14, 0, 0, 2, 1, 2])],
])('a batch with the right checksum around %s is a hole, and what is around it is read', async (_, codec, records) => {
  const [before, after] = [await batchAt(4, [Buffer.from('x')]), await batchAt(7, [Buffer.from('y')])];
  const batches = Buffer.concat([before, await faultyBatch(5, codec, records), after]);
  const { messages, holes, next } = await decodeRecordBatches(batches, { from: 4, to: 8 });
  expect(holes).toEqual([{ from: 5, to: 7, reason: 'damaged' }]);
  expect(messages.map(({ offset }) => offset)).toEqual([4, 7]);
  expect(next).toBe(8);
});

test('offsets that a batch, or none of them, has are holes; a marker of a transaction is none', async () => {
  const marker = await batchAt(9, [Buffer.from('commit')]);
  marker.writeInt16BE(0x30, batchField.attributes);
  marker.writeUInt32BE(crc32c(marker.subarray(batchField.attributes)), batchField.crc);
  // Compaction took 4, and 7 of the batch from 5 to 7 and 8 as a whole.
  const compacted = await batchAt(5, [Buffer.from('b'), Buffer.from('c')]);
  compacted.writeInt32BE(2, batchField.lastOffsetDelta);
  compacted.writeUInt32BE(crc32c(compacted.subarray(batchField.attributes)), batchField.crc);
  const batches = Buffer.concat([await batchAt(3, [Buffer.from('a')]), compacted, marker, await batchAt(10, [Buffer.from('d')])]);
  const { messages, holes, next } = await decodeRecordBatches(batches, { from: 3, to: 11 });
  expect(messages.map(({ offset }) => offset)).toEqual([3, 5, 6, 10]);
  expect(holes.map(({ from, to, reason }) => [from, to, reason])).toEqual([
    [4, 5, 'damaged'],
    [7, 8, 'damaged'],
    [8, 9, 'damaged'],
  ]);
  expect(next).toBe(11);
});
