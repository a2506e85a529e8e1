import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../proto/bus.ts';
import type { RunningLoki } from '../scripts/servers/loki.mjs';
import { temporaryFolder } from './support/data-folder.ts';
import { EventStream } from './support/event-stream.ts';
import { holdingOf, LokiRun } from './support/loki-run.ts';
import { startLoki } from './support/loki-server.ts';
import { patiently } from './support/patiently.ts';

const folder = temporaryFolder();
/** Streams as they are sent, one for each type and severity. */
const streamCount = 12;
const sharded = { enabled: true, desired_rate: '32KB' };
const whole = { enabled: false };
/** Of each test. */
const limitsOf: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  rate: { ingestion_rate_mb: 2, ingestion_burst_size_mb: 0.1, shard_streams: whole },
  'stream-rate': { per_stream_rate_limit: '128KB', per_stream_rate_limit_burst: '96KB', shard_streams: whole },
  'shard-rate': { per_stream_rate_limit: '128KB', per_stream_rate_limit_burst: '96KB', shard_streams: sharded },
  shards: { max_global_streams_per_user: streamCount + 30, shard_streams: { ...sharded, desired_rate: '8KB' } },
  'rate-and-age': { ingestion_rate_mb: 2, ingestion_burst_size_mb: 0.1, shard_streams: whole },
  blocked: { block_ingestion_until: '2099-01-01T00:00:00Z' },
  labels: { max_label_names_per_series: 3 },
};
/** A test that is tried again has a tenant of its own: Loki knows the streams and rates of the first. */
const mostTries = 3;
const triesOf = new Map<string, number>();
/** Of tenants, as Loki has them now. */
let limits = Object.fromEntries(
  Object.entries(limitsOf).flatMap(([name, own]) => Array.from({ length: mostTries }, (_, index) => [`${name}-${index + 1}`, own])),
);
let server: RunningLoki;

beforeAll(async () => {
  server = await startLoki({
    dataDir: join(folder.path, 'loki'),
    tenants: true,
    limits: { discover_log_levels: false, reject_old_samples_max_age: '3h' },
    tenantLimits: limits,
    overrides: { ingester: { query_store_max_look_back_period: '-1ns' } },
  });
});
afterAll(async () => {
  await server.kill();
  folder.remove();
});

const nowS = () => Math.floor(Date.now() / 1000);

/** Runs a sink to a tenant with the limits of that name. */
async function within(name: string, task: (of: LokiRun, tenantId: string) => Promise<void>): Promise<void> {
  triesOf.set(name, (triesOf.get(name) ?? 0) + 1);
  const tenantId = `${name}-${triesOf.get(name)}`;
  const url = server.address;
  const section = { enabled: true, url, tenantId, maxPushSize: '512KiB', maxAge: '20d' };
  // Loki does not look again at labels that it knows, of whatever tenant (the distributor's labelCache, 3.7.8).
  const of = await LokiRun.start(join(folder.path, tenantId), { loki: section }, tenantId);
  try {
    await task(of, tenantId);
  } finally {
    await of.close();
  }
}

/** Appends messages of 100 events, and waits until the sink is through. */
async function deliver(of: LokiRun, stream: EventStream, messages: number): Promise<void> {
  const all = Array.from({ length: messages }, () => stream.next(100));
  await of.bus.append(topics.events, 0, all);
  await patiently('everything is delivered', 60_000, async () => (await of.lag('loki')) === 0);
}

// Side by side: they mostly wait for their limits.
test.concurrent.each([
  { name: 'rate', what: 'the tenant may in a burst' },
  { name: 'stream-rate', what: 'a stream may: Loki takes a part of the push' },
  { name: 'shard-rate', what: 'a stream may, where Loki cuts streams into shards' },
])('of pushes with more than $what each event is stored once', async ({ name }) =>
  within(name, async (of, tenantId) => {
    const prefix = '00000000000000d1';
    const startS = nowS() - 60;
    await deliver(of, new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 }), 20);
    const { delivery, store } = of.countersOf('loki');
    const { distinct, lines } = await holdingOf({ address: server.address, tenantId }, prefix, startS - 1, nowS() + 1);
    process.stdout.write(`  ${tenantId}: ${JSON.stringify({ ...delivery, ...store })}\n`);
    expect([distinct.size, lines, await of.deadLetters()]).toEqual([2_000, 2_000, []]);
    expect(delivery.failures.LOKI_BUSY).toBeGreaterThan(0);
    expect(delivery.possiblyDuplicatedEvents).toBe(0);
  }),
);

test.concurrent('of a push of which some shards are more streams than the tenant may have, each event is stored once', async () =>
  within('shards', async (of, tenantId) => {
    const prefix = '00000000000000d2';
    const startS = nowS() - 60;
    const stream = new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 });
    await deliver(of, stream, 1);
    // Loki cuts a stream into shards once it knows its rate.
    let made = 100;
    const isPartial = async (): Promise<boolean> => {
      await sleep(1_500);
      await deliver(of, stream, 10);
      made += 1_000;
      // How much of it was stored is a matter of which shards there were.
      return of.countersOf('loki').delivery.unknownEvents > 0;
    };
    await patiently('a shard is one too many', 120_000, isPartial);
    const { delivery, store } = of.countersOf('loki');
    const { distinct, lines } = await holdingOf({ address: server.address, tenantId }, prefix, startS - 1, nowS() + 1);
    process.stdout.write(`  shards: ${JSON.stringify({ ...delivery, ...store })}\n`);
    expect([distinct.size, lines, await of.deadLetters()]).toEqual([made, made, []]);
    expect(delivery.failures.LOKI_BUSY).toBeGreaterThan(0);
  }));

test.concurrent('a tenant rate hides that Loki refuses events of the same push: those are dead letters, the others are stored once', async () =>
  within('rate-and-age', async (of, tenantId) => {
    const prefix = '00000000000000d3';
    // Ten a second: the first 30 s of them are older than 3 h, more by the time that this takes. Those of a stream are in one push.
    const startS = nowS() - 3 * 3600 - 30;
    await deliver(of, new EventStream({ prefix, node: 'node1', startS, stepNs: 100_000_000 }), 10);
    const letters = await of.deadLetters();
    const { distinct, lines } = await holdingOf({ address: server.address, tenantId }, prefix, startS - 1, nowS() + 1);
    const all = Array.from({ length: 1_000 }, (_, number) => `${prefix}-${number}`);
    expect([...letters.map(({ id }) => id), ...distinct].sort()).toEqual(all.sort());
    // How many more is a matter of when each stream got through.
    expect(letters.length).toBeGreaterThanOrEqual(300);
    expect(lines).toBe(distinct.size);
    expect(distinct.size).toBeGreaterThan(0);
    expect(letters.every(({ code, reason }) => code === 'LOKI_REFUSED' && reason.includes('too old'))).toBe(true);
    expect(of.countersOf('loki').delivery.failures.LOKI_BUSY).toBeGreaterThan(0);
  }));

test.concurrent.each([
  ['blocked', /LOKI_BLOCKED: .*status 260.*ingestion blocked for user/],
  ['labels', /LOKI_LABELS_REFUSED: .*has \d+ label names; limit 3/],
] as const)(
  '%s: what one setting of a tenant refuses waits in the bus, readiness off, and is stored once when it is mended',
  async (name, words) =>
    within(name, async (of, tenantId) => {
      const prefix = '00000000000000d4';
      const startS = nowS() - 60;
      const stream = new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 });
      await of.bus.append(topics.events, 0, [stream.next(100)]);
      const problems = () => of.sinks.ready().problems.join();
      await patiently('the sink is paused', 60_000, () => words.test(problems()));
      expect(of.sinks.ready().ready).toBe(false);
      limits = { ...limits, [tenantId]: {} };
      server.limitTenants(limits);
      await deliver(of, stream, 1);
      const { distinct, lines } = await holdingOf({ address: server.address, tenantId }, prefix, startS - 1, nowS() + 1);
      expect([distinct.size, lines, await of.deadLetters()]).toEqual([200, 200, []]);
      expect(of.countersOf('loki').delivery.possiblyDuplicatedEvents).toBe(0);
    }),
);
