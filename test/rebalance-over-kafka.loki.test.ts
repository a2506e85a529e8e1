import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { clean } from './support/expected-events.ts';
import { patiently } from './support/patiently.ts';
import { seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { RolesRun } from './support/roles-run.ts';
import { StoreServers } from './support/store-servers.ts';

const rounds = sizeFromEnvironment('JITTERSCOPE_REBALANCE_ROUNDS', 2);
/** How long the second ones stay, and stay away, at least: until all have their share. */
const stayMs = sizeFromEnvironment('JITTERSCOPE_REBALANCE_SECONDS', 3) * 1_000;
const shareLimitMs = 120_000;

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

/** Whether a second one works on a partition, and has written to each store. */
async function haveShare(of: RolesRun): Promise<boolean> {
  const { aggregator, sinks } = await of.figures('aggregator-2', 'sinks-2');
  return aggregator.length > 0 && sinks.every(({ delivery }) => delivery.sentEvents > 0);
}

/** Whether the first ones have all partitions with events again. */
async function haveAll(of: RolesRun): Promise<boolean> {
  const { aggregator, sinks } = await of.figures();
  const held = [aggregator.map(({ partition }) => partition), ...sinks.map(({ partitions }) => partitions.map(([partition]) => partition))];
  return held.every((those) => of.usedPartitions.every((partition) => those.includes(partition)));
}

test(`rebalance: a second aggregator and a second sinks process join and leave ${rounds} times under load: nothing lost, nothing twice in any store, the ids are those of one instance`, {
  timeout: 300_000 + 2 * rounds * (stayMs + shareLimitMs),
}, async () => {
  const seed = seedOfRun();
  process.stdout.write(`rebalance: JITTERSCOPE_SEED=${seed}\n`);
  const current = await RolesRun.start(servers, { name: `rebalance${++runs}`, seed, nodes: 6, recordsPerSecond: 1_000 });
  run = current;
  const { roles } = current;
  for (let round = 0; round < rounds; round++) {
    await Promise.all([roles.start('aggregator', 'aggregator-2'), roles.start('sinks', 'sinks-2')]);
    await Promise.all([sleep(stayMs), patiently('the second ones have a share', shareLimitMs, () => haveShare(current))]);
    expect(await roles.stop('aggregator-2'), roles.said('aggregator-2')).toBe(143);
    expect(await roles.stop('sinks-2'), roles.said('sinks-2')).toBe(143);
    await Promise.all([sleep(stayMs), patiently('the first ones have all', shareLimitMs, () => haveAll(current))]);
  }
  await current.settle(120_000);
  // Ids are those of the node, the session and the item (fleet-ledger.ts): whoever makes them, they are the same.
  expect(await current.verdicts(['sinks', 'sinks-2']), current.said()).toEqual({ files: clean, elasticsearch: clean, loki: clean });
  const { ids } = await current.stores(['sinks-2'])[0].events('');
  expect(ids.length, 'the second one had a share').toBeGreaterThan(0);
  expect(await current.possiblyDoubled()).toBe(0);
  await current.expectLossIdentity();
  process.stdout.write(`  ${current.summary()}\n`);
});
