import { readFileSync, renameSync, writeFileSync } from 'node:fs';

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

/** Keeps the last sign of life in a file, so that the next collector can state the hole between them. */
export class LifeSigns {
  readonly #file: string;
  readonly #bootId: string;

  constructor(file: string, bootId: string) {
    this.#file = file;
    this.#bootId = bootId;
  }

  write(unixNs: bigint): void {
    // In one step, so that a kill leaves the sign before or this one; unsynced: it must outlive the process, not the kernel.
    writeFileSync(`${this.#file}.tmp`, JSON.stringify({ bootId: this.#bootId, unixNs: String(unixNs) } satisfies LifeSign));
    renameSync(`${this.#file}.tmp`, this.#file);
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
