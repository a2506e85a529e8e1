import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { clean } from './support/expected-events.ts';
import { patiently } from './support/patiently.ts';
import { seedOfRun, sizeFromEnvironment } from './support/random.ts';
import type { RolesRun } from './support/roles-run.ts';
import { StoreRuns } from './support/store-runs.ts';

const events = sizeFromEnvironment('JITTERSCOPE_OUTAGE_EVENTS', 100_000);
/** Half of it the store is dead, half of it all requests are answered with 503. */
const outageMs = sizeFromEnvironment('JITTERSCOPE_OUTAGE_SECONDS', 40) * 1_000;
/** Until the processes have the size that they work with. */
const warmUpMs = 4_000;
/** Load without a fault, to compare the outage with. */
const usualMs = 15_000;
/** Load behind the outage. */
const afterMs = 3_000;
/** For so long a machine that is short of CPU may do other things. */
const busySeconds = 5;
const catchUpMs = 60_000;
const limitMs = 240_000;

const stores = {
  loki: { kill: () => runs.servers.loki.kill(), start: () => runs.servers.startLoki() },
  elasticsearch: { kill: () => runs.servers.elasticsearch.kill(), start: () => runs.servers.startElasticsearch() },
};
type StoreName = keyof typeof stores;

const runs = new StoreRuns('outage');

/** The most of some looks at its memory. */
const mebibytes = (rssBytes: readonly number[]) => Math.round(Math.max(...rssBytes) / 2 ** 20);

/** Looks at the sinks' process again and again: its memory, and how far each sink is. */
class Watch {
  /** Its memory at each look, bytes. */
  readonly rssBytes: number[] = [];
  readonly maxBehind: Record<string, number> = {};
  /** Events that each sink took a second, since the begin. */
  takenPerSecond: Record<string, number> = {};
  /** From the first look to the last. */
  durationMs = 0;
  readonly #run: RolesRun;
  #ends = false;
  readonly #running: Promise<void>;

  constructor(run: RolesRun) {
    this.#run = run;
    this.#running = this.#look();
  }

  async end(): Promise<void> {
    this.#ends = true;
    await this.#running;
  }

  async #look(): Promise<void> {
    const before = await this.#run.taken();
    const begunMs = performance.now();
    while (!this.#ends) {
      this.rssBytes.push(this.#run.roles.rssBytes('sinks'));
      for (const [sink, behind] of Object.entries(await this.#run.behind()))
        this.maxBehind[sink] = Math.max(this.maxBehind[sink] ?? 0, behind);
      const now = await this.#run.taken();
      this.durationMs = performance.now() - begunMs;
      const perSecond = ([sink, taken]: [string, number]) => [sink, Math.round((taken - before[sink]) / (this.durationMs / 1_000))];
      this.takenPerSecond = Object.fromEntries(Object.entries(now).map(perSecond));
      await sleep(250);
    }
  }
}

test.for(Object.keys(stores) as StoreName[])(
  `sink outage: %s is killed, then answers 503, for ${outageMs / 1000} s in all while ${events} events flow over Kafka: each is in each store once, the others do not wait, memory is flat`,
  { timeout: 600_000 + outageMs },
  async (name) => {
    const seed = seedOfRun();
    const recordsPerSecond = Math.ceil(events / ((warmUpMs + usualMs + outageMs + afterMs) / 1_000));
    const run = await runs.start({ seed, nodes: 6, recordsPerSecond });
    const { proxies } = run;
    await run.delivered();
    // What waited while stores made their first files and indices; a machine that is too slow for the load is compared with itself.
    const isCurrent = (behind: number) => behind < 2 * recordsPerSecond;
    await patiently('each sink has caught up', catchUpMs, async () => Object.values(await run.behind()).every(isCurrent)).catch(
      () => undefined,
    );
    await sleep(warmUpMs);
    const usual = new Watch(run);
    await sleep(usualMs);
    await usual.end();

    const outage = new Watch(run);
    const begunMs = performance.now();
    await stores[name].kill();
    await sleep(outageMs / 2);
    proxies[name].fault = () => ({ status: 503, body: 'down' });
    await stores[name].start();
    await sleep(Math.max(0, outageMs - (performance.now() - begunMs)));
    await outage.end();
    const refused = proxies[name].counts.refused;
    proxies[name].fault = () => 'pass';

    // Where the outage begins processes may still grow to the size that they work with.
    const quarter = Math.floor(outage.rssBytes.length / 4);
    const [atFirst, atLast] = [mebibytes(outage.rssBytes.slice(0, quarter)), mebibytes(outage.rssBytes.slice(-quarter))];
    const after = new Watch(run);
    await patiently('all events are made', limitMs, async () => (await run.made()) >= events);
    await sleep(afterMs);
    await run.settle(limitMs);
    await after.end();
    process.stdout.write(
      `  ${run.summary()}; at most behind ${JSON.stringify(usual.maxBehind)}, in the outage ${JSON.stringify(outage.maxBehind)}; taken a second ` +
        `${JSON.stringify(usual.takenPerSecond)}, in the outage ${JSON.stringify(outage.takenPerSecond)}; ${refused} requests refused; RSS of the sinks ` +
        `in the first quarter of the outage ${atFirst}, in the last ${atLast}, behind it ${mebibytes(after.rssBytes)} MiB\n`,
    );
    expect(run.fleet.items().events.count).toBeGreaterThanOrEqual(events);
    expect(await run.verdicts(), run.said()).toEqual({ files: clean, elasticsearch: clean, loki: clean });
    expect(await run.possiblyDoubled()).toBe(0);
    await run.expectLossIdentity();
    expect(refused).toBeGreaterThan(0);
    expect(outage.maxBehind[name]).toBeGreaterThan(events / 4);
    // A store that may come back holds up nobody: the others work as before. Where machine or store are too slow for the load they
    // fall behind for longer here, and where the store starts again it takes the machine for seconds.
    const longer = outage.durationMs / usual.durationMs;
    for (const sink of Object.keys(usual.takenPerSecond).filter((other) => other !== name)) {
      expect(outage.takenPerSecond[sink], `events a second, ${sink}`).toBeGreaterThan(usual.takenPerSecond[sink] / 2);
      expect(outage.maxBehind[sink], `behind, ${sink}`).toBeLessThan(2 * longer * usual.maxBehind[sink] + busySeconds * recordsPerSecond);
    }
    // What waits is in Kafka: nothing grows with the outage. Catching up takes whole fetches, and garbage of them.
    expect(atLast - atFirst).toBeLessThan(60);
    expect(mebibytes(after.rssBytes) - atFirst).toBeLessThan(200);
  },
);
