import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { errorTable, messageOf } from './app-error.ts';

const fileError = errorTable({
  FILE_UNREADABLE: {
    message: '{field} {file}: {cause}',
    retryable: false,
    remedy: 'Check the path, and that the user jitterscope runs as may read it.',
    exitCode: 78,
  },
});

/** A file is looked at again after this long. */
const lookMs = 5_000;
const maxBytes = 1024 * 1024;

/**
 * A small file (a certificate, a secret) that others may replace while the process runs. It is looked at when it is asked
 * for, at most every 5 s: nothing is watched, and nothing has to be closed.
 */
export class FollowedFile {
  readonly #field: string;
  readonly #path: string;
  readonly #nowMs: () => number;
  #version: string | undefined;
  #lookedMs = 0;

  /** @param field The setting that names it, for errors. */
  constructor(field: string, path: string, nowMs: () => number = () => performance.now()) {
    this.#field = field;
    this.#path = path;
    this.#nowMs = nowMs;
  }

  /** Changes when the file does; `missing` when it cannot be looked at. */
  version(): string {
    const nowMs = this.#nowMs();
    if (this.#version === undefined || nowMs - this.#lookedMs >= lookMs) {
      this.#version = fingerprintOf(this.#path);
      this.#lookedMs = nowMs;
    }
    return this.#version;
  }

  /** What is in the file. Throws FILE_UNREADABLE, also for more than 1 MiB. */
  read(): Buffer {
    let descriptor: number | undefined;
    try {
      descriptor = openSync(this.#path, 'r');
      const found = fstatSync(descriptor);
      if (!found.isFile()) throw new Error('it is not a file');
      if (found.size > maxBytes) throw new Error(`it has ${found.size} bytes, expected at most ${maxBytes}`);
      const bytes = Buffer.alloc(found.size);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, found.size, 0));
    } catch (thrown) {
      throw fileError('FILE_UNREADABLE', { field: this.#field, file: this.#path, cause: messageOf(thrown) }, thrown);
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }
}

function fingerprintOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'missing';
  }
}
