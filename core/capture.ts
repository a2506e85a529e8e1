import { once } from 'node:events';
import { closeSync, createReadStream, createWriteStream, openSync, readSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { type AppError, errorTable, messageOf } from './app-error.ts';
import { crc32c } from './crc32c.ts';

/** What can be wrong with a capture file. */
export const captureError = errorTable({
  CAPTURE_UNREADABLE: {
    message: 'cannot read the capture {file}: {cause}',
    retryable: false,
    remedy: 'Check the path and its permissions.',
    exitCode: 78,
  },
  CAPTURE_UNWRITABLE: {
    message: 'cannot write the capture {file}: {cause}',
    retryable: false,
    remedy: 'Name a file in a folder that exists and is writable, on a disk with room.',
    exitCode: 78,
  },
  CAPTURE_FORMAT: {
    message: '{file} is not a capture: {cause}',
    retryable: false,
    remedy: 'Captures are made with `jitterscope run --record FILE`.',
    exitCode: 78,
  },
  CAPTURE_DAMAGED: {
    message: 'the capture {file} is damaged at message {message}: {cause}',
    retryable: false,
    remedy: 'What lies before it was replayed. Copy the file again from where it was made.',
    exitCode: 78,
  },
});

// A capture: the magic line, then messages, each u32 length, u32 CRC-32C of the bytes, bytes; little-endian. May be gzipped as a whole.
const magic = Buffer.from('JSCAP1\n');
const frameBytes = 8;
const maxMessageBytes = 8 * 1024 * 1024;

/** Writes a capture; gzipped when the name ends in .gz. */
export class CaptureWriter {
  readonly #out: Writable;
  readonly #ended: Promise<void>;
  messages = 0;

  /** Creates the file, or empties it. Throws CAPTURE_UNWRITABLE. */
  constructor(file: string) {
    const disk = createWriteStream(file, { fd: create(file) });
    this.#out = file.endsWith('.gz') ? createGzip() : disk;
    if (this.#out !== disk) (this.#out as ReturnType<typeof createGzip>).pipe(disk);
    this.#ended = finished(disk).catch((thrown: unknown) => {
      throw unwritable(file, thrown);
    });
    this.#ended.catch(() => undefined);
    this.#out.write(magic);
  }

  /** Resolves when there is room for more. Rejects with CAPTURE_UNWRITABLE. */
  async write(message: Uint8Array): Promise<void> {
    const frame = Buffer.alloc(frameBytes + message.length);
    frame.writeUInt32LE(message.length, 0);
    frame.writeUInt32LE(crc32c(message), 4);
    frame.set(message, frameBytes);
    this.messages++;
    if (!this.#out.write(frame)) await Promise.race([once(this.#out, 'drain'), this.#ended]);
  }

  async close(): Promise<void> {
    this.#out.end();
    await this.#ended;
  }
}

function create(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (thrown) {
    throw unwritable(file, thrown);
  }
}

function unwritable(file: string, thrown: unknown): AppError {
  return captureError('CAPTURE_UNWRITABLE', { file, cause: messageOf(thrown) }, thrown);
}

/** The messages of a capture, in order. Throws CAPTURE_* when it is not whole; what came before is whole. */
export async function* readCapture(file: string): AsyncGenerator<Buffer> {
  const input = await open(file);
  let pending: Buffer = Buffer.alloc(0);
  let messages = 0;
  let started = false;
  try {
    for await (const chunk of input) {
      pending = pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer]);
      if (!started) {
        if (pending.length < magic.length) continue;
        if (!pending.subarray(0, magic.length).equals(magic))
          throw captureError('CAPTURE_FORMAT', { file, cause: 'it does not begin with JSCAP1' });
        pending = pending.subarray(magic.length);
        started = true;
      }
      for (;;) {
        const message = take(pending, file, messages);
        if (message === undefined) break;
        pending = pending.subarray(frameBytes + message.length);
        messages++;
        yield message;
      }
    }
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('CAPTURE_')) throw thrown;
    throw captureError('CAPTURE_DAMAGED', { file, message: messages, cause: messageOf(thrown) }, thrown);
  }
  if (!started) throw captureError('CAPTURE_FORMAT', { file, cause: `it has ${pending.length} bytes` });
  if (pending.length > 0)
    throw captureError('CAPTURE_DAMAGED', { file, message: messages, cause: `it ends within the message (${pending.length} bytes of it)` });
}

function take(pending: Buffer, file: string, message: number): Buffer | undefined {
  if (pending.length < frameBytes) return undefined;
  const length = pending.readUInt32LE(0);
  if (length > maxMessageBytes) throw captureError('CAPTURE_DAMAGED', { file, message, cause: `a length of ${length} bytes` });
  if (pending.length < frameBytes + length) return undefined;
  const bytes = pending.subarray(frameBytes, frameBytes + length);
  if (crc32c(bytes) !== pending.readUInt32LE(4))
    throw captureError('CAPTURE_DAMAGED', { file, message, cause: 'its checksum does not match' });
  return bytes;
}

async function open(file: string): Promise<Readable> {
  const head = Buffer.alloc(2);
  try {
    const fd = openSync(file, 'r');
    readSync(fd, head, 0, 2, 0);
    closeSync(fd);
  } catch (thrown) {
    throw captureError('CAPTURE_UNREADABLE', { file, cause: messageOf(thrown) }, thrown);
  }
  const disk = createReadStream(file, { highWaterMark: 1024 * 1024 });
  const zipped = head[0] === 0x1f && head[1] === 0x8b;
  if (!zipped) return disk;
  const plain = createGunzip();
  disk.on('error', (thrown) => plain.destroy(thrown));
  return disk.pipe(plain);
}
