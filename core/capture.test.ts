import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { AppError } from './app-error.ts';
import { CaptureWriter, readCapture } from './capture.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-capture-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function written(name: string, messages: readonly Uint8Array[]): Promise<string> {
  const file = join(dir, name);
  const capture = new CaptureWriter(file);
  for (const message of messages) await capture.write(message);
  expect(capture.messages).toBe(messages.length);
  await capture.close();
  return file;
}

/** What was read before the end, and the error that ended it. */
async function read(file: string): Promise<{ messages: string[]; error: AppError | undefined }> {
  const messages: string[] = [];
  try {
    for await (const message of readCapture(file)) messages.push(message.toString('hex'));
  } catch (thrown) {
    return { messages, error: thrown as AppError };
  }
  return { messages, error: undefined };
}

const some = [Buffer.from('first'), Buffer.alloc(0), Buffer.alloc(300, 7), Buffer.from('last')];
const hexes = some.map((message) => message.toString('hex'));

test.each(['plain.jscap', 'zipped.jscap.gz'])('what is written into %s is read again', async (name) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), async (messages) => {
      const file = await written(name, messages);
      expect(await read(file)).toEqual({ messages: messages.map((m) => Buffer.from(m).toString('hex')), error: undefined });
    }),
    { numRuns: 30 },
  );
});

test.each(['large.jscap', 'large.jscap.gz'])('messages larger than a read of %s come whole', async (name) => {
  const large = [Buffer.alloc(3_000_000, 'abc'), Buffer.alloc(8 * 1024 * 1024, 1), Buffer.from('x')];
  const file = await written(name, large);
  let at = 0;
  for await (const message of readCapture(file)) expect(message.equals(large[at++])).toBe(true);
  expect(at).toBe(large.length);
});

test('a capture is told by its bytes, not by its name', async () => {
  const plain = await written('a.jscap', some);
  const zipped = join(dir, 'b.jscap');
  writeFileSync(zipped, gzipSync(readFileSync(plain)));
  expect((await read(zipped)).messages).toEqual(hexes);
  expect(gunzipSync(readFileSync(await written('c.gz', some))).equals(readFileSync(plain))).toBe(true);
});

test('cut off anywhere, all whole messages are read, and the cut is told unless it lies between two', async () => {
  const whole = readFileSync(await written('whole.jscap', some));
  const ends = [7, 20, 28, 336, 348];
  expect(ends[4]).toBe(whole.length);
  const file = join(dir, 'cut.jscap');
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(file, whole.subarray(0, length));
    const { messages, error } = await read(file);
    const expected = ends.filter((end) => end <= length).length - 1;
    expect(messages).toEqual(hexes.slice(0, Math.max(0, expected)));
    if (length < 7) expect(error).toMatchObject({ code: 'CAPTURE_FORMAT', exitCode: 78 });
    else if (ends.includes(length)) expect(error).toBeUndefined();
    else expect(error).toMatchObject({ code: 'CAPTURE_DAMAGED', details: { message: expected } });
  }
});

test('a compressed one that is cut off anywhere is told to be damaged', async () => {
  const whole = readFileSync(await written('whole.jscap.gz', some));
  const file = join(dir, 'cut.jscap.gz');
  for (let length = 2; length < whole.length; length++) {
    writeFileSync(file, whole.subarray(0, length));
    const { messages, error } = await read(file);
    expect(error?.code).toMatch(/^CAPTURE_(DAMAGED|FORMAT)$/);
    expect(hexes.slice(0, messages.length)).toEqual(messages);
  }
});

test('a flipped bit anywhere is found: what is read before it is right', async () => {
  const whole = readFileSync(await written('flip.jscap', some));
  const file = join(dir, 'flipped.jscap');
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole);
    bytes[at] ^= 1 << (at % 8);
    writeFileSync(file, bytes);
    const { messages, error } = await read(file);
    expect(error?.code).toBe(at < 7 ? 'CAPTURE_FORMAT' : 'CAPTURE_DAMAGED');
    expect(messages).toEqual(hexes.slice(0, messages.length));
  }
});

test.each([
  ['empty', Buffer.alloc(0)],
  ['short', Buffer.from('JSC')],
  ['text', Buffer.from('{"@timestamp":"2026-11-22"}\n')],
  ['a later version', Buffer.from('JSCAP2\n')],
  ['a pcap', Buffer.from('d4c3b2a1020004000000000000000000', 'hex')],
  ['something compressed', gzipSync('something else')],
])('%s is not a capture', async (_, bytes) => {
  const file = join(dir, 'other');
  writeFileSync(file, bytes);
  const { error } = await read(file);
  expect(error).toMatchObject({
    code: 'CAPTURE_FORMAT',
    message: expect.stringContaining(file),
    remedy: expect.stringContaining('--record'),
  });
});

test('a length that no message has is refused before memory is taken for it', async () => {
  const file = await written('hostile.jscap', some);
  appendFileSync(file, Buffer.from('ffffffff00000000', 'hex'));
  expect((await read(file)).error).toMatchObject({ code: 'CAPTURE_DAMAGED', message: expect.stringContaining('4294967295') });
});

test('a file that is not there, and a folder, cannot be read', async () => {
  for (const file of [join(dir, 'missing.jscap'), dir]) {
    expect((await read(file)).error).toMatchObject({ code: 'CAPTURE_UNREADABLE', message: expect.stringContaining(file), exitCode: 78 });
  }
});

test.each(['capture.jscap', 'capture.jscap.gz'])('a file that cannot be written (%s) is told at once', (name) => {
  const file = join(dir, 'no-such-folder', name);
  expect(() => new CaptureWriter(file)).toThrow(
    expect.objectContaining({ code: 'CAPTURE_UNWRITABLE', exitCode: 78, message: expect.stringContaining(file) }),
  );
});
