import { isDeepStrictEqual } from 'node:util';
import type { ZodType } from 'zod';
import { AppError, messageOf } from '../app-error.ts';
import { type Log, LogLimiter } from '../log.ts';
import { type Field, fieldsOf, valueAt } from './field.ts';
import { type LoadedConfig, loadConfig, type Setting } from './load.ts';
import type { ConfigSources } from './sources.ts';
import { assign, type Tree } from './tree.ts';
import { PathWatch, type WatchOptions } from './watch.ts';
import { readConfigText } from './yaml-file.ts';

/** What a reload changes. */
export interface ConfigChange<Config> {
  /** What holds from now on; fields that need a restart are as they were. */
  readonly config: Config;
  readonly previous: Config;
  /** Live fields whose values differ: 'collector.burst'. Empty when only files that the configuration names have changed. */
  readonly changed: ReadonlySet<string>;
}

/** Puts a change into effect. */
type Commit = () => void | Promise<void>;

/**
 * Prepares a change, and returns what puts it into effect, or nothing. Throws an AppError when it cannot be: then nothing
 * of this configuration takes effect.
 */
export type ReloadHook<Config> = (change: ConfigChange<Config>) => Commit | undefined | Promise<Commit | undefined>;

/** A field that waits for a restart. */
export interface PendingSetting {
  readonly running: Setting;
  readonly next: Setting;
}

export interface ReloadStatus {
  readonly successes: number;
  readonly failures: number;
  /** Of the last one that was tried; the start counts. */
  readonly lastSuccessful: boolean;
  /** The start counts. */
  readonly lastSuccessUnixMs: number;
  /** Why the last one failed. */
  readonly problem: string | undefined;
  /** What holds now. */
  readonly settings: readonly Setting[];
  readonly pending: readonly PendingSetting[];
}

export interface ReloaderOptions<Config> {
  readonly schema: ZodType<Config>;
  readonly sources: ConfigSources;
  /** What the process started with. */
  readonly loaded: LoadedConfig<Config>;
  /** Files and folders that a configuration names, whose changes are a change of it. */
  named?(config: Config): readonly string[];
  readonly log: Log;
  readonly watch?: WatchOptions;
}

/** The same mistake is told once in this time. */
const repeatedMs = 1_000;

/** Follows the configuration file while the process runs. A file with mistakes changes nothing. */
export class ConfigReloader<Config> {
  readonly #options: ReloaderOptions<Config>;
  readonly #fields: readonly Field[];
  readonly #hooks: ReloadHook<Config>[] = [];
  readonly #limiter = new LogLimiter(repeatedMs);
  #config: Config;
  #settings: readonly Setting[];
  #pending: readonly PendingSetting[] = [];
  /** What the file said when it was read last. */
  #text: string | undefined;
  #counts = { successes: 0, failures: 0 };
  #last: { problem?: string; successUnixMs: number } = { successUnixMs: Date.now() };
  #fileWatch: PathWatch | undefined;
  #namedWatches = new Map<string, PathWatch>();
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: ReloaderOptions<Config>) {
    this.#options = options;
    this.#fields = fieldsOf(options.schema);
    this.#config = options.loaded.config;
    this.#settings = options.loaded.settings;
    this.#text = options.loaded.text;
  }

  get status(): ReloadStatus {
    const { problem, successUnixMs } = this.#last;
    const lastSuccessful = problem === undefined;
    return { ...this.#counts, lastSuccessful, lastSuccessUnixMs: successUnixMs, problem, settings: this.#settings, pending: this.#pending };
  }

  /** Hooks prepare in the order in which they were added, and commit in it. */
  onReload(hook: ReloadHook<Config>): void {
    this.#hooks.push(hook);
  }

  start(): void {
    const { file } = this.#options.sources;
    const reload = (): void => this.#queue(() => this.#reload());
    if (file !== undefined) this.#fileWatch = new PathWatch(file, reload, this.#options.watch);
    const watched = Promise.all([this.#watchNamed(this.#config), this.#fileWatch?.ready]);
    // They may have changed since they were read, and until they are watched.
    this.#queue(async () => void (await watched));
    reload();
    if (this.#namedWatches.size > 0) this.#queue(() => this.#renew());
  }

  /** Resolves when a reload that is under way is done. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#fileWatch?.close();
    await this.#work;
    for (const watch of this.#namedWatches.values()) watch.close();
  }

  /** One at a time. */
  #queue(work: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (!this.#closed) await work();
    });
  }

  /** @param again also when the file says what it said */
  async #reload(again = false): Promise<void> {
    const { schema, sources } = this.#options;
    if (sources.file === undefined) return;
    try {
      const last = this.#text;
      this.#text = undefined;
      const text = readConfigText(sources.file);
      this.#text = text;
      if (text === last && !again) return;
      await this.#take(loadConfig(schema, { ...sources, text }));
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  /** Files that the configuration names have changed, not the configuration. One that stands refused may be right with them. */
  async #renew(): Promise<void> {
    if (this.#last.problem !== undefined && this.#options.sources.file !== undefined) {
      await this.#reload(true);
      return;
    }
    try {
      await this.#apply({ config: this.#config, previous: this.#config, changed: new Set() });
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  async #take(loaded: LoadedConfig<Config>): Promise<void> {
    const next = structuredClone(this.#config);
    const changed = new Set<string>();
    const pending: PendingSetting[] = [];
    const settings = this.#fields.map((field, i) => {
      const [running, wanted] = [this.#settings[i], loaded.settings[i]];
      const value = valueAt(loaded.config, field.path);
      if (isDeepStrictEqual(valueAt(this.#config, field.path), value)) return wanted;
      if (!field.live) {
        pending.push({ running, next: wanted });
        return running;
      }
      changed.add(field.path.join('.'));
      assign(next as Tree, field.path, value);
      return wanted;
    });
    // Before it is read: no change is missed, and what a refused configuration names may be put right, too.
    await this.#watchNamed(this.#config, next);
    await this.#apply({ config: next, previous: this.#config, changed });
    this.#config = next;
    this.#settings = settings;
    this.#tellPending(pending);
    void this.#watchNamed(next);
  }

  async #apply(change: ConfigChange<Config>): Promise<void> {
    const commits: (Commit | undefined)[] = [];
    for (const hook of this.#hooks) commits.push(await hook(change));
    let problem: unknown;
    for (const commit of commits) {
      try {
        await commit?.();
      } catch (thrown) {
        problem ??= thrown;
      }
    }
    if (problem !== undefined) {
      this.#failed(problem, 'a part of the configuration did not take effect');
      return;
    }
    this.#counts.successes++;
    this.#last = { successUnixMs: Date.now() };
    this.#options.log.info({ changed: [...change.changed] }, 'the configuration was reloaded');
  }

  #tellPending(pending: readonly PendingSetting[]): void {
    const keys = (all: readonly PendingSetting[]): string => JSON.stringify(all.map(({ next }) => [next.field.path, next.value]));
    const news = keys(pending) !== keys(this.#pending);
    this.#pending = pending;
    if (!news || pending.length === 0) return;
    const settings = pending.map(({ next }) => next.field.path.join('.'));
    this.#options.log.warn({ code: 'CONFIG_RESTART_NEEDED', settings }, `takes effect at the next start: ${settings.join(', ')}`);
  }

  #failed(thrown: unknown, consequence = 'the configuration stays as it was'): void {
    this.#counts.failures++;
    const problem = messageOf(thrown);
    this.#last = { problem, successUnixMs: this.#last.successUnixMs };
    const fields = thrown instanceof AppError ? { code: thrown.code, remedy: thrown.remedy, ...placeOf(thrown) } : {};
    this.#limiter.once(problem, (heldBack) => this.#options.log.error({ ...fields, heldBack }, `${consequence}: ${problem}`));
  }

  /** Follows what these configurations name, and nothing else. Resolves when their changes are seen. */
  async #watchNamed(...configs: readonly Config[]): Promise<void> {
    const wanted = new Set(configs.flatMap((config) => this.#options.named?.(config) ?? []));
    for (const [path, watch] of this.#namedWatches) {
      if (wanted.has(path)) continue;
      watch.close();
      this.#namedWatches.delete(path);
    }
    for (const path of wanted) {
      if (this.#namedWatches.has(path)) continue;
      const changed = (): void => this.#queue(() => this.#renew());
      this.#namedWatches.set(path, new PathWatch(path, changed, this.#options.watch));
    }
    await Promise.all([...this.#namedWatches.values()].map(({ ready }) => ready));
  }
}

function placeOf({ details }: AppError): object {
  const { file, line, column, path, found, expected } = details;
  return { file, line, column, path, found, expected };
}
