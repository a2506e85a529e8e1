import { readdirSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import type { BpfObject } from './addon.ts';
import { loadNative, readBpfObject } from './index.ts';

const native = loadNative();
const opened: BpfObject[] = [];
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

function open(name = 'lifecycle'): BpfObject {
  const object = native.openObject(name, readBpfObject(`test/${name}`));
  opened.push(object);
  return object;
}

function loaded(name?: string): BpfObject {
  const object = open(name);
  object.load();
  return object;
}

const u64 = (...values: number[]) => new Uint8Array(new BigUint64Array(values.map(BigInt)).buffer);

/** Adds to an entry of `per_cpu_entries` in the kernel. */
function add(object: BpfObject, key: number, by: number): void {
  object.testRun('add_per_cpu', u64(key, by, 0));
}

function entryOf(object: BpfObject, key: number): number {
  return Number(object.mapLookup('per_cpu_entries', u64(key))?.readBigUInt64LE() ?? 0);
}

test('the maps of an object are named, its global data left out', () => {
  expect(open().maps().sort()).toEqual(['devices', 'entries', 'events', 'per_cpu_array', 'per_cpu_entries']);
  expect(loaded('burst').maps().sort()).toEqual(['counts', 'events']);
});

test('programs of two objects write into one map; maps that are not shared stay apart, and so does global data', () => {
  const base = loaded();
  const object = open();
  object.shareMap('per_cpu_entries', base);
  object.load();
  add(base, 1, 5);
  add(object, 1, 2);
  expect([entryOf(base, 1), entryOf(object, 1)]).toEqual([7, 7]);
  object.mapUpdate('entries', u64(1), u64(1));
  expect(base.mapLookup('entries', u64(1))).toBeUndefined();
  object.writeData('.data.settings', 0, new Uint8Array([1, 0, 0, 0]));
  expect([base.testRun('read_settings', new Uint8Array(0)), object.testRun('read_settings', new Uint8Array(0))]).toEqual([11_022, 1022]);
});

test('one ring carries the records of both objects, in order', async () => {
  const base = loaded('burst');
  const object = open('burst');
  for (const map of base.maps()) object.shareMap(map, base);
  object.load();
  const numbers: number[] = [];
  const reader = base.startReader('events', { drainMs: 60_000, chunkBytes: 4096, maxChunks: 4 }, (chunk) => {
    for (let at = 0; at < chunk.length; at += 128) numbers.push(chunk.readUInt32LE(at));
  });
  for (let turn = 0; turn < 10; turn++) (turn % 2 === 0 ? base : object).testRun('burst', new Uint8Array(new Uint32Array([3]).buffer));
  object.close();
  await reader.stop();
  expect(numbers).toEqual(Array.from({ length: 30 }, (_, number) => number));
});

test('a shared map has the size that it has, and lives until both objects are closed; nothing leaks', () => {
  const before = readdirSync('/proc/self/fd').length;
  for (let turn = 0; turn < 20; turn++) {
    const base = open();
    base.setMapEntries('entries', 2);
    base.load();
    const object = open();
    object.shareMap('entries', base);
    object.load();
    base.close();
    object.mapUpdate('entries', u64(1), u64(1));
    object.mapUpdate('entries', u64(2), u64(2));
    expect(() => object.mapUpdate('entries', u64(3), u64(3))).toThrow(expect.objectContaining({ errnoName: 'E2BIG' }));
    object.close();
  }
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});

test.each<[string, () => unknown, string, string]>([
  ['a map that this object does not have', () => open().shareMap('none', loaded()), 'NATIVE_ARGUMENT', 'lifecycle has no map none'],
  ['a map that the other does not have', () => open().shareMap('entries', loaded('burst')), 'NATIVE_ARGUMENT', 'burst has no map entries'],
  ['an object that is not loaded', () => open().shareMap('entries', open()), 'NATIVE_MAP', 'must be loaded'],
  ['too late', () => loaded().shareMap('entries', loaded()), 'NATIVE_MAP', 'not yet'],
  ['something else', () => open().shareMap('entries', {} as BpfObject), 'NATIVE_ARGUMENT', 'from must be a BpfObject, found object'],
  [
    'nothing',
    () => open().shareMap('entries', undefined as unknown as BpfObject),
    'NATIVE_ARGUMENT',
    'from must be a BpfObject, found undefined',
  ],
])('%s cannot be shared', (_, act, code, message) => {
  expect(act).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
});

test('a closed object shares nothing', () => {
  const base = loaded();
  base.close();
  expect(() => open().shareMap('entries', base)).toThrow(expect.objectContaining({ code: 'NATIVE_ARGUMENT', errnoName: 'EBADF' }));
});

test('a map of another shape is refused', () => {
  // The base's table of counters under the name of this object's ring: eight letters each.
  const text = readBpfObject('base').toString('latin1').replaceAll('\0counters\0', '\0entries\0\0');
  const base = native.openObject('base', Buffer.from(text, 'latin1'));
  opened.push(base);
  for (const { name } of base.programs()) base.setAutoload(name, false);
  base.load();
  expect(base.maps()).toContain('entries');
  expect(() => open().shareMap('entries', base)).toThrow(
    expect.objectContaining({ code: 'NATIVE_MAP', message: expect.stringContaining('another type or size') }),
  );
});
