import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { classify, errnoOf } from './classify.ts';

const count = z.int().nonnegative();

const entrySchema = z.object({
  /** Number of the file that is written to. */
  file: count,
  /** Its durable length. */
  bytes: count,
  /** Origin and id of the last event in it; absent: not known. */
  last: z.object({ rawOffset: count, ordinal: count, eventId: z.string() }).optional(),
  /** Running number of the next event; absent: not known. */
  nextEvent: count.optional(),
  /** Events and bytes written to all files of the partition, deleted ones included. */
  totalEvents: count,
  totalBytes: count,
});

const manifestSchema = z.object({ version: z.literal(1), partitions: z.record(z.string().regex(/^\d+$/), entrySchema) });

/** What is durable of one partition. */
export type ManifestEntry = z.output<typeof entrySchema>;

const fileName = 'manifest.json';

/**
 * `manifest.json`: how much of each partition's file is delivered. Replaced as a whole by write, fdatasync and
 * rename, so it is the old one or the new one. Saves that come while one runs share the next one.
 */
export class Manifest {
  readonly #dir: string;
  readonly #entries: Map<number, ManifestEntry>;
  /** Entries of the next write. They count only once it succeeded. */
  #staged = new Map<number, ManifestEntry>();
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;

  private constructor(dir: string, entries: Map<number, ManifestEntry>) {
    this.#dir = dir;
    this.#entries = entries;
  }

  /** Reads a folder's manifest. A damaged one is moved aside and told with `problem`. */
  static async read(dir: string): Promise<{ manifest: Manifest; state: 'read' | 'absent' | 'damaged'; problem?: string }> {
    const path = join(dir, fileName);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') throw classify(thrown, 'read', path);
      return { manifest: new Manifest(dir, new Map()), state: 'absent' };
    }
    try {
      const { partitions } = manifestSchema.parse(JSON.parse(text));
      const entries = new Map(Object.entries(partitions).map(([partition, entry]) => [Number(partition), entry]));
      return { manifest: new Manifest(dir, entries), state: 'read' };
    } catch (thrown) {
      await rename(path, `${path}.damaged`).catch((failure: unknown) => Promise.reject(classify(failure, 'rename', path)));
      const problem = thrown instanceof z.ZodError ? z.prettifyError(thrown) : String(thrown);
      return { manifest: new Manifest(dir, new Map()), state: 'damaged', problem };
    }
  }

  get partitions(): readonly number[] {
    return [...this.#entries.keys()];
  }

  entry(partition: number): ManifestEntry | undefined {
    return this.#entries.get(partition);
  }

  /** Corrects what was read, until the next save: the files are not as the manifest says. */
  assume(partition: number, entry: ManifestEntry): void {
    this.#entries.set(partition, entry);
  }

  /** Makes the entry durable; rejects, and keeps the old one, when it cannot. */
  save(partition: number, entry: ManifestEntry): Promise<void> {
    this.#staged.set(partition, entry);
    this.#queued ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#queued = undefined;
        this.#running = this.#write();
        return this.#running;
      });
    return this.#queued;
  }

  async #write(): Promise<void> {
    const staged = this.#staged;
    this.#staged = new Map();
    const next = new Map([...this.#entries, ...staged]);
    const path = join(this.#dir, fileName);
    const body: z.input<typeof manifestSchema> = { version: 1, partitions: Object.fromEntries(next) };
    try {
      const file = await open(`${path}.tmp`, 'w', 0o600);
      try {
        await file.writeFile(`${JSON.stringify(body, undefined, 1)}\n`);
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(`${path}.tmp`, path);
      await syncFolder(this.#dir);
    } catch (thrown) {
      await rm(`${path}.tmp`, { force: true }).catch(() => undefined);
      throw classify(thrown, 'write', path);
    }
    for (const [partition, entry] of staged) this.#entries.set(partition, entry);
  }
}

/** Makes names created, renamed or deleted in a folder durable. */
export async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
