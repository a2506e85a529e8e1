import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadNative } from './index.ts';

const native = loadNative();
const call = native as unknown as Record<string, (...values: unknown[]) => unknown>;
const folder = mkdtempSync(join(tmpdir(), 'jitterscope-arguments-'));
const empty = join(folder, 'empty.bin');
writeFileSync(empty, '');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = { drainMs: 10, chunkBytes: 4096, maxChunks: 4 };
const onChunk = () => {};
const request = Buffer.alloc(16);
request.writeUInt32LE(16, 0);

test.each<[string, unknown[], string]>([
  ['openObject', [], 'owner must be a string, found undefined'],
  ['openObject', ['x', 'text'], 'bytes must be a Uint8Array, found string'],
  ['openObject', ['x', new Uint16Array(4)], 'bytes must be a Uint8Array, found object'],
  ['openObject', ['x'.repeat(256), new Uint8Array(1)], 'owner must be at most 255 bytes, found 256'],
  ['tracepointArgs', [7], 'name must be a string, found number'],
  ['tracepointArgs', ['a\0b'], 'name must not contain a NUL byte'],
  ['enumValues', [null], 'name must be a string, found null'],
  ['hasMember', ['net'], 'member must be a string, found undefined'],
  ['startReplay', [empty], 'options must be an object, found undefined'],
  ['startReplay', [empty, {}, onChunk], 'drainMs must be a whole number from 1 to 60000, found undefined'],
  ['startReplay', [empty, { ...options, drainMs: 0 }, onChunk], 'drainMs must be a whole number from 1 to 60000, found 0'],
  ['startReplay', [empty, { ...options, drainMs: 1.5 }, onChunk], 'drainMs must be a whole number from 1 to 60000, found 1.5'],
  ['startReplay', [empty, { ...options, drainMs: Number.NaN }, onChunk], 'drainMs must be a whole number from 1 to 60000, found nan'],
  ['startReplay', [empty, { ...options, chunkBytes: 255 }, onChunk], 'chunkBytes must be a whole number from 256 to 67108864, found 255'],
  ['startReplay', [empty, { ...options, maxChunks: -1 }, onChunk], 'maxChunks must be a whole number from 1 to 4096, found -1'],
  ['startReplay', [empty, options], 'onChunk must be a function, found undefined'],
  ['netlinkDump', ['/x', -1, request], 'protocol must be a whole number from 0 to 31, found -1'],
  ['netlinkDump', ['/x', 0, new Uint8Array(15)], 'request must be one message whose nlmsg_len is its 15 bytes'],
  ['netlinkDump', ['/x', 0, Buffer.concat([request, request])], 'request must be one message whose nlmsg_len is its 32 bytes'],
  ['netnsCookie', [{}], 'netnsPath must be a string, found object'],
  ['crc32c', [[1, 2]], 'bytes must be a Uint8Array, found object'],
  ['crc32c', [new Uint8Array(1), 2 ** 32], 'seed must be a whole number from 0 to 4294967295, found 4.29497e+09'],
  ['lockFile', [Symbol('x')], 'path must be a string, found symbol'],
])('%s%j: %s', (name, values, message) => {
  expect(() => call[name]?.(...values)).toThrow(
    expect.objectContaining({ code: 'NATIVE_ARGUMENT', errno: 0, errnoName: '', message: expect.stringContaining(`${name}: ${message}`) }),
  );
});

test('a getter that throws in the options is what is thrown', () => {
  const hostile = {
    get drainMs(): number {
      throw new RangeError('from the getter');
    },
  };
  expect(() => call.startReplay?.(empty, hostile, onChunk)).toThrow(RangeError);
});

test('methods refuse any other object as this', async () => {
  const reader = native.startReplay(empty, options, onChunk);
  const lock = native.lockFile(join(folder, 'LOCK'));
  const stolen: (() => unknown)[] = [reader.stats, reader.stop, lock?.close as () => unknown];
  for (const [index, method] of stolen.entries())
    for (const self of [undefined, {}, native, index < 2 ? lock : reader])
      expect(() => method.call(self)).toThrow(
        expect.objectContaining({ code: 'NATIVE_ARGUMENT', message: expect.stringContaining('method of a') }),
      );
  lock?.close();
  await reader.ended;
});

test('a file that is no BPF object is refused, with what libbpf says of it', () => {
  for (const bytes of [new Uint8Array(0), Buffer.from('junk'), Buffer.from('\x7fELF'.padEnd(200, '\0'))])
    expect(() => native.openObject('junk.bpf.o', bytes)).toThrow(
      expect.objectContaining({ code: 'NATIVE_OPEN', message: expect.stringContaining(`Cannot open junk.bpf.o (${bytes.length} bytes)`) }),
    );
});
