import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { claimMs, DeadLetterBox } from '../core/dead-letter-box.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import type { RunningServer } from '../scripts/servers/server.mjs';
import type { Sinks } from '../services/sinks/main.ts';
import { replayLetters } from '../services/sinks/replay-letters.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { EventStream, eventSeconds } from './support/event-stream.ts';
import { FaultProxy } from './support/fault-proxy.ts';
import { holdingOf, LokiRun } from './support/loki-run.ts';
import { linesOf, startLoki } from './support/loki-server.ts';
import { mortal } from './support/mortal-bus.ts';
import { patiently } from './support/patiently.ts';

const signal = new AbortController().signal;
const log = createLog('silent');
const folder = temporaryFolder();
let server: RunningServer;
let proxy: FaultProxy;
let run: LokiRun | undefined;
let runs = 0;
let tries = 0;

beforeAll(async () => {
  server = await startLoki({
    dataDir: join(folder.path, 'loki'),
    tenants: true,
    limits: {
      discover_log_levels: false,
      max_line_size: '4KB',
      reject_old_samples_max_age: '3h',
      // Streams are cut into shards at once.
      shard_streams: { enabled: true, desired_rate: '64KB' },
    },
    overrides: { ingester: { query_store_max_look_back_period: '-1ns' } },
  });
  proxy = await FaultProxy.start(server.address);
});
beforeEach(() => {
  tries++;
});
afterEach(async () => {
  proxy.fault = () => 'pass';
  await run?.close();
  run = undefined;
});
afterAll(async () => {
  await proxy.close();
  await server.kill();
  folder.remove();
});

/** A test that is tried again has a tenant of its own. */
const tenantOf = (name: string) => `${name}-${tries}`;
const readerOf = (name: string) => ({ address: server.address, tenantId: tenantOf(name) });
const nowS = () => Math.floor(Date.now() / 1000);

/** Sinks with a data folder of their own, to a tenant. The sink's own limits are far beyond those of the server. */
async function start(name: string, section: object = {}): Promise<LokiRun> {
  const wide = { maxLineSize: '1MiB', maxAge: '20d' };
  const url = proxy.address;
  run = await LokiRun.start(join(folder.path, `data-${++runs}`), {
    loki: { enabled: true, url, tenantId: tenantOf(name), ...wide, ...section },
  });
  return run;
}

async function delivered(of: LokiRun): Promise<void> {
  await patiently('everything is delivered', 60_000, async () => (await of.lag('loki')) === 0);
}

const idsOf = (prefix: string, numbers: readonly number[]) => numbers.map((number) => `${prefix}-${number}`).sort();
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

test('of events among which some are too long and some too old, exactly these are dead letters with the clause of Loki, the others are stored once', async () => {
  const of = await start('partial');
  const prefix = '00000000000000b1';
  const count = 3_000;
  // Ten a second, the first 1,000 s of them older than 3 h: more by the time that this takes.
  const startS = nowS() - 3 * 3600 - 100;
  const options = { prefix, node: 'node1', startS, stepNs: 100_000_000, lineBytes: 900 };
  const stream = new EventStream(options);
  const long: number[] = [];
  for (let number = 0; number < count; number += 100) {
    await of.bus.append(topics.events, 0, [stream.next(99)]);
    // Longer than the server takes; behind those that are too old.
    const isLong = number >= 2_000;
    await of.bus.append(topics.events, 0, [stream.next(1, isLong ? 5_000 + number : 900)]);
    if (isLong) long.push(number + 99);
  }
  await delivered(of);
  const letters = await of.deadLetters();
  const old = letters.filter(({ reason }) => reason.includes('too old')).map(({ id }) => Number(id.split('-')[1]));
  const { distinct, lines } = await holdingOf(readerOf('partial'), prefix, startS - 1, nowS() + 1);

  // Exactly the first of them are too old; how many is a matter of when they came.
  expect(old.sort((a, b) => a - b)).toEqual(upTo(old.length));
  expect(eventSeconds(options, old.length)).toBeGreaterThanOrEqual(startS + 100 - 1);
  expect(old.length).toBeLessThan(2_000);
  const tooLong = letters.filter(({ reason }) => /max entry size '4096' bytes exceeded .* length '\d+' bytes/.test(reason));
  expect(tooLong.map(({ id }) => id).sort()).toEqual(idsOf(prefix, long));
  expect(letters.every(({ target, code }) => target === 'loki' && code === 'LOKI_REFUSED')).toBe(true);
  const bad = new Set(letters.map(({ id }) => id));
  expect(letters.length).toBe(bad.size);
  expect([...distinct].sort()).toEqual(idsOf(prefix, upTo(count)).filter((id) => !bad.has(id)));
  expect(lines).toBe(distinct.size);
  expect(of.countersOf('loki').partitions.get(0)).toMatchObject({ in: count, delivered: count - bad.size, rejected: bad.size });
});

test('what the sink knows that Loki would refuse is not sent at all', async () => {
  const of = await start('known', { maxLineSize: '4KB', maxAge: '3h' });
  const prefix = '00000000000000b2';
  const startS = nowS() - 60;
  const stream = new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 });
  const old = new EventStream({
    prefix: '00000000000000b3',
    node: 'node2',
    startS: startS - 4 * 3600,
    stepNs: 1_000_000,
    rawOffset: 1_000,
    firstEvent: 51,
  });
  await of.bus.append(topics.events, 0, [stream.next(50), stream.next(1, 6_000), old.next(5)]);
  await delivered(of);
  const letters = await of.deadLetters();
  expect(letters.map(({ code }) => code)).toEqual(['LOKI_LINE_TOO_LONG', ...upTo(5).map(() => 'LOKI_TOO_OLD')]);
  expect((await holdingOf(readerOf('known'), prefix, startS - 1, nowS() + 1)).lines).toBe(50);
  expect(of.countersOf('loki').store.withheldEvents).toBe(6);
});

test('dead letters that are replayed once their limit is raised are stored once, also when the replay was killed behind the delivery', async () => {
  const prefix = '00000000000000b6';
  const startS = nowS() - 60;
  const count = 400;
  const section = { enabled: true, url: proxy.address, tenantId: tenantOf('replayed') };
  const dataDir = folder.fresh('replayed');
  run = await LokiRun.start(dataDir, { loki: { ...section, maxLineSize: '1KB' } });
  await run.bus.append(topics.events, 0, [new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 }).next(count)]);
  await delivered(run);
  expect((await run.deadLetters()).length).toBe(count);
  await run.close();

  run = await LokiRun.start(dataDir, { loki: section });
  const { sinks, bus } = run;
  const first = mortal(bus);
  await new Promise<void>((resolve) => {
    const replay: Sinks['replay'] = async (...call) => {
      const outcomes = await sinks.replay(...call);
      first.kill();
      resolve();
      return outcomes;
    };
    replayLetters(new DeadLetterBox(first.bus), { replay }, {}, signal, log)
      .next()
      .catch(() => undefined);
  });
  expect((await holdingOf(readerOf('replayed'), prefix, startS - 1, nowS() + 1)).lines).toBe(count);
  // A minute later.
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + claimMs + 1);
  const outcomes: string[] = [];
  for await (const { error, possiblyDoubled } of replayLetters(new DeadLetterBox(bus), sinks, {}, signal, log))
    outcomes.push(`${error?.code} ${possiblyDoubled}`);
  clock.mockRestore();
  expect(outcomes).toEqual(upTo(count).map(() => 'undefined false'));
  const { distinct, lines } = await holdingOf(readerOf('replayed'), prefix, startS - 1, nowS() + 1);
  expect([distinct.size, lines]).toEqual([count, count]);
  expect(run.countersOf('loki').delivery).toMatchObject({ foundEvents: count, possiblyDuplicatedEvents: 0 });
});

test('a push that Loki stored and nobody answered is looked up: nothing is stored twice, in whatever shard it is', async () => {
  const of = await start('swallow', { timeout: '5s', maxPushSize: '256KiB' });
  const prefix = '00000000000000b4';
  const startS = nowS() - 30;
  let pushes = 0;
  proxy.fault = ({ method }) => (method === 'POST' && ++pushes % 3 === 0 ? 'swallow' : 'pass');
  const stream = new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 });
  for (let message = 0; message < 50; message++) await of.bus.append(topics.events, 0, [stream.next(200)]);
  await delivered(of);
  const { delivery } = of.countersOf('loki');
  const { distinct, lines } = await holdingOf(readerOf('swallow'), prefix, startS - 1, nowS() + 30);
  process.stdout.write(`  swallowed ${proxy.counts.swallow} pushes: ${delivery.unknownEvents} unknown, ${delivery.foundEvents} found\n`);
  expect(proxy.counts.swallow).toBeGreaterThan(0);
  expect(delivery.foundEvents).toBeGreaterThan(0);
  expect([distinct.size, lines]).toEqual([10_000, 10_000]);
  expect(delivery.possiblyDuplicatedEvents).toBe(0);
});

test('where Loki may not be asked, all events come, and each that may be there twice is counted', async () => {
  let pushes = 0;
  proxy.fault = ({ method }) => (method === 'GET' ? { status: 403, body: 'no' } : ++pushes % 4 === 0 ? 'swallow' : 'pass');
  const of = await start('blind', { timeout: '5s' });
  const prefix = '00000000000000b5';
  const startS = nowS() - 30;
  const stream = new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000 });
  for (let message = 0; message < 20; message++) await of.bus.append(topics.events, 0, [stream.next(200)]);
  await delivered(of);
  proxy.fault = () => 'pass';
  const { delivery } = of.countersOf('loki');
  const { distinct, lines } = await holdingOf(readerOf('blind'), prefix, startS - 1, nowS() + 30);
  process.stdout.write(`  ${lines - distinct.size} stored twice, ${delivery.possiblyDuplicatedEvents} counted\n`);
  expect(distinct.size).toBe(4_000);
  expect(delivery.possiblyDuplicatedEvents).toBeGreaterThan(0);
  expect(lines - distinct.size).toBeLessThanOrEqual(delivery.possiblyDuplicatedEvents);
  expect(of.sinks.ready().ready).toBe(true);
});

test('a node that was away for 2 h, one that is 1 h ahead, and events 30 s out of order', async () => {
  const tenant = 'clocks';
  const reader = readerOf(tenant);
  const at = nowS() - 60;
  const stepNs = 10_000_000;
  const current = new EventStream({ prefix: '00000000000000c1', node: 'current', startS: at, stepNs });
  const unordered = new EventStream({
    prefix: '00000000000000c2',
    node: 'unordered',
    startS: at - 30,
    stepNs,
    rawOffset: 10_000,
    firstEvent: 200,
  });
  const ahead = new EventStream({
    prefix: '00000000000000c3',
    node: 'ahead',
    startS: at + 3600,
    stepNs,
    rawOffset: 20_000,
    firstEvent: 300,
  });
  const late = new EventStream({
    prefix: '00000000000000c4',
    node: 'late',
    startS: at - 7200,
    stepNs: 36e9,
    rawOffset: 30_000,
    firstEvent: 310,
  });
  let of = await start(tenant);
  // In one stream of origins: the partitions of four nodes after each other.
  await of.bus.append(topics.events, 0, [current.next(200), unordered.next(100), ahead.next(10), late.next(190)]);
  await delivered(of);
  expect((await of.deadLetters()).map(({ code }) => code)).toEqual(upTo(10).map(() => 'LOKI_TOO_NEW'));
  for (const [prefix, count] of [
    ['c1', 200],
    ['c2', 100],
    ['c3', 0],
    ['c4', 190],
  ] as const) {
    const { distinct, lines } = await holdingOf(reader, `00000000000000${prefix}`, at - 7201, nowS() + 1);
    expect([prefix, distinct.size, lines]).toEqual([prefix, count, count]);
  }
  const backfilled = await linesOf(reader, '{backfill="late"}', at - 7201, nowS());
  expect(backfilled.length).toBeGreaterThan(100);
  expect(of.countersOf('loki').store.backfilledEvents).toBe(backfilled.length);
  expect(await linesOf(reader, '{backfill!="", backfill!="late"}', at - 7201, nowS())).toEqual([]);
  await of.close();

  // A process that knows of no stream yet is told by Loki that it is late.
  const again = new EventStream({ prefix: '00000000000000c5', node: 'again', startS: at - 5400, stepNs });
  of = await start(tenant);
  await of.bus.append(topics.events, 0, [again.next(100)]);
  await delivered(of);
  expect(of.countersOf('loki').delivery.failures.LOKI_TOO_FAR_BEHIND).toBeGreaterThan(0);
  expect((await linesOf(reader, '{backfill="again"}', at - 7201, nowS())).length).toBe(100);
  expect(await of.deadLetters()).toEqual([]);
});
