import { afterEach, expect, test } from 'vitest';
import type { BpfObject, Reader, ReaderOptions } from './addon.ts';
import { loadNative, readBpfObject } from './index.ts';

const native = loadNative();
const opened: BpfObject[] = [];
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

function open(name: string): BpfObject {
  const object = native.openObject(name, readBpfObject(`test/${name}`));
  opened.push(object);
  object.load();
  return object;
}

const nothing = new Uint8Array(0);

/** Both counts of burst.bpf.c. */
function countsOf(object: BpfObject) {
  const map = object.readMap('counts');
  return { emitted: Number(map.readBigUInt64LE(4)), lost: Number(map.readBigUInt64LE(16)) };
}

/** Checks that every record is whole and comes once and in order; counts the gaps between them. */
class Receiver {
  seen = 0;
  gaps = 0;
  last = -1;
  torn = 0;
  disorder = 0;

  take = (chunk: Buffer): void => {
    const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length / 4);
    for (let at = 0; at < words.length; at += 32) {
      const number = words[at];
      if (number <= this.last) this.disorder++;
      this.gaps += number - this.last - 1;
      this.last = number;
      this.seen++;
      for (let i = 1; i < 32; i++) {
        const expected = i === 2 ? 2 << 24 : number ^ (i << 26);
        if (words[at + i] !== expected >>> 0) this.torn++;
      }
    }
  };
}

/** Numbers that look random and are the same in every run. */
function* sequence(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

test.each([
  { burst: 20_000, options: { drainMs: 10, chunkBytes: 256 << 10, maxChunks: 8 }, seed: 1 },
  { burst: 20_000, options: { drainMs: 1, chunkBytes: 4096, maxChunks: 3 }, seed: 2 },
  { burst: 20_000, options: { drainMs: 3, chunkBytes: 300, maxChunks: 1 }, seed: 3 },
  { burst: 5000, options: { drainMs: 1, chunkBytes: 64 << 10, maxChunks: 8 }, seed: 4 },
])(
  'what it must show, 6: a ring too small for a burst of 1 M records: seen + lost = emitted, exactly ($burst, $options)',
  async ({ burst, options, seed }) => {
    const object = open('burst');
    const receiver = new Receiver();
    const random = sequence(seed);
    const context = new Uint32Array(1);
    let reader = object.startReader('events', options, receiver.take);
    let stalls = 0;
    const goal = 1_000_000;
    for (let emitted = 0, turn = 0; emitted < goal; turn++) {
      // Some bursts fit, some are many rings long.
      context[0] = Math.min(goal - emitted, Math.ceil(burst ** random.next().value));
      object.testRun('burst', new Uint8Array(context.buffer));
      emitted += context[0];
      if (turn % 3 === 0) await sleep(random.next().value * 8);
      else if (turn % 17 === 0) block(20);
      if (turn % 100 === 99) {
        await reader.stop();
        stalls += reader.stats().stalls;
        reader = object.startReader('events', options, receiver.take);
      }
    }
    await reader.stop();
    stalls += reader.stats().stalls;
    const { emitted, lost } = countsOf(object);
    expect(emitted).toBe(goal);
    expect(receiver.seen + lost).toBe(emitted);
    // The last records may be among the lost: then the gap is behind the last one seen.
    expect(receiver.gaps + (goal - 1 - receiver.last)).toBe(lost);
    expect({ torn: receiver.torn, disorder: receiver.disorder }).toEqual({ torn: 0, disorder: 0 });
    expect(receiver.seen).toBeGreaterThan(1000);
    expect(lost).toBeGreaterThan(1000);
    if (options.maxChunks < 8) expect(stalls).toBeGreaterThan(0);
    console.log(`${receiver.seen} seen + ${lost} lost = ${emitted} emitted, ${stalls} stalls`);
  },
);

test('while JavaScript is blocked the ring fills, the kernel counts, and what was taken comes afterwards', async () => {
  const object = open('burst');
  const receiver = new Receiver();
  const reader = object.startReader('events', { drainMs: 1, chunkBytes: 1024, maxChunks: 2 }, receiver.take);
  object.testRun('burst', new Uint8Array(new Uint32Array([5000]).buffer));
  await waitFor(() => {
    block(5);
    return reader.stats().stalls > 0;
  });
  expect(countsOf(object).lost).toBeGreaterThan(0);
  await reader.stop();
  const { emitted, lost } = countsOf(object);
  expect(receiver.seen).toBe(emitted - lost);
  expect(reader.stats()).toMatchObject({ records: receiver.seen, ringBytes: 0, malformed: 0 });
});

test('records without a reader stay in the ring for the next one', async () => {
  const object = open('burst');
  const receiver = new Receiver();
  const options = { drainMs: 60_000, chunkBytes: 4096, maxChunks: 4 };
  object.testRun('burst', new Uint8Array(new Uint32Array([10]).buffer));
  const first = object.startReader('events', options, receiver.take);
  await first.stop();
  object.testRun('burst', new Uint8Array(new Uint32Array([10]).buffer));
  const second = object.startReader('events', options, receiver.take);
  await second.stop();
  expect(receiver).toMatchObject({ seen: 20, gaps: 0, disorder: 0, torn: 0 });
});

test('records of odd lengths are dropped and counted, discarded ones are nothing', async () => {
  const object = open('lifecycle');
  const chunks: Buffer[] = [];
  const reader = object.startReader('events', { drainMs: 5, chunkBytes: 4096, maxChunks: 4 }, (chunk) => chunks.push(chunk));
  object.testRun('emit_odd', nothing);
  await waitFor(() => reader.stats().records + reader.stats().malformed === 8);
  await reader.stop();
  const bytes = Buffer.concat(chunks);
  expect([bytes.length, bytes[11], bytes[128 + 11], bytes[128 + 192 + 11]]).toEqual([128 + 192 + 256, 2, 3, 4]);
  expect(reader.stats()).toMatchObject({ records: 3, malformed: 5, bytes: 576 });
});

test('a record that is reserved but not committed yet is left alone', async () => {
  const object = open('lifecycle');
  const first: (number | undefined)[] = [];
  // On a busy machine a chunk has several records.
  const take = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; at += 128) first.push(chunk[at]);
  };
  const reader = object.startReader('events', { drainMs: 1, chunkBytes: 4096, maxChunks: 4 }, take);
  // Many times the drain timer, each.
  for (let turn = 0; turn < 5; turn++) object.testRun('emit_slowly', new Uint8Array(new Uint32Array([1 << 23]).buffer));
  await reader.stop();
  expect(first).toEqual([2, 2, 2, 2, 2]);
});

test('ringBytes says how full the ring is', async () => {
  const object = open('burst');
  const reader = object.startReader('events', { drainMs: 60_000, chunkBytes: 4096, maxChunks: 4 }, () => {});
  await sleep(50);
  object.testRun('burst', new Uint8Array(new Uint32Array([7]).buffer));
  expect(reader.stats().ringBytes).toBe(7 * (128 + 8));
  await reader.stop();
  expect(reader.stats().ringBytes).toBe(0);
});

test('one reader a ring: another one is refused until the first has ended', async () => {
  const object = open('burst');
  const options: ReaderOptions = { drainMs: 5, chunkBytes: 4096, maxChunks: 4 };
  const reader: Reader = object.startReader('events', options, () => {});
  expect(() => object.startReader('events', options, () => {})).toThrow(
    expect.objectContaining({ code: 'NATIVE_READER', errnoName: 'EBUSY' }),
  );
  await reader.stop();
  await object.startReader('events', options, () => {}).stop();
  expect(() => object.startReader('counts', options, () => {})).toThrow(/no ring buffer/);
});

test('closing the object ends its readers, which still deliver what the ring holds', async () => {
  const object = open('burst');
  const receiver = new Receiver();
  const reader = object.startReader('events', { drainMs: 60_000, chunkBytes: 256, maxChunks: 1 }, receiver.take);
  await sleep(20);
  object.testRun('burst', new Uint8Array(new Uint32Array([100]).buffer));
  object.close();
  await reader.ended;
  expect(receiver).toMatchObject({ seen: 100, gaps: 0, torn: 0 });
});

test('stop ends while every chunk waits for JavaScript', async () => {
  const object = open('burst');
  const receiver = new Receiver();
  const reader = object.startReader('events', { drainMs: 1, chunkBytes: 256, maxChunks: 1 }, receiver.take);
  object.testRun('burst', new Uint8Array(new Uint32Array([400]).buffer));
  for (let waits = 0; reader.stats().stalls === 0 && waits < 30_000; waits++) block(1);
  expect(reader.stats().stalls).toBeGreaterThan(0);
  await reader.stop();
  expect(receiver).toMatchObject({ seen: 400, gaps: 0, torn: 0 });
});

test('a thousand readers one after the other lose nothing and leave nothing', async () => {
  const object = open('burst');
  const receiver = new Receiver();
  const context = new Uint8Array(new Uint32Array([100]).buffer);
  for (let turn = 0; turn < 1000; turn++) {
    const reader = object.startReader('events', { drainMs: 10, chunkBytes: 1024, maxChunks: 2 }, receiver.take);
    object.testRun('burst', context);
    await reader.stop();
  }
  expect(countsOf(object)).toEqual({ emitted: 100_000, lost: 0 });
  expect(receiver).toMatchObject({ seen: 100_000, gaps: 0, torn: 0, disorder: 0 });
});

function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Blocks JavaScript. */
function block(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

async function waitFor(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('waited for 60 s');
    await sleep(1);
  }
}
