import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kernelTestsRun } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { clean } from './support/expected-events.ts';
import type { RoleName } from './support/kafka-roles.ts';
import { LiveResets } from './support/live-resets.ts';
import { Random, seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { RolesRun, type RolesRunOptions } from './support/roles-run.ts';
import { StoreServers } from './support/store-servers.ts';

/** How often each role is killed in each combination; `npm run soak -- --kills` takes 10. */
const rounds = sizeFromEnvironment('JITTERSCOPE_KILL_ROUNDS', 1);
/** Whether every role is killed in every combination. */
const isWhole = process.env.JITTERSCOPE_KILL_COMBINATIONS === 'all';
const stayMs = 2_500;
const settleLimitMs = 180_000;
const liveNode = 'live';
const live = [
  `node.name=${liveNode}`,
  ...['tcpretrans', 'packetloss', 'tcplife', 'tcpaccept'].map((probe) => `collector.probes.${probe}.enabled=false`),
];

type Combination = Required<Pick<RolesRunOptions, 'mayQuery' | 'sharded'>>;
const asked: Combination = { mayQuery: true, sharded: true };
const others: readonly Combination[] = [
  { mayQuery: true, sharded: false },
  { mayQuery: false, sharded: true },
  { mayQuery: false, sharded: false },
];

const random = new Random(seedOfRun());
let servers: StoreServers;
let lab: NetnsLab | undefined;
let runs = 0;

beforeAll(async () => {
  process.stdout.write(`kill -9: JITTERSCOPE_SEED=${random.seed}\n`);
  if (kernelTestsRun()) lab = new NetnsLab('-roles');
  servers = await StoreServers.start();
});

afterAll(async () => {
  await lab?.remove();
  await servers?.close();
});

const start = (combination: Combination, load: Pick<RolesRunOptions, 'nodes' | 'recordsPerSecond'>): Promise<RolesRun> =>
  RolesRun.start(servers, { name: `kill${++runs}`, seed: random.integer(1, 2 ** 30), settings: live, ...load, ...combination });

/** Kills these roles one after the other, each at a random moment, and starts them again. */
async function killInTurn(run: RolesRun, roles: readonly RoleName[]): Promise<void> {
  for (const role of roles) {
    await sleep(random.integer(0, stayMs));
    if (role === 'collector') {
      await Promise.all([run.fleet.kill(), run.kill(role)]);
      await Promise.all([run.fleet.start(), ...(lab === undefined ? [] : [run.roles.start(role)])]);
    } else await run.killAndStart(role);
  }
}

/** Kills the collectors when what they have seen cannot go anywhere but into their spools. */
async function killWithSpools(run: RolesRun, resets: LiveResets | undefined): Promise<void> {
  await run.kill('gateway');
  await resets?.stop();
  const before = (await resets?.items()) ?? 0;
  await resets?.make(20);
  await resets?.spooled(before, 20);
  await Promise.all([run.fleet.kill(), run.kill('collector')]);
  await run.roles.start('gateway');
  await Promise.all([run.fleet.start(), ...(lab === undefined ? [] : [run.roles.start('collector')])]);
  await resets?.make(20);
}

/** Every event is in each store once; in a Loki that may not be asked, what is there twice is counted. */
async function expectStored(run: RolesRun, { mayQuery }: Combination): Promise<void> {
  await run.settle(settleLimitMs);
  const { loki, ...verdicts } = await run.verdicts();
  const counted = await run.possiblyDoubled();
  process.stdout.write(`  ${run.summary()}; in Loki ${loki.twice} are there twice, ${counted} counted\n`);
  expect(verdicts, run.said()).toEqual({ files: clean, elasticsearch: clean });
  if (mayQuery) expect([loki, counted], run.said()).toEqual([clean, 0]);
  else {
    expect([loki.missing, loki.unexpected], loki.examples.join()).toEqual([0, 0]);
    expect(loki.twice).toBeLessThanOrEqual(counted);
  }
  await run.expectLossIdentity();
}

/** One run in which each role is killed, and the collectors once more with full spools. */
async function killEachRole(combination: Combination): Promise<void> {
  const run = await start(combination, { nodes: 6, recordsPerSecond: 500 });
  try {
    const resets = lab === undefined ? undefined : new LiveResets(lab, run.roles);
    if (resets !== undefined) await run.roles.start('collector');
    resets?.flow();
    const roles: RoleName[] = ['sinks', 'aggregator', 'gateway', 'collector'];
    await killInTurn(
      run,
      roles.sort(() => random.next() - 0.5),
    );
    await killWithSpools(run, resets);
    await sleep(random.integer(0, stayMs));
    await run.roles.stop('collector');
    await expectStored(run, combination);
    if (resets === undefined) return;
    const stores = run.stores();
    const held = await Promise.all(stores.map((store) => store.documents(liveNode)));
    expect(held.map((events, index) => [stores[index].name, resets.wrong(events)])).toEqual(stores.map(({ name }) => [name, []]));
    const ids = held.map((events) => events.map(({ event }) => event.id).sort());
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]).toEqual(ids[0]);
    process.stdout.write(
      `  of the kernel: ${ids[0].length} events, ${resets.counts.made} connections, ${resets.counts.uncertain} uncertain\n`,
    );
  } finally {
    await run.close();
  }
}

/** One run in which the sinks are killed. */
async function killSinks(combination: Combination): Promise<void> {
  const run = await start(combination, { nodes: 2, recordsPerSecond: 200 });
  try {
    await killInTurn(run, ['sinks']);
    await sleep(random.integer(0, stayMs));
    await expectStored(run, combination);
  } finally {
    await run.close();
  }
}

const named = ({ mayQuery, sharded }: Combination) =>
  `a Loki that ${mayQuery ? 'may' : 'may not'} be queried and ${sharded ? 'splits' : 'does not split'} streams`;
const limit = { timeout: rounds * 400_000 };

test(
  `kill -9: each role, over Kafka, at a random moment under load: nothing lost and nothing twice in files, Elasticsearch and ${named(asked)}`,
  limit,
  async () => {
    for (let round = 0; round < rounds; round++) await killEachRole(asked);
  },
);

if (isWhole)
  test.for(others)('kill -9: each role, over Kafka, at a random moment under load: %o', limit, async (combination) => {
    for (let round = 0; round < rounds; round++) await killEachRole(combination);
  });
else
  test(
    `kill -9: the sinks, over Kafka, before a Loki that may not be queried or does not split streams: nothing lost, and all that may be there twice is counted`,
    limit,
    async () => {
      await Promise.all(others.map(killSinks));
    },
  );
