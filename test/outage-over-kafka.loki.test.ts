import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { clean } from './support/expected-events.ts';
import { patiently } from './support/patiently.ts';
import { seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { RolesRun } from './support/roles-run.ts';
import { StoreServers } from './support/store-servers.ts';

const events = sizeFromEnvironment('JITTERSCOPE_OUTAGE_EVENTS', 100_000);
/** Half of it the store is dead, half of it all requests are answered with 503. */
const outageMs = sizeFromEnvironment('JITTERSCOPE_OUTAGE_SECONDS', 40) * 1_000;
/** Until the processes have the size that they work with. */
const warmUpMs = 4_000;
/** Load behind the outage. */
const afterMs = 3_000;
/** Some records are of probes that nobody knows, and become no event. */
const records = Math.ceil(events * 1.003);
const limitMs = 240_000;

const stores = {
  loki: { kill: () => servers.loki.kill(), start: () => servers.startLoki() },
  elasticsearch: { kill: () => servers.elasticsearch.kill(), start: () => servers.startElasticsearch() },
};
type StoreName = keyof typeof stores;

let servers: StoreServers;
let run: RolesRun | undefined;
let runs = 0;
beforeAll(async () => {
  servers = await StoreServers.start();
});
afterEach(async () => {
  await run?.close();
  run = undefined;
});
afterAll(() => servers?.close());

/** The most of some looks at its memory. */
const mebibytes = (rssBytes: readonly number[]) => Math.round(Math.max(...rssBytes) / 2 ** 20);

/** Looks at the sinks' process again and again: its memory, and how far each sink is. */
class Watch {
  /** Its memory at each look, bytes. */
  readonly rssBytes: number[] = [];
  readonly maxBehind: Record<string, number> = {};
  /** Events that each sink took since the begin. */
  taken: Record<string, number> = {};
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
    while (!this.#ends) {
      this.rssBytes.push(this.#run.roles.rssBytes('sinks'));
      for (const [sink, behind] of Object.entries(await this.#run.behind()))
        this.maxBehind[sink] = Math.max(this.maxBehind[sink] ?? 0, behind);
      const now = await this.#run.taken();
      this.taken = Object.fromEntries(Object.entries(now).map(([sink, taken]) => [sink, taken - before[sink]]));
      await sleep(250);
    }
  }
}

test.for(Object.keys(stores) as StoreName[])(
  `sink outage: %s is killed, then answers 503, for ${outageMs / 1000} s in all while ${events} events flow over Kafka: each is in each store once, the others do not wait, memory is flat`,
  { timeout: 600_000 + outageMs },
  async (name) => {
    const seed = seedOfRun();
    const recordsPerSecond = Math.ceil(records / ((outageMs + warmUpMs + afterMs) / 1_000));
    run = await RolesRun.start(servers, { name: `outage${++runs}`, seed, nodes: 6, recordsPerSecond, maxRecords: records });
    const { fleet, proxies } = run;
    const current = run;
    const taken = async () =>
      (await current.figures()).sinks.every(({ partitions }) => partitions.some(([, found]) => found.delivered > 0));
    await patiently('each store has taken events', 60_000, taken);
    await sleep(warmUpMs);

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
    await fleet.made(limitMs);
    await run.settle(limitMs);
    await after.end();
    process.stdout.write(
      `  ${run.summary()}; behind at most in the outage ${JSON.stringify(outage.maxBehind)}, taken ${JSON.stringify(outage.taken)}; ${refused} requests refused; RSS of the sinks ` +
        `in the first quarter of the outage ${atFirst}, in the last ${atLast}, behind it ${mebibytes(after.rssBytes)} MiB\n`,
    );
    expect(run.fleet.items().events.count).toBeGreaterThanOrEqual(events);
    expect(await run.verdicts(), run.said()).toEqual({ files: clean, elasticsearch: clean, loki: clean });
    expect(await run.possiblyDoubled()).toBe(0);
    await run.expectLossIdentity();
    expect(refused).toBeGreaterThan(0);
    // A store that may come back holds up nobody. How fast the others are is the machine's, and that of a real store.
    const { [name]: stopped, ...others } = outage.taken;
    expect(outage.maxBehind[name]).toBeGreaterThan(events / 4);
    expect(outage.maxBehind.file).toBeLessThan(outage.maxBehind[name] / 2);
    for (const [sink, taken] of Object.entries(others)) expect(taken, sink).toBeGreaterThan(stopped + events / 20);
    // What waits is in Kafka: nothing grows with the outage. Catching up takes whole fetches, and garbage of them.
    expect(atLast - atFirst).toBeLessThan(60);
    expect(mebibytes(after.rssBytes) - atFirst).toBeLessThan(200);
  },
);
