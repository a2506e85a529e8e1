import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kernelTestsRun } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { clean } from './support/expected-events.ts';
import type { RoleName } from './support/kafka-roles.ts';
import { LiveResets } from './support/live-resets.ts';
import { patiently } from './support/patiently.ts';
import { Random, seedOfRun, sizeFromEnvironment } from './support/random.ts';
import type { RolesRun, RolesRunOptions } from './support/roles-run.ts';
import { StoreRuns } from './support/store-runs.ts';

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
const runs = new StoreRuns('kill');
let lab: NetnsLab | undefined;

beforeAll(() => {
  process.stdout.write(`kill -9: JITTERSCOPE_SEED=${random.seed}\n`);
  if (kernelTestsRun()) lab = new NetnsLab('-roles');
});

afterAll(() => lab?.remove());

const start = (combination: Combination, load: Pick<RolesRunOptions, 'nodes' | 'recordsPerSecond'>): Promise<RolesRun> =>
  runs.start({ seed: random.integer(1, 2 ** 30), settings: live, ...load, ...combination });

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
  await resets?.make(20);
  await resets?.spooled();
  await Promise.all([run.fleet.kill(), run.kill('collector')]);
  await run.roles.start('gateway');
  await Promise.all([run.fleet.start(), ...(lab === undefined ? [] : [run.roles.start('collector')])]);
  await resets?.make(20);
}

/**
 * Kills the sinks, and starts them again. Resolves with how many events the Loki sink may have been sending: those that it had
 * not taken shortly before, which is at least what it had fetched.
 */
async function killSinksAtWork(run: RolesRun): Promise<number> {
  const { loki: taken } = await run.taken();
  await run.kill('sinks');
  const made = await run.made();
  await run.roles.start('sinks');
  return made - taken;
}

/** The same while Loki has a push that the sink waits for the answer to. */
async function killSinksWithoutAnswer(run: RolesRun): Promise<number> {
  const { loki } = run.proxies;
  const { fault } = loki;
  const { withhold } = loki.counts;
  loki.fault = (request) => (request.url?.includes('/push') ? 'withhold' : fault(request));
  await patiently('Loki has taken a push', settleLimitMs, () => loki.counts.withhold > withhold);
  const sending = await killSinksAtWork(run);
  loki.fault = fault;
  return sending;
}

/**
 * Every event is in each store once; in a Loki that may not be asked, what is there twice is counted.
 * @param sent events that Loki sinks may have been sending when they were killed
 */
async function expectStored(run: RolesRun, { mayQuery }: Combination, sent = Number.POSITIVE_INFINITY): Promise<void> {
  await run.settle(settleLimitMs);
  const { loki, ...verdicts } = await run.verdicts();
  const counted = await run.possiblyDoubled();
  process.stdout.write(
    `  ${run.summary()}; in Loki ${loki.twice} are there twice, ${counted} counted${Number.isFinite(sent) ? ` of ${sent} on their way` : ''}\n`,
  );
  expect(verdicts, run.said()).toEqual({ files: clean, elasticsearch: clean });
  if (mayQuery) expect([loki, counted], run.said()).toEqual([clean, 0]);
  else {
    expect([loki.missing, loki.unexpected], loki.examples.join()).toEqual([0, 0]);
    expect(loki.twice).toBeLessThanOrEqual(counted);
    // A sink was killed while it had no answer: nothing counted would be nothing tested.
    expect(counted).toBeGreaterThan(0);
    expect(counted).toBeLessThanOrEqual(sent);
  }
  await run.expectLossIdentity();
}

/** One run in which each role is killed, and the collectors once more with full spools. */
async function killEachRole(combination: Combination): Promise<void> {
  const run = await start(combination, { nodes: 6, recordsPerSecond: 500 });
  const resets = lab === undefined ? undefined : new LiveResets(lab, run.roles);
  if (resets !== undefined) await run.roles.start('collector');
  resets?.flow();
  const roles: RoleName[] = ['sinks', 'aggregator', 'gateway', 'collector'];
  await killInTurn(
    run,
    roles.sort(() => random.next() - 0.5),
  );
  if (!combination.mayQuery) await killSinksWithoutAnswer(run);
  await killWithSpools(run, resets);
  await sleep(random.integer(0, stayMs));
  await run.roles.stop('collector');
  await expectStored(run, combination);
  if (resets !== undefined) await expectResetsStored(run, resets);
  await runs.end();
}

/** What the kernel saw is in all stores, and it is the same there. */
async function expectResetsStored(run: RolesRun, resets: LiveResets): Promise<void> {
  const stores = run.stores();
  const held = await Promise.all(stores.map((store) => store.documents(liveNode)));
  expect(held.map((events, index) => [stores[index].name, resets.wrong(events)])).toEqual(stores.map(({ name }) => [name, []]));
  const ids = held.map((events) => events.map(({ event }) => event.id).sort());
  expect(ids[1]).toEqual(ids[0]);
  expect(ids[2]).toEqual(ids[0]);
  process.stdout.write(
    `  of the kernel: ${ids[0].length} events, ${resets.counts.made} connections, ${resets.counts.uncertain} uncertain\n`,
  );
}

/** One run in which the sinks are killed, at a random moment and without an answer. */
async function killSinks(combination: Combination): Promise<void> {
  const run = await start(combination, { nodes: 2, recordsPerSecond: 200 });
  await sleep(random.integer(0, stayMs));
  const atRandom = await killSinksAtWork(run);
  await sleep(random.integer(0, stayMs));
  const withoutAnswer = await killSinksWithoutAnswer(run);
  await sleep(random.integer(0, stayMs));
  await expectStored(run, combination, atRandom + withoutAnswer);
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
