import { type FSWatcher, watch } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export interface WatchOptions {
  /** Quiet time after the last change. */
  readonly settleMs?: number;
  /** A change is told after this long at the latest, however many follow it. */
  readonly maxSettleMs?: number;
  /** How often the path is looked at: file systems without inotify, and links that lead elsewhere, tell nothing by themselves. */
  readonly pollMs?: number;
}

/** What a ConfigMap's volume swaps: a link to the folder with the files (kubelet's AtomicWriter). */
const dataLink = '..data';
/** Entries of a folder that are looked at. */
const maxEntries = 1_000;

/**
 * Tells that a file, or the files of a folder, may have changed: by edits, by renames, by a swap of the link that leads to it.
 * It is the folder around the path that is watched, so any number of changes is seen.
 */
export class PathWatch {
  /** Resolves when changes are seen. */
  readonly ready: Promise<unknown>;
  readonly #path: string;
  readonly #folder: string;
  readonly #options: Required<WatchOptions>;
  readonly #changed: () => void;
  readonly #timer: NodeJS.Timeout;
  #watchers: FSWatcher[] = [];
  #watched = '';
  #seen: string | undefined;
  #settle: NodeJS.Timeout | undefined;
  #firstMs: number | undefined;
  #closed = false;

  /** @param changed is called after each change that has settled; not at the start */
  constructor(path: string, changed: () => void, { settleMs = 100, maxSettleMs = 1_000, pollMs = 5_000 }: WatchOptions = {}) {
    this.#path = path;
    this.#folder = dirname(path);
    this.#options = { settleMs, maxSettleMs, pollMs };
    this.#changed = changed;
    this.#timer = setInterval(() => void this.#poll(), pollMs);
    this.#timer.unref();
    this.ready = this.#look();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#settle);
    this.#unwatch();
  }

  async #poll(): Promise<void> {
    if (await this.#look()) this.#note();
  }

  /** Watches again what was replaced. Resolves with whether there is something else than the last time. */
  async #look(): Promise<boolean> {
    const folders = await Promise.all([this.#folder, this.#path].map((path) => identityOf(path)));
    if (this.#closed) return false;
    const watched = folders.join(' ');
    if (watched !== this.#watched) {
      this.#watch();
      this.#watched = watched;
    }
    const seen = await fingerprintOf(this.#path);
    const differs = this.#seen !== undefined && seen !== this.#seen;
    this.#seen = seen;
    return differs;
  }

  #watch(): void {
    this.#unwatch();
    for (const folder of [this.#folder, this.#path]) {
      try {
        // A path that is a file is told twice, which settles.
        const watcher = watch(folder, { persistent: false }, (_, name) => this.#told(folder, name));
        watcher.on('error', () => this.#unwatch());
        this.#watchers.push(watcher);
      } catch {
        // It is not there, or the system has no watch left: it is looked at.
      }
    }
  }

  #unwatch(): void {
    this.#watched = '';
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }

  /** Other files of the same folder do not matter. */
  #told(folder: string, name: string | null): void {
    if (folder === this.#path || name === null || name === basename(this.#path) || name === dataLink) this.#note();
  }

  #note(): void {
    if (this.#closed) return;
    const nowMs = performance.now();
    this.#firstMs ??= nowMs;
    const { settleMs, maxSettleMs } = this.#options;
    clearTimeout(this.#settle);
    const waitMs = Math.max(0, Math.min(settleMs, this.#firstMs + maxSettleMs - nowMs));
    this.#settle = setTimeout(() => {
      this.#firstMs = undefined;
      void this.#tell();
    }, waitMs);
  }

  async #tell(): Promise<void> {
    // Before the change is told: one that comes meanwhile is another one.
    await this.#look();
    if (!this.#closed) this.#changed();
  }
}

/** Which folder a path is now; empty when it is none. */
async function identityOf(path: string): Promise<string> {
  try {
    const found = await stat(path, { bigint: true });
    return `${found.dev}:${found.ino}`;
  } catch {
    return '';
  }
}

/** Changes when the file, or a file of the folder, does. */
async function fingerprintOf(path: string): Promise<string> {
  try {
    const found = await stat(path, { bigint: true });
    if (!found.isDirectory()) return `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
    const names = (await readdir(path)).sort().slice(0, maxEntries);
    const files = await Promise.all(
      names.map(async (name) => {
        const entry = await stat(join(path, name), { bigint: true }).catch(() => undefined);
        return entry?.isFile() === true ? `${name}:${entry.ino}:${entry.size}:${entry.mtimeNs}` : '';
      }),
    );
    return files.join(' ');
  } catch {
    return 'missing';
  }
}
