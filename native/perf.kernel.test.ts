import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { defaultSettings, encodeSettings, probeMaps, settingsSection } from '../bpf/settings.ts';
import { type Transport, transportMaps, transportSection } from '../bpf/transport.ts';
import { counterKeyBytes, counterKeyOffsets, metrics } from '../schema/record.gen.ts';
import type { BpfObject, Reader, ReaderOptions } from './addon.ts';
import { loadNative, readBpfObject } from './index.ts';

const native = loadNative();
const opened: BpfObject[] = [];
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

const options = { drainMs: 10, chunkBytes: 64 << 10, maxChunks: 8 };
const bufferBytes = 64 << 10;
const mostAtOnce = 1024;

/** emit.bpf.c for a transport, without a token bucket. */
function open(transport: Transport): BpfObject {
  const object = native.openObject('emit', readBpfObject('test/emit'));
  opened.push(object);
  object.setRodata(transportSection, 0, Uint8Array.of(transport === 'perf' ? 1 : 0));
  for (const map of transportMaps[transport === 'perf' ? 'ring' : 'perf']) object.setAutocreate(map, false);
  if (transport === 'ring') object.setMapEntries(probeMaps.ring, bufferBytes);
  object.setAutoload('perf_odd', transport === 'perf');
  object.load();
  object.writeData(settingsSection, 0, encodeSettings({ ...defaultSettings, intervalNs: 0 }));
  return object;
}

function start(object: BpfObject, transport: Transport, readerOptions: ReaderOptions, onChunk: (chunk: Buffer) => void): Reader {
  return transport === 'ring'
    ? object.startReader(probeMaps.ring, readerOptions, onChunk)
    : object.startPerfReader(probeMaps.perf, { ...readerOptions, cpuBytes: bufferBytes }, onChunk);
}

function emit(object: BpfObject, count: number): void {
  for (let left = count; left > 0; left -= mostAtOnce)
    object.testRun('emit_many', new Uint8Array(new BigUint64Array([BigInt(Math.min(left, mostAtOnce))]).buffer));
}

/** What the programs counted. */
function countsOf(object: BpfObject): { emitted: number; lost: number } {
  const bytes = object.readMap(probeMaps.counters);
  const counts = { emitted: 0, lost: 0 };
  for (let at = 0; at < bytes.length; at += counterKeyBytes + 8) {
    const metric = bytes.readUInt16LE(at + counterKeyOffsets.metric);
    const value = Number(bytes.readBigUInt64LE(at + counterKeyBytes));
    if (metric === metrics.EMITTED) counts.emitted += value;
    if (metric === metrics.RING_FULL) counts.lost += value;
  }
  return counts;
}

/** Checks that every record is whole and comes once, and of one CPU in order. */
class Receiver {
  seen = 0;
  torn = 0;
  repeated = 0;
  disorder = 0;
  readonly #numbers: Uint8Array;
  readonly #lastOfCpu = new Map<number, number>();

  constructor(goal: number) {
    this.#numbers = new Uint8Array(goal);
  }

  take = (chunk: Buffer): void => {
    const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length / 4);
    for (let at = 0; at < words.length; at += 32) {
      const cpu = words[at + 3] >>> 16;
      const number = (words[at + 4] ^ (4 << 26)) >>> 0;
      if (this.#numbers[number]++ > 0) this.repeated++;
      if (number <= (this.#lastOfCpu.get(cpu) ?? -1)) this.disorder++;
      this.#lastOfCpu.set(cpu, number);
      this.seen++;
      // The words of net and v[0] are their own.
      for (let i = 4; i < 32; i++) if (i !== 8 && i !== 9 && i !== 29 && words[at + i] !== (number ^ (i << 26)) >>> 0) this.torn++;
    }
  };

  get faults() {
    return { torn: this.torn, repeated: this.repeated, disorder: this.disorder };
  }
}

const noFaults = { torn: 0, repeated: 0, disorder: 0 };

/** Numbers that look random and are the same in every run. */
function* sequence(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Blocks JavaScript. */
function block(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

test.each([
  { transport: 'ring', options, seed: 1 },
  { transport: 'perf', options, seed: 1 },
  { transport: 'perf', options: { drainMs: 1, chunkBytes: 4096, maxChunks: 3 }, seed: 2 },
  { transport: 'perf', options: { drainMs: 3, chunkBytes: 300, maxChunks: 1 }, seed: 3 },
] as const)('a burst of 1 M records into a buffer too small for it: seen + lost = emitted, exactly ($transport, $options)', async (row) => {
  const { transport, seed } = row;
  const object = open(transport);
  const goal = 1_000_000;
  const receiver = new Receiver(goal);
  const random = sequence(seed);
  let reader = start(object, transport, row.options, receiver.take);
  let [stalls, lostByKernel] = [0, 0];
  const restart = async () => {
    await reader.stop();
    stalls += reader.stats().stalls;
    lostByKernel += reader.stats().lost;
  };
  for (let emitted = 0, turn = 0; emitted < goal; turn++) {
    // Some bursts fit, some are many buffers long.
    const burst = Math.min(goal - emitted, Math.ceil(20_000 ** random.next().value));
    emit(object, burst);
    emitted += burst;
    if (turn % 3 === 0) await sleep(random.next().value * 8);
    else if (turn % 17 === 0) block(20);
    if (turn % 100 === 99) {
      await restart();
      reader = start(object, transport, row.options, receiver.take);
    }
  }
  await restart();
  const { emitted, lost } = countsOf(object);
  expect(emitted + lost).toBe(goal);
  expect([receiver.seen, receiver.faults]).toEqual([emitted, noFaults]);
  expect(emitted).toBeGreaterThan(1000);
  expect(lost).toBeGreaterThan(1000);
  expect(lostByKernel).toBe(transport === 'perf' ? lost : 0);
  console.log(`${transport}: ${receiver.seen} seen + ${lost} lost = ${goal} emitted, ${stalls} stalls`);
});

test('while JavaScript is blocked the perf buffers fill, the program counts, and what was taken comes afterwards', async () => {
  const object = open('perf');
  const receiver = new Receiver(5000);
  const reader = start(object, 'perf', { drainMs: 1, chunkBytes: 1024, maxChunks: 2 }, receiver.take);
  emit(object, 5000);
  for (let waits = 0; reader.stats().stalls === 0 && waits < 30_000; waits++) block(1);
  const { emitted, lost } = countsOf(object);
  expect(lost).toBeGreaterThan(0);
  expect(reader.stats()).toMatchObject({ lost });
  expect(reader.stats().ringBytes).toBeGreaterThan(0);
  await reader.stop();
  expect(emitted + lost).toBe(5000);
  expect([receiver.seen, receiver.faults]).toEqual([emitted, noFaults]);
  expect(reader.stats()).toMatchObject({ records: emitted, lost, ringBytes: 0, malformed: 0 });
});

test('without a reader there are no buffers: every record is lost, and counted', async () => {
  const object = open('perf');
  emit(object, 10);
  expect(countsOf(object)).toEqual({ emitted: 0, lost: 10 });
  const receiver = new Receiver(100);
  const reader = start(object, 'perf', options, receiver.take);
  emit(object, 10);
  await reader.stop();
  emit(object, 10);
  expect(countsOf(object)).toEqual({ emitted: 10, lost: 20 });
  expect(receiver.seen).toBe(10);
});

test('two hundred readers one after the other lose nothing and leave no descriptor', async () => {
  const object = open('perf');
  const receiver = new Receiver(20_000);
  const before = readdirSync('/proc/self/fd').length;
  for (let turn = 0; turn < 200; turn++) {
    const reader = start(object, 'perf', { drainMs: 10, chunkBytes: 1024, maxChunks: 2 }, receiver.take);
    emit(object, 100);
    await reader.stop();
  }
  expect(countsOf(object)).toEqual({ emitted: 20_000, lost: 0 });
  expect([receiver.seen, receiver.faults]).toEqual([20_000, noFaults]);
  expect(readdirSync('/proc/self/fd').length).toBe(before);
});

test('closing the object ends its perf reader, which still delivers what the buffers hold', async () => {
  const object = open('perf');
  const receiver = new Receiver(100);
  const reader = start(object, 'perf', { drainMs: 60_000, chunkBytes: 256, maxChunks: 1 }, receiver.take);
  emit(object, 100);
  object.close();
  await reader.ended;
  expect([receiver.seen, receiver.faults]).toEqual([100, noFaults]);
});

test('programs that interrupt each other have a place each; one too many loses its record, and it is counted', async () => {
  const object = open('perf');
  const lengths: number[] = [];
  const reader = start(object, 'perf', options, (chunk) => {
    for (let at = 0; at < chunk.length; at += chunk[at + 11] * 64) lengths.push(chunk[at + 11]);
  });
  const context = new Uint8Array(8);
  for (let turn = 0; turn < 3; turn++) expect(object.testRun('emit_nested', context)).toBe(4);
  await reader.stop();
  expect(lengths.sort()).toEqual([2, 2, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
  expect(countsOf(object)).toEqual({ emitted: 12, lost: 3 });
  const ring = open('ring');
  expect(ring.testRun('emit_nested', context)).toBe(5);
});

test('perf samples of odd lengths are dropped and counted', async () => {
  const object = open('perf');
  const chunks: Buffer[] = [];
  const reader = start(object, 'perf', options, (chunk) => chunks.push(Buffer.from(chunk)));
  object.testRun('perf_odd', new Uint8Array(8));
  await reader.stop();
  expect(Buffer.concat(chunks).length).toBe(128);
  expect(reader.stats()).toMatchObject({ records: 1, malformed: 5 });
});

test('what a perf reader cannot be started on, or with, is said', async () => {
  const object = open('perf');
  const startWith = (map: string, cpuBytes: number) => object.startPerfReader(map, { ...options, cpuBytes }, () => {});
  expect(() => startWith('counters', bufferBytes)).toThrow(/no array of perf events/);
  expect(() => object.startReader(probeMaps.perf, options, () => {})).toThrow(/no ring buffer/);
  for (const cpuBytes of [0, 4095, 1.5, 2 ** 31])
    expect(() => startWith(probeMaps.perf, cpuBytes)).toThrow(expect.objectContaining({ code: 'NATIVE_ARGUMENT' }));
  expect(() => startWith(probeMaps.perf, 65_537)).toThrow(/power of two, found 65537/);
  const reader = startWith(probeMaps.perf, bufferBytes);
  expect(() => startWith(probeMaps.perf, bufferBytes)).toThrow(expect.objectContaining({ code: 'NATIVE_READER', errnoName: 'EBUSY' }));
  await reader.stop();
});

test('constants and maps are chosen before load, and only then', () => {
  const object = open('ring');
  expect(() => object.setRodata(transportSection, 0, Uint8Array.of(1))).toThrow(/loaded already/);
  expect(() => object.setAutocreate(probeMaps.perf, true)).toThrow(/before load/);
  const fresh = native.openObject('emit', readBpfObject('test/emit'));
  opened.push(fresh);
  expect(() => fresh.setRodata('.rodata.none', 0, Uint8Array.of(1))).toThrow(/no section .rodata.none/);
  expect(() => fresh.setRodata(transportSection, 0, new Uint8Array(9))).toThrow(/do not fit into the 1 bytes/);
  expect(() => fresh.setAutocreate('none', false)).toThrow(/no map none/);
});
