import { afterAll, afterEach, beforeAll } from 'vitest';
import { RolesRun, type RolesRunOptions } from './roles-run.ts';
import { StoreServers } from './store-servers.ts';

/** The servers of a test file, for all its tests, and the runs over them: each test's end with it. */
export class StoreRuns {
  servers!: StoreServers;
  readonly #kind: string;
  readonly #running = new Set<RolesRun>();
  #started = 0;

  /** Where it is made its servers start before the first test. @param kind begin of its runs' names */
  constructor(kind: string) {
    this.#kind = kind;
    beforeAll(async () => {
      this.servers = await StoreServers.start();
    });
    afterEach(() => this.end());
    afterAll(() => this.servers?.close());
  }

  /** Starts a run; resolves when the load flows. */
  async start(options: Omit<RolesRunOptions, 'name'>): Promise<RolesRun> {
    const run = await RolesRun.start(this.servers, { ...options, name: `${this.#kind}${++this.#started}` });
    this.#running.add(run);
    return run;
  }

  /** Ends what runs. */
  async end(): Promise<void> {
    const ending = [...this.#running];
    this.#running.clear();
    await Promise.all(ending.map((run) => run.close()));
  }
}
