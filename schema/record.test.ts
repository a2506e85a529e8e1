import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { counterKeyBytes, counterKeyOffsets, recordBytes, recordFlags, recordOffsets, tailBytes } from './record.gen.ts';
import { RecordReader } from './record.ts';
import { writeRecord, writeRecords } from './record-writer.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u8 = fc.integer({ min: 0, max: 255 });
const u53 = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
const fields = fc.record({
  ts: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  probe: u16,
  variant: u8,
  flags: u16,
  cpu: u16,
  tgid: u32,
  tid: u32,
  cgroup: u53,
  net: u53,
  ifindex: u32,
  stack: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  comm: fc.stringMatching(/^[a-z:/-]{0,16}$/),
  saddr: address,
  daddr: address,
  sport: u16,
  dport: u16,
  family: u8,
  proto: u8,
  state: u8,
  side: u8,
  sock: u53,
  code: u32,
  v: fc.tuple(u32, u32, u32),
  tail: fc.constantFrom(0, 1, 2).map((tails) => new Uint8Array(tails * tailBytes).fill(tails)),
});

/** What the reader says of its current record, as an object in the writer's terms. */
function readFields(reader: RecordReader) {
  const { probe, variant, flags, cpu, tgid, tid, ifindex, stack, comm, sport, dport, family, proto, state, side, code } = reader;
  return {
    ...{ probe, variant, flags, cpu, tgid, tid, ifindex, stack, comm, sport, dport, family, proto, state, side, code },
    ts: BigInt(reader.tsSeconds) * 1_000_000_000n + BigInt(reader.tsNanos),
    cgroup: BigInt(reader.cgroup),
    net: BigInt(reader.net),
    saddr: reader.bytes.slice(reader.saddrAt, reader.saddrAt + 16),
    daddr: reader.bytes.slice(reader.daddrAt, reader.daddrAt + 16),
    sock: BigInt(reader.sock),
    v: [reader.v0, reader.v1, reader.v2],
    tail: reader.copy().slice(recordBytes),
  };
}

test('the checked-in layout is what the compiler says of the headers', () => {
  const script = fileURLToPath(new URL('../scripts/gen-record.mjs', import.meta.url));
  expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow();
});

test('the layout is the published one', () => {
  expect(recordBytes).toBe(128);
  expect(recordOffsets).toEqual({
    ...{ ts: 0, probe: 8, variant: 10, len: 11, flags: 12, cpu: 14, tgid: 16, tid: 20, cgroup: 24, net: 32, ifindex: 40, stack: 44 },
    ...{
      comm: 48,
      saddr: 64,
      daddr: 80,
      sport: 96,
      dport: 98,
      family: 100,
      proto: 101,
      state: 102,
      side: 103,
      sock: 104,
      code: 112,
      v: 116,
      x: 128,
    },
  });
  expect([counterKeyBytes, counterKeyOffsets]).toEqual([16, { net: 0, metric: 8, bucket: 10, label: 12 }]);
  expect(Object.values(recordFlags)).toEqual(Array.from({ length: 13 }, (_, bit) => 1 << bit));
});

test('the reader reads back every field of what the writer wrote, at any alignment, however often it is used', () => {
  const reader = new RecordReader();
  fc.assert(
    fc.property(fc.array(fields, { maxLength: 20 }), fc.integer({ min: 0, max: 7 }), (records, misaligned) => {
      const written = writeRecords(records);
      const bytes = new Uint8Array(misaligned + written.length).subarray(misaligned);
      bytes.set(written);
      reader.reset(bytes);
      const read = [];
      while (reader.next()) read.push(readFields(reader));
      expect(read).toEqual(records);
      expect(reader.malformed).toBe(false);
    }),
  );
});

test.each(Object.keys(recordOffsets).filter((name) => name !== 'len' && name !== 'x'))(
  'field %s lies where the compiler puts it, and nowhere else',
  (name) => {
    const wide = name === 'saddr' || name === 'daddr';
    const value = wide
      ? Uint8Array.from({ length: 16 }, (_, index) => index + 1)
      : name === 'comm'
        ? 'abcdefghijklmnop'
        : name === 'v'
          ? [1, 2, 3]
          : 1;
    const bytes = writeRecord({ [name]: value });
    const offset = recordOffsets[name as keyof typeof recordOffsets];
    expect(bytes.findIndex((byte, index) => byte !== 0 && index !== recordOffsets.len)).toBe(offset);
  },
);

test.each([
  ['zero', 0n],
  ['one nanosecond before the low word ends', 2n ** 32n - 1n],
  ['the low word ends', 2n ** 32n],
  ['one nanosecond before a second', 86_399_999_999_999n],
  ['200 days, which a double cannot hold', 17_280_000_123_456_789n],
  ['all ones', 2n ** 64n - 1n],
])('seconds and nanoseconds are exact: %s', (_what, ts) => {
  const reader = new RecordReader();
  reader.reset(writeRecord({ ts }));
  expect(reader.next()).toBe(true);
  expect([BigInt(reader.tsSeconds), BigInt(reader.tsNanos)]).toEqual([ts / 1_000_000_000n, ts % 1_000_000_000n]);
  expect(reader.tsNs).toBe(Number(ts));
});

test('the words of namespaces and addresses are those of the bytes', () => {
  const reader = new RecordReader();
  reader.reset(
    writeRecord({
      net: 0x1122_3344_5566_7788n,
      saddr: [198, 51, 100, 1],
      daddr: [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff],
    }),
  );
  reader.next();
  expect([reader.netLo, reader.netHi]).toEqual([0x5566_7788, 0x1122_3344]);
  expect([reader.saddr0, reader.saddr1, reader.saddr2, reader.saddr3]).toEqual([0, 0, 0xffff_0000 | 0, 0x0164_33c6]);
  expect([reader.daddr0, reader.daddr1, reader.daddr2, reader.daddr3]).toEqual([0x80fe, 0, 0, 0xff00_0000 | 0]);
});

test.each([
  ['ends at NUL', [0x6e, 0x63, 0, 0x78], 'nc'],
  ['16 bytes without NUL', Array.from({ length: 16 }, () => 0x61), 'a'.repeat(16)],
  ['invalid UTF-8', [0x61, 0xff, 0x62], 'a\ufffdb'],
])('comm %s', (_what, comm, expected) => {
  const bytes = writeRecord({});
  bytes.set(comm, recordOffsets.comm);
  const reader = new RecordReader();
  reader.reset(bytes);
  reader.next();
  expect(reader.comm).toBe(expected);
});

test.each([0, 1, 5, 255])('a record whose len is %i ends the reading as malformed, and stays so', (len) => {
  const bytes = writeRecords([{ code: 1 }, { code: 2 }, { code: 3 }]);
  bytes[recordBytes + recordOffsets.len] = len;
  const reader = new RecordReader();
  reader.reset(bytes);
  expect([reader.next(), reader.code, reader.malformed]).toEqual([true, 1, false]);
  expect([reader.next(), reader.malformed, reader.next()]).toEqual([false, true, false]);
  reader.reset(writeRecord({ code: 4 }));
  expect([reader.next(), reader.code, reader.next(), reader.malformed]).toEqual([true, 4, false, false]);
});

test('hostile bytes are read to an end: no exception, no record beyond the input', () => {
  const reader = new RecordReader();
  reader.reset(writeRecords(Array.from({ length: 8 }, () => ({ code: 7 }))));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), fc.array(fc.tuple(fc.nat(9), fc.nat(6)), { maxLength: 10 }), (bytes, lens) => {
      for (const [unit, len] of lens)
        if (unit * tailBytes + recordOffsets.len < bytes.length) bytes[unit * tailBytes + recordOffsets.len] = len;
      reader.reset(bytes);
      let read = 0;
      while (reader.next()) {
        read += reader.length;
        expect(readFields(reader).tail.length % tailBytes).toBe(0);
      }
      expect(read).toBeLessThanOrEqual(bytes.length);
      expect(reader.malformed).toBe(read < bytes.length);
    }),
    { numRuns: 500 },
  );
});

test('copy outlives the reader, and copies of neighbours differ', () => {
  const reader = new RecordReader();
  reader.reset(writeRecords([{ code: 1 }, { code: 2, tail: new Uint8Array(64).fill(9) }]));
  reader.next();
  const first = reader.copy();
  reader.next();
  const second = reader.copy();
  reader.reset(new Uint8Array(1024).fill(0xff));
  expect(first).toEqual(writeRecord({ code: 1 }));
  expect(second).toEqual(writeRecord({ code: 2, tail: new Uint8Array(64).fill(9) }));
});

test('words of the tails are read by their number; those that a record is too short for are 0', () => {
  const words = BigUint64Array.from({ length: 16 }, (_, index) => 2n ** 53n - 1n - BigInt(index));
  const reader = new RecordReader();
  for (const tails of [0, 1, 2]) {
    // A record behind it, whose bytes are no words of the first.
    const tail = new Uint8Array(words.buffer).slice(0, tails * tailBytes);
    reader.reset(writeRecords([{ tail }, { ts: 2n ** 64n - 1n, tail: new Uint8Array(64).fill(255) }]));
    reader.next();
    expect(Array.from({ length: 17 }, (_, index) => reader.x(index))).toEqual(
      Array.from({ length: 17 }, (_, index) => (index < tails * 8 ? Number(words[index]) : 0)),
    );
  }
});

test.each([{ tail: new Uint8Array(63) }, { tail: new Uint8Array(192) }, { saddr: [1, 2, 3] }])(
  'the writer refuses what is no record: %o',
  (wrong) => {
    expect(() => writeRecord(wrong)).toThrow(RangeError);
  },
);
