import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { ReaderOptions } from './addon.ts';
import { loadNative } from './index.ts';

const native = loadNative();
const folder = mkdtempSync(join(tmpdir(), 'jitterscope-replay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function fileOf(bytes: Uint8Array): string {
  const path = join(folder, `${files++}.bin`);
  writeFileSync(path, bytes);
  return path;
}

/** Numbered records of 128, 192 and 256 bytes in turn. */
function records(count: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, number) => {
      const units = 2 + (number % 3);
      const record = Buffer.alloc(64 * units, number);
      record.writeUInt32LE(number);
      record[11] = units;
      return record;
    }),
  );
}

async function replay(path: string, options: ReaderOptions, onChunk: (chunk: Buffer) => void = () => {}) {
  const chunks: Buffer[] = [];
  const reader = native.startReplay(path, options, (chunk) => {
    chunks.push(chunk);
    onChunk(chunk);
  });
  await reader.ended;
  return { chunks, bytes: Buffer.concat(chunks), stats: reader.stats() };
}

function blockMs(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

test.each([
  [256, 1],
  [256, 3],
  [320, 2],
  [4096, 2],
  [65_536, 8],
  [1 << 20, 1],
])('a file comes whole and in order in chunks of %i bytes, %i at a time', async (chunkBytes, maxChunks) => {
  const whole = records(3000);
  const { chunks, bytes, stats } = await replay(fileOf(whole), { drainMs: 5, chunkBytes, maxChunks });
  expect(bytes.equals(whole)).toBe(true);
  for (const chunk of chunks) {
    expect(chunk.length).toBeLessThanOrEqual(chunkBytes);
    expect(chunk.byteOffset).toBe(0);
    expect(chunk.buffer.byteLength).toBe(chunk.length);
    expect((chunk[11] ?? 0) - 2).toBe(chunk.readUInt32LE() % 3);
  }
  expect(stats).toMatchObject({ records: 3000, bytes: whole.length, chunks: chunks.length, malformed: 0, ringBytes: 0 });
});

test('the thread waits for JavaScript and loses nothing', async () => {
  const whole = records(2000);
  let turns = 0;
  const { bytes, stats } = await replay(fileOf(whole), { drainMs: 1, chunkBytes: 1024, maxChunks: 2 }, () => {
    if (turns++ % 50 === 0) blockMs(10);
  });
  expect(bytes.equals(whole)).toBe(true);
  expect(stats.stalls).toBeGreaterThan(0);
});

test('many readers at once each get their own file', async () => {
  const wholes = Array.from({ length: 20 }, (_, index) => records(100 + index));
  const results = await Promise.all(wholes.map((whole) => replay(fileOf(whole), { drainMs: 1, chunkBytes: 2048, maxChunks: 2 })));
  for (const [index, { bytes }] of results.entries()) expect(bytes.equals(wholes[index] ?? Buffer.alloc(0))).toBe(true);
});

test('any bytes are read to the end: records taken, the rest counted', async () => {
  const unit = fc.oneof(
    fc.uint8Array({ minLength: 64, maxLength: 64 }),
    fc.nat(2).map((number) => records(number + 1)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(unit, { maxLength: 30 }), fc.uint8Array({ maxLength: 63 }), async (parts, end) => {
      const input = Buffer.concat([...parts, end]);
      const expected = model(input);
      const { bytes, stats } = await replay(fileOf(input), { drainMs: 1, chunkBytes: 512, maxChunks: 2 });
      expect(bytes.equals(expected.bytes)).toBe(true);
      expect(stats).toMatchObject({ records: expected.records, malformed: expected.malformed });
    }),
    { numRuns: 200 },
  );
});

/** What addon.ts promises of any file. */
function model(input: Buffer) {
  const taken: Buffer[] = [];
  let malformed = 0;
  let at = 0;
  while (input.length - at >= 64) {
    const length = (input[at + 11] ?? 0) * 64;
    if (length < 128 || length > 256) {
      malformed++;
      at += 64;
    } else if (input.length - at < length) break;
    else {
      taken.push(input.subarray(at, at + length));
      at += length;
    }
  }
  return { bytes: Buffer.concat(taken), records: taken.length, malformed: malformed + (at < input.length ? 1 : 0) };
}

test('stop ends in the middle of a file, after whole records, and says so once', async () => {
  const whole = records(50_000);
  const chunks: Buffer[] = [];
  const reader = native.startReplay(fileOf(whole), { drainMs: 1, chunkBytes: 256, maxChunks: 1 }, (chunk) => {
    chunks.push(chunk);
  });
  while (chunks.length < 3) await setImmediate();
  const stopped = reader.stop();
  expect(reader.stop()).toBe(stopped);
  expect(stopped).toBe(reader.ended);
  await stopped;
  const delivered = chunks.length;
  await setImmediate();
  expect(chunks).toHaveLength(delivered);
  const bytes = Buffer.concat(chunks);
  expect(bytes.length).toBeLessThan(whole.length);
  expect(bytes.equals(whole.subarray(0, bytes.length))).toBe(true);
  expect(reader.stats()).toMatchObject({ bytes: bytes.length, chunks: delivered });
});

mkdirSync(join(folder, 'a-folder'));
test.each([
  ['a-folder', 'EISDIR'],
  ['none.bin', 'ENOENT'],
])('%s cannot be replayed: %s', (name, errnoName) => {
  expect(() => native.startReplay(join(folder, name), { drainMs: 1, chunkBytes: 256, maxChunks: 1 }, () => {})).toThrow(
    expect.objectContaining({ code: 'NATIVE_REPLAY', errnoName, message: expect.stringContaining(name) }),
  );
});

test('a file whose reading fails rejects, naming the file', async () => {
  // Reading another process's memory at address 0 is EIO.
  const reader = native.startReplay('/proc/self/mem', { drainMs: 1, chunkBytes: 256, maxChunks: 1 }, () => {});
  await expect(reader.ended).rejects.toMatchObject({
    code: 'NATIVE_REPLAY',
    errnoName: 'EIO',
    message: expect.stringContaining('/proc/self/mem'),
  });
});
