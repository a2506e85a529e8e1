import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';

/** What the last collector wrote down each second. */
interface LifeSign {
  readonly bootId: string;
  readonly unixNs: string;
}

/** A time in which this kernel lived and no collector listened. */
export interface Downtime {
  readonly fromUnixNs: bigint;
  readonly toUnixNs: bigint;
}

/** Each sign is of this length, blanks at its end, so that one lies exactly upon the one before. */
const signBytes = 128;

/** Keeps the last sign of life in a file, so that the next collector can state the hole between them. */
export class LifeSigns {
  readonly #file: string;
  readonly #bootId: string;
  #made = false;

  constructor(file: string, bootId: string) {
    this.#file = file;
    this.#bootId = bootId;
  }

  /** Unsynced: it must outlive the process, not the kernel. */
  write(unixNs: bigint): void {
    const sign = JSON.stringify({ bootId: this.#bootId, unixNs: String(unixNs) } satisfies LifeSign).padEnd(signBytes);
    if (!this.#made || !this.#overwrite(sign)) this.#make(sign);
  }

  /** One write within a page, which a kill does not divide; a file system may wait for its disk to replace a file. False: it is gone. */
  #overwrite(sign: string): boolean {
    let fd: number;
    try {
      fd = openSync(this.#file, 'r+');
    } catch (thrown) {
      if ((thrown as Partial<NodeJS.ErrnoException>).code === 'ENOENT') return false;
      throw thrown;
    }
    try {
      writeSync(fd, sign, 0);
    } finally {
      closeSync(fd);
    }
    return true;
  }

  /** Whatever was there before, as a whole or not at all. */
  #make(sign: string): void {
    writeFileSync(`${this.#file}.tmp`, sign);
    renameSync(`${this.#file}.tmp`, this.#file);
    this.#made = true;
  }

  /** The hole up to the first attach; undefined when no collector ran before in this kernel's life, or the wall clock was set back behind it. */
  downtime(firstAttachUnixNs: bigint): Downtime | undefined {
    try {
      const sign = JSON.parse(readFileSync(this.#file, 'utf8')) as LifeSign;
      if (sign.bootId !== this.#bootId) return undefined;
      const fromUnixNs = BigInt(sign.unixNs);
      return fromUnixNs <= firstAttachUnixNs ? { fromUnixNs, toUnixNs: firstAttachUnixNs } : undefined;
    } catch {
      return undefined;
    }
  }
}
