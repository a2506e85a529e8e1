import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { FileStore } from './support/event-stores.ts';
import { clean } from './support/expected-events.ts';
import { patiently } from './support/patiently.ts';
import { seedOfRun, sizeFromEnvironment } from './support/random.ts';
import type { RolesRun } from './support/roles-run.ts';
import { isDone, RawCopy, runAlone } from './support/single-run.ts';
import { StoreRuns } from './support/store-runs.ts';

const rounds = sizeFromEnvironment('JITTERSCOPE_REBALANCE_ROUNDS', 2);
/** How long the second ones stay, and stay away, at least: until all have their share. */
const stayMs = sizeFromEnvironment('JITTERSCOPE_REBALANCE_SECONDS', 3) * 1_000;
const shareLimitMs = 120_000;
const settleLimitMs = 120_000;
/** A finding for each namespace of each node that begins and ends every few seconds: far ports go from 1 to 1000, over and over. */
const rule = `
id: far-port-high
title: The ports of the far ends are high
why: It is what this test does.
entity: pod
signals:
  least: { record: tcpreset, field: far_port, agg: min, window: 1s, unit: port }
  seen: { record: tcpreset, agg: count, by: peer, window: 1s, unit: resets }
when: { warning: least > 500 }
for: 0s
settle: 0s
keep_firing_for: 0s
summary: 'far ports of {pod} are above {least}'
evidence: [{ when: seen > 0, say: 'most are with {seen.by}', weight: 0.1 }]
runbook: docs/runbooks/far-port-high.md
`;

const runs = new StoreRuns('rebalance');
let copy: RawCopy | undefined;
afterEach(async () => {
  await copy?.close();
  copy = undefined;
});

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

/** How the lines by id differ; nothing when they are the same. @param normalize what is compared of a line */
function differences(found: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>, normalize = (line: string) => line) {
  const missing = [...expected.keys()].filter((id) => !found.has(id));
  const unexpected = [...found.keys()].filter((id) => !expected.has(id));
  const other = [...expected].filter(([id, line]) => found.has(id) && found.get(id) !== normalize(line));
  return {
    missing: missing.slice(0, 5),
    unexpected: unexpected.slice(0, 5),
    other: other.slice(0, 3).map(([id, line]) => [line, found.get(id)]),
  };
}
const same = { missing: [], unexpected: [], other: [] };

test(`rebalance: a second aggregator and a second sinks process join and leave ${rounds} times under load: nothing lost, nothing twice in any store, ids and documents are those that one instance makes of the same raw messages, findings included`, {
  timeout: 300_000 + 2 * rounds * (stayMs + shareLimitMs),
}, async () => {
  const seed = seedOfRun();
  process.stdout.write(`rebalance: JITTERSCOPE_SEED=${seed}\n`);
  const rules = join(runs.servers.folder.path, 'rules');
  mkdirSync(rules, { recursive: true });
  writeFileSync(join(rules, 'far-port-high.yaml'), rule);
  // Raw messages are deleted below checkpoints: the copy begins long before the second one of a process.
  const settings = [`rules.directory=${rules}`, 'aggregator.checkpointInterval=20s'];
  const load = { nodes: 6, recordsPerSecond: 400, timeFlows: true };
  const current = await runs.start({ seed, ...load, settings });
  const { roles, installation } = current;
  copy = await RawCopy.follow(installation);
  for (let round = 0; round < rounds; round++) {
    await Promise.all([roles.start('aggregator', 'aggregator-2'), roles.start('sinks', 'sinks-2')]);
    await Promise.all([sleep(stayMs), patiently('the second ones have a share', shareLimitMs, () => haveShare(current))]);
    expect(await roles.stop('aggregator-2'), roles.said('aggregator-2')).toBe(143);
    expect(await roles.stop('sinks-2'), roles.said('sinks-2')).toBe(143);
    await Promise.all([sleep(stayMs), patiently('the first ones have all', shareLimitMs, () => haveAll(current))]);
  }
  await current.settle(settleLimitMs);
  // Ticks end, too: all that one instance is to read is there.
  await roles.stop('gateway');
  const ends = await copy.ends();
  await patiently('all is processed and taken', settleLimitMs, async () => isDone(await current.figures(), ends));
  expect(await current.verdicts(['sinks', 'sinks-2']), current.said()).toEqual({ files: clean, elasticsearch: clean, loki: clean });
  const { ids } = await current.stores(['sinks-2'])[0].events('');
  expect(ids.length, 'the second one had a share').toBeGreaterThan(0);
  expect(await current.possiblyDoubled()).toBe(0);
  await current.expectLossIdentity();

  const alone = { ...installation, topicPrefix: `${installation.topicPrefix}alone-` };
  await copy.appendTo(alone);
  const folder = await runAlone(alone, runs.servers.folder.fresh('alone'), ends, settings);
  const expected = await new FileStore(folder).lines();
  const actions = [...expected.values()].map((line) => /"action":"anomaly-(\w+)"/.exec(line)?.[1]);
  const count = (action: string) => actions.filter((one) => one === action).length;
  expect(count('opened'), 'findings open').toBeGreaterThan(10);
  expect(count('resolved'), 'findings end').toBeGreaterThan(10);
  for (const store of current.stores(['sinks', 'sinks-2'])) {
    // Elasticsearch returns what it was given as JSON, the others as bytes.
    const normalized = (line: string) => (store.name === 'elasticsearch' ? JSON.stringify(JSON.parse(line)) : line);
    expect(differences(await store.lines(), expected, normalized), store.name).toEqual(same);
  }
  process.stdout.write(`  one instance made the same ${expected.size} documents, ${count('opened')} findings among them\n`);
  process.stdout.write(`  ${current.summary()}\n`);
});

/** Offsets that a group has not read, of all partitions together; asked of the broker itself. */
async function unread(topic: string, group: string): Promise<number> {
  const admin = new Kafka({ brokers: [runs.servers.kafka.address], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    const ends = await admin.fetchTopicOffsets(topic);
    const readTo = (asked: number) => Number(partitions.find(({ partition }) => partition === asked)?.offset ?? -1);
    return ends.reduce((sum, { partition, high, low }) => sum + Number(high) - Math.max(Number(low), readTo(partition)), 0);
  } finally {
    await admin.disconnect();
  }
}

/** Of a summary, the numbers in the line that begins with these words; none of it: zeros. */
function told(summary: readonly string[], words: RegExp, count: number): number[] {
  const line = summary.find((candidate) => words.test(candidate))?.replace(words, '');
  return line === undefined ? Array(count).fill(0) : [...line.matchAll(/\d+/g)].slice(0, count).map(Number);
}

test('SIGTERM of each role under load, with both stores away: what it says that waits is what the next start finds and delivers', {
  timeout: 600_000,
}, async () => {
  const current = await runs.start({ seed: seedOfRun(), nodes: 6, recordsPerSecond: 500 });
  const { roles, proxies } = current;
  const { topicPrefix } = current.installation;
  const stores = ['loki', 'elasticsearch'] as const;
  await current.delivered();
  for (const store of stores) proxies[store].fault = () => ({ status: 503 });
  await sleep(stayMs);
  // It ends with something before it.
  roles.signal('aggregator', 'SIGSTOP');
  await sleep(stayMs / 2);
  expect(await roles.stop('gateway'), roles.said('gateway')).toBe(143);
  const ending = roles.stop('aggregator');
  roles.signal('aggregator', 'SIGCONT');
  expect(await ending, roles.said('aggregator')).toBe(143);
  const [rawMessages] = told(roles.summary('aggregator'), /^waiting +aggregator:/, 1);
  expect(rawMessages).toBe(await unread(`${topicPrefix}jitterscope.raw.v1`, `${topicPrefix}jitterscope.aggregator`));
  expect(await roles.stop('sinks'), roles.said('sinks')).toBe(143);
  const first = roles.summary('sinks');
  for (const store of stores) proxies[store].fault = () => 'pass';

  // The sinks alone: nothing new comes.
  await roles.start('sinks');
  const groups = stores.map((store) => `${topicPrefix}jitterscope.sink-${store}`);
  const rests = () => Promise.all(groups.map((group) => unread(`${topicPrefix}jitterscope.events.v1`, group)));
  await patiently('each sink has read all', 120_000, async () => (await rests()).every((rest) => rest === 0));
  expect(await roles.stop('sinks'), roles.said('sinks')).toBe(143);
  const second = roles.summary('sinks');
  for (const store of stores) {
    const [waitingEvents] = told(first, new RegExp(`^waiting +${store}:`), 1);
    const [before, after] = [first, second].map((summary) => told(summary, new RegExp(`^${store} +(?=\\d+ events delivered)`), 1)[0]);
    process.stdout.write(
      `  ${store}: ${before} delivered, ${waitingEvents} waited, ${after} delivered; ${rawMessages} raw messages waited\n`,
    );
    expect(waitingEvents, first.join('\n')).toBeGreaterThan(0);
    expect(after - before).toBe(waitingEvents);
    expect(told(second, new RegExp(`^waiting +${store}:`), 1)).toEqual([0]);
  }

  await roles.start('gateway');
  await Promise.all([roles.start('aggregator'), roles.start('sinks')]);
  await current.settle(120_000);
  expect(await current.verdicts(), current.said()).toEqual({ files: clean, elasticsearch: clean, loki: clean });
  await current.expectLossIdentity();
});
