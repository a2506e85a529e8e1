import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { errorTable, messageOf } from './app-error.ts';

const fileError = errorTable({
  FILE_UNREADABLE: {
    message: '{field} {file}: {cause}',
    retryable: false,
    remedy: 'Check the path, and that the user jitterscope runs as may read it.',
    exitCode: 78,
  },
  FILE_EMPTY: {
    message: '{field} {file}: found an empty file, expected a secret',
    retryable: false,
    remedy: 'Write the secret alone into the file, as one line.',
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

  /** The text in the file without the newline that editors end it with. Throws FILE_UNREADABLE, FILE_EMPTY. */
  readSecret(): string {
    const text = this.read()
      .toString('utf8')
      .replace(/\r?\n$/, '');
    if (text === '') throw fileError('FILE_EMPTY', { field: this.#field, file: this.#path });
    return text;
  }
}

/** What is made of followed files, and how what becomes of a change is told. */
export interface FollowedOptions<Value> {
  /** Reads the files and makes the value. Throws for files that are wrong. */
  readonly make: () => Value;
  /** The files changed, and the value was made anew. */
  readonly renewed?: () => void;
  /** The files changed and are wrong (half written): the value before stays. Told once for each change. */
  readonly refused: (cause: unknown) => void;
}

/** A value that is made of files, anew when they change. */
export class Followed<Value> {
  readonly #files: readonly FollowedFile[];
  readonly #options: FollowedOptions<Value>;
  #made: { readonly value: Value } | undefined;
  #versions = '';
  #refused: string | undefined;

  constructor(files: readonly FollowedFile[], options: FollowedOptions<Value>) {
    this.#files = files;
    this.#options = options;
  }

  /** The same value as long as the files are the same. Throws what `make` throws as long as there was never a good one. */
  current(): Value {
    const versions = this.#files.map((file) => file.version()).join(' ');
    const before = this.#made;
    if (before !== undefined && (versions === this.#versions || versions === this.#refused)) return before.value;
    try {
      const value = this.#options.make();
      this.#made = { value };
      this.#versions = versions;
      if (before !== undefined) this.#options.renewed?.();
      return value;
    } catch (thrown) {
      if (before === undefined) throw thrown;
      this.#refused = versions;
      this.#options.refused(thrown);
      return before.value;
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
