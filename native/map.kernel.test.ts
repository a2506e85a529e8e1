import { afterEach, expect, test } from 'vitest';
import type { BpfObject } from './addon.ts';
import { loadNative, readBpfObject } from './index.ts';

const native = loadNative();
const opened: BpfObject[] = [];
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

function open(prepare: (object: BpfObject) => void = () => {}): BpfObject {
  const object = native.openObject('lifecycle', readBpfObject('test/lifecycle'));
  opened.push(object);
  prepare(object);
  object.load();
  return object;
}

const u64 = (...values: (number | bigint)[]) => new Uint8Array(new BigUint64Array(values.map(BigInt)).buffer);
const u32 = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);

/** A map of u64 to u64, as read; twice seen keys show in `size`. */
function entriesOf(bytes: Buffer): { entries: Map<bigint, bigint>; size: number } {
  const words = new BigUint64Array(new Uint8Array(bytes).buffer);
  const entries = new Map<bigint, bigint>();
  for (let at = 0; at < words.length; at += 2) entries.set(words[at], words[at + 1]);
  return { entries, size: words.length / 2 };
}

test('entries are put, looked up, replaced and deleted', () => {
  const object = open();
  expect(object.mapLookup('entries', u64(1))).toBeUndefined();
  object.mapUpdate('entries', u64(1), u64(10));
  object.mapUpdate('entries', u64(1), u64(11));
  expect(object.mapLookup('entries', u64(1))).toEqual(Buffer.from(u64(11)));
  expect(object.readMap('entries')).toEqual(Buffer.from(u64(1, 11)));
  expect(object.mapDelete('entries', u64(1))).toBe(true);
  expect(object.mapDelete('entries', u64(1))).toBe(false);
  expect(object.readMap('entries')).toHaveLength(0);
});

test.each([0, 1, 255, 256, 257, 4096])('a map of %i entries is read whole, each entry once', (count) => {
  const object = open();
  for (let key = 0; key < count; key++) object.mapUpdate('entries', u64(key), u64(key * 3));
  const { entries, size } = entriesOf(object.readMap('entries'));
  expect(size).toBe(count);
  expect(entries).toEqual(new Map(Array.from({ length: count }, (_, key) => [BigInt(key), BigInt(key * 3)])));
});

test('entries that stay are read exactly once while others come and go', async () => {
  const object = open();
  const stable = 2000;
  for (let key = 0; key < stable; key++) object.mapUpdate('entries', u64(key), u64(key + 7));
  object.attach('churn');
  let changed = 0;
  let before = -1;
  for (let turn = 0; turn < 300; turn++) {
    const { entries, size } = entriesOf(object.readMap('entries'));
    expect(entries.size).toBe(size);
    for (let key = 0; key < stable; key++)
      if (entries.get(BigInt(key)) !== BigInt(key + 7)) throw new Error(`entry ${key} is missing or wrong`);
    changed += Number(size !== before);
    before = size;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(changed).toBeGreaterThan(1);
});

test('of per-CPU maps the sum over the processors is read', () => {
  const object = open();
  for (let turn = 0; turn < 5; turn++) object.testRun('add_per_cpu', u64(5, 9, 0));
  object.mapUpdate('per_cpu_entries', u64(6), u64(100));
  object.testRun('add_per_cpu', u64(6, 1, 0));
  expect(object.mapLookup('per_cpu_entries', u64(5))).toEqual(Buffer.from(u64(45)));
  expect(entriesOf(object.readMap('per_cpu_entries')).entries).toEqual(
    new Map([
      [5n, 45n],
      [6n, 101n],
    ]),
  );
  object.mapUpdate('per_cpu_array', u32(2), u64(8));
  expect(object.readMap('per_cpu_array')).toEqual(Buffer.concat([0, 1, 2].map((key) => Buffer.concat([u32(key), u64(key === 2 ? 8 : 0)]))));
});

test('a map that the kernel reads key by key only is read whole', () => {
  const object = open();
  for (const key of [3, 1, 8]) object.mapUpdate('devices', u32(key), u32(1));
  const words = new Uint32Array(new Uint8Array(object.readMap('devices')).buffer);
  expect([...words].filter((_, index) => index % 2 === 0).sort()).toEqual([1, 3, 8]);
});

test('a map has the size that was set before load, and says when it is full', () => {
  const object = open((unloaded) => unloaded.setMapEntries('entries', 10));
  for (let key = 0; key < 10; key++) object.mapUpdate('entries', u64(key), u64(0));
  expect(() => object.mapUpdate('entries', u64(10), u64(0))).toThrow(expect.objectContaining({ code: 'NATIVE_MAP', errnoName: 'E2BIG' }));
});

test.each<[string, (object: BpfObject) => unknown, string, RegExp]>([
  ['a short key', (object) => object.mapLookup('entries', u32(1)), 'NATIVE_ARGUMENT', /key of map entries must have 8 bytes, found 4/],
  ['a long key', (object) => object.mapDelete('entries', u64(1, 2)), 'NATIVE_ARGUMENT', /key of map entries must have 8 bytes, found 16/],
  [
    'a short value',
    (object) => object.mapUpdate('entries', u64(1), u32(1)),
    'NATIVE_ARGUMENT',
    /value of map entries must have 8 bytes, found 4/,
  ],
  ['reading a ring as entries', (object) => object.readMap('events'), 'NATIVE_MAP', /no entries to read/],
  ['deleting from an array', (object) => object.mapDelete('per_cpu_array', u32(0)), 'NATIVE_MAP', /Cannot delete from map per_cpu_array/],
  ['a size of 0', () => open((object) => object.setMapEntries('entries', 0)), 'NATIVE_ARGUMENT', /entries must be a whole number from 1/],
])('%s is refused with its reason', (_, act, code, message) => {
  const object = open();
  expect(() => act(object)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});
