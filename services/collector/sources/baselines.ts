import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

/** By field: what is to be added to the kernel's value, and the value that was read last. */
export type Baseline = Readonly<Record<string, readonly [base: number, raw: number]>>;

/** Targets that are kept. Few need it: the CPUs of the node, and what was reset while it lived. */
const maxTargets = 4096;
const maxFileBytes = 4 * 2 ** 20;
/** Of the file, beside the targets. */
const restBytes = 256;

const fileSchema = z.object({
  bootId: z.string(),
  targets: z.record(z.string(), z.record(z.string(), z.readonly(z.tuple([z.number(), z.number()])))),
});

/** Keeps the baselines of counters in a file, so that totals go on over a restart of the collector. */
export class Baselines {
  readonly #file: string;
  readonly #bootId: string;
  #restored: ReadonlyMap<string, Baseline>;

  /** @param bootId kernel counters begin anew with each boot: baselines of another one are not used */
  constructor(file: string, bootId: string) {
    this.#file = file;
    this.#bootId = bootId;
    this.#restored = this.#read();
  }

  /** What an earlier collector kept of a target. */
  of(key: string): Baseline | undefined {
    return this.#restored.get(key);
  }

  /** Targets that did not fit when they were last written. */
  omitted = 0;

  /** Writes the baselines of all live targets, in one step. Throws when the disk refuses. */
  write(live: Iterable<readonly [key: string, baseline: Baseline]>): void {
    const targets: Record<string, Baseline> = {};
    let kept = 0;
    let bytes = restBytes;
    this.omitted = 0;
    for (const [key, baseline] of live) {
      bytes += Buffer.byteLength(JSON.stringify(key)) + Buffer.byteLength(JSON.stringify(baseline)) + 2;
      // Of a file that is too large nothing would be read again.
      if (++kept <= maxTargets && bytes <= maxFileBytes) targets[key] = baseline;
      else this.omitted++;
    }
    // Unsynced: it must outlive the process, not the kernel, with which the counters go too.
    writeFileSync(`${this.#file}.tmp`, JSON.stringify({ bootId: this.#bootId, targets }));
    renameSync(`${this.#file}.tmp`, this.#file);
    this.#restored = new Map(Object.entries(targets));
  }

  #read(): ReadonlyMap<string, Baseline> {
    try {
      const bytes = readFileSync(this.#file);
      if (bytes.length > maxFileBytes) return new Map();
      const { bootId, targets } = fileSchema.parse(JSON.parse(bytes.toString()));
      return bootId === this.#bootId ? new Map(Object.entries(targets)) : new Map();
    } catch {
      // None yet, or damaged: totals are then what the kernel prints.
      return new Map();
    }
  }
}
