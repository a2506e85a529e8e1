import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clean } from './support/expected-events.ts';
import { seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { RolesRun } from './support/roles-run.ts';
import { StoreServers } from './support/store-servers.ts';

const rounds = sizeFromEnvironment('JITTERSCOPE_REBALANCE_ROUNDS', 2);
/** How long the second ones stay, and stay away. */
const stayMs = sizeFromEnvironment('JITTERSCOPE_REBALANCE_SECONDS', 3) * 1_000;

let servers: StoreServers;
let run: RolesRun | undefined;
beforeAll(async () => {
  servers = await StoreServers.start();
});
afterAll(async () => {
  await run?.close();
  await servers?.close();
});

test(`rebalance: a second aggregator and a second sinks process join and leave ${rounds} times under load: nothing lost, nothing twice in any store, the ids are those of one instance`, {
  timeout: 300_000 + 2 * rounds * stayMs,
}, async () => {
  const seed = seedOfRun();
  process.stdout.write(`rebalance: JITTERSCOPE_SEED=${seed}\n`);
  run = await RolesRun.start(servers, { name: 'rebalance', seed, nodes: 6, recordsPerSecond: 1_000 });
  const { roles } = run;
  for (let round = 0; round < rounds; round++) {
    await Promise.all([roles.start('aggregator', 'aggregator-2'), roles.start('sinks', 'sinks-2')]);
    await sleep(stayMs);
    expect(await roles.stop('aggregator-2'), roles.said('aggregator-2')).toBe(143);
    expect(await roles.stop('sinks-2'), roles.said('sinks-2')).toBe(143);
    await sleep(stayMs);
  }
  await run.settle(120_000);
  // Ids are those of the node, the session and the item (fleet-ledger.ts): whoever makes them, they are the same.
  expect(await run.verdicts(['sinks', 'sinks-2']), run.said()).toEqual({ files: clean, elasticsearch: clean, loki: clean });
  const { ids } = await run.stores(['sinks-2'])[0].events('');
  expect(ids.length, 'the second one had a share').toBeGreaterThan(0);
  expect(await run.possiblyDoubled()).toBe(0);
  await run.expectLossIdentity();
  process.stdout.write(`  ${run.summary()}\n`);
});
