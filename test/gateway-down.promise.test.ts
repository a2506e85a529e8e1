import { appendFileSync, mkdirSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { Hops } from './support/hops.ts';
import { expectAggregatorIdentity } from './support/loss-identity.ts';
import { Random, seedOfRun } from './support/random.ts';
import { damageHeader, damagePayload, storedMessages } from './support/segment-damage.ts';

const graceMs = 30_000;

let folder: TemporaryFolder;
let hops: Hops;
let events: ExpectedEvents;
let spoolDir: string;

beforeEach(async () => {
  folder = temporaryFolder();
  hops = await Hops.start(join(folder.path, 'data'));
  events = new ExpectedEvents();
  spoolDir = join(folder.path, 'spool');
});

afterEach(async () => {
  await hops.close();
  folder.remove();
});

function startCollector(maxSpoolBytes?: number): Promise<FakeCollector> {
  return FakeCollector.start({
    spoolDir,
    gatewayAddress: hops.gatewayAddress,
    events,
    ...(maxSpoolBytes === undefined ? {} : { maxSpoolBytes }),
  });
}

/** Everything expected is an event, once, and the aggregator's equations hold. */
async function expectDelivered(expectedItems: number): Promise<void> {
  const state = await hops.settled();
  expect(await hops.countEvents(events)).toBe(events.count);
  expect(events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  expect(state.expectedItems).toBe(expectedItems);
  expectAggregatorIdentity(state.dispositions, expectedItems);
  expect(state.dispositions.held).toBe(0);
}

test('while no gateway is there a collector works on, and everything arrives once when it comes', async () => {
  const collector = await startCollector();
  for (let batch = 0; batch < 100; batch++) collector.batch(50);
  await sleep(300);
  expect(collector.metrics.inFlightBytes).toBe(0);
  await hops.gatewayUp();
  expect(await collector.close(graceMs)).toBe(0);
  await expectDelivered(collector.nextItem);
  expect((await hops.settled()).dispositions).toMatchObject({ itemsIn: 5000, gaps: 0, skipped: {} });
});

test('a gateway that breaks off again and again costs no item and makes none twice', async () => {
  const random = new Random(seedOfRun());
  process.stdout.write(`gateway down: JITTERSCOPE_SEED=${random.seed}\n`);
  const collector = await startCollector();
  for (let round = 0; round < 8; round++) {
    const gateway = await hops.gatewayUp();
    await eventually('the collector is back', () => gateway.metrics.streams > 0);
    for (let batch = 0; batch < 40; batch++) {
      collector.batch(random.integer(1, 400));
      if (batch % 8 === 0) await sleep(random.integer(0, 8));
    }
    await hops.gatewayDown(random.integer(0, 2) * 50);
  }
  await hops.gatewayUp();
  expect(await collector.close(graceMs)).toBe(0);
  await expectDelivered(collector.nextItem);
  const { gaps, skipped } = (await hops.settled()).dispositions;
  expect({ gaps, skipped }).toEqual({ gaps: 0, skipped: {} });
});

test('a full spool gives up its oldest items, tells exactly which, and sends all others', async () => {
  const collector = await startCollector(2 * 1024 * 1024);
  for (let batch = 0; batch < 400; batch++) {
    collector.batch(100);
    if (batch % 20 === 0) await sleep(5);
  }
  await sleep(200);
  await hops.gatewayUp();
  expect(await collector.close(graceMs)).toBe(0);
  const state = await hops.settled();
  const { dispositions } = state;
  const skipped = collector.metrics.skippedItems;
  expect(skipped).toBeGreaterThan(10_000);
  expect(skipped).toBeLessThan(collector.nextItem);
  expect(dispositions.skipped).toEqual({ spool_full: skipped });
  expect(dispositions.gaps).toBe(skipped);
  expect(dispositions.itemsIn).toBe(collector.nextItem - skipped);
  // The oldest went: what arrived is the end of the session, without a hole.
  for (let item = 0; item < skipped; item++) events.forget(collector.prefix, item);
  await expectDelivered(collector.nextItem);
});

test('what an earlier life of the collector left in the spool is sent by the next one', async () => {
  const lives: FakeCollector[] = [];
  for (let life = 0; life < 3; life++) {
    const collector = await startCollector();
    for (let batch = 0; batch < 30; batch++) collector.batch(20);
    expect(await collector.close(50)).toBeGreaterThan(0);
    lives.push(collector);
  }
  await hops.gatewayUp();
  const last = await startCollector();
  last.batch(10);
  await eventually('all sessions are sent', async () => (await hops.settled()).expectedItems === 3 * 600 + 10);
  expect(await last.close(graceMs)).toBe(0);
  await expectDelivered(3 * 600 + 10);
});

test('garbage in the spool costs exactly the items it hit', async () => {
  const life = async (): Promise<FakeCollector> => {
    const collector = await startCollector();
    for (let batch = 0; batch < 60; batch++) collector.batch(20);
    expect(await collector.close(50)).toBeGreaterThan(0);
    return collector;
  };
  const damagedLife = await life();
  const nameless = await life();
  const stored = storedMessages(join(spoolDir, damagedLife.session, 'spool', '0'));
  // A keyframe, then batches and heartbeats by turns, and the last heartbeat: odd offsets are batches.
  const damaged = [11, 13, 21, 41, 42, 43, 99];
  for (const offset of damaged) (offset % 3 === 0 ? damageHeader : damagePayload)(stored[offset]);
  const garbage = Buffer.alloc(5000, 0xa5);
  writeFileSync(join(spoolDir, nameless.session, 'session.json'), garbage);
  writeFileSync(join(spoolDir, nameless.session, 'spool', '0', 'stray.log'), garbage);
  writeFileSync(join(spoolDir, 'stray-file'), garbage);
  mkdirSync(join(spoolDir, 'stray-folder'));
  // A folder of a session that was never written to.
  mkdirSync(join(spoolDir, 'f'.repeat(32)));

  await hops.gatewayUp();
  const second = await startCollector();
  second.batch(10);
  const items = 2 * 1200 + 10;
  await eventually('the new session is sent', async () => (await hops.settled()).expectedItems === items);
  expect(await second.close(graceMs)).toBe(0);
  const hit = damaged.filter((offset) => offset % 2 === 1).map((offset) => ((offset - 1) / 2) * 20);
  for (const from of hit) for (let item = from; item < from + 20; item++) events.forget(damagedLife.prefix, item);
  await expectDelivered(items);
  const { gaps, skipped } = (await hops.settled()).dispositions;
  expect({ gaps, skipped }).toEqual({ gaps: hit.length * 20, skipped: { spool_damaged: hit.length * 20 } });
  expect(readdirSync(spoolDir).sort(), 'what was sent is deleted').toEqual(['stray-file', 'stray-folder']);
});

/** A life of the collector with no gateway; all of it stays in the spool. */
async function lostLife(batches: number, maxSpoolBytes?: number): Promise<FakeCollector> {
  const collector = await startCollector(maxSpoolBytes);
  for (let batch = 0; batch < batches; batch++) collector.batch(20);
  // As the one at the end, so that no record is held when that one is damaged.
  collector.heartbeat(60e9);
  expect(await collector.close(50)).toBeGreaterThan(0);
  return collector;
}

const segmentsOf = (session: string): string => join(spoolDir, session, 'spool', '0');

test.each<readonly [string, number, (session: string) => void]>([
  ['a bit of the last message turned', 0, (session) => damagePayload(storedMessages(segmentsOf(session)).at(-1) as never)],
  ['the header of the last message turned', 0, (session) => damageHeader(storedMessages(segmentsOf(session)).at(-1) as never)],
  ['garbage behind the last message', 0, (session) => appendGarbage(segmentsOf(session))],
  // Each batch has a heartbeat behind it, and two more end the session.
  ['a bit of the last batch turned', 20, (session) => damagePayload(storedMessages(segmentsOf(session)).at(-4) as never)],
])('an earlier session ends, and the new one is sent: %s', async (_, lost, damage) => {
  const old = await lostLife(10);
  damage(old.session);
  await hops.gatewayUp();
  const current = await startCollector();
  current.batch(10);
  expect(await current.close(graceMs), 'all is sent').toBe(0);
  for (let item = 200 - lost; item < 200; item++) events.forget(old.prefix, item);
  await eventually('what was lost is known', async () => (await hops.settled()).expectedItems === 210);
  await expectDelivered(210);
  expect((await hops.settled()).dispositions).toMatchObject({ gaps: lost, skipped: lost === 0 ? {} : { spool_damaged: lost } });
  expect(readdirSync(spoolDir), 'what was sent is deleted').toEqual([]);
});

test('an earlier session that cannot be read stays where it is, and holds up no other', async () => {
  const unreadable = await lostLife(60, 512 * 1024);
  const segments = readdirSync(segmentsOf(unreadable.session)).sort();
  expect(segments.length).toBeGreaterThan(1);
  await lostLife(10);
  const current = await startCollector();
  current.batch(10);
  const last = join(segmentsOf(unreadable.session), segments.at(-1) as string);
  await eventually('the oldest session is open', () => openFiles().includes(last));
  // As on a disk that fails: the log knows the segment, and it cannot be opened.
  rmSync(join(segmentsOf(unreadable.session), segments[0]));
  await hops.gatewayUp();
  expect(await current.close(graceMs), 'what stays is told').toBeGreaterThan(60);
  for (let item = 0; item < 1200; item++) events.forget(unreadable.prefix, item);
  await expectDelivered(210);
  expect(readdirSync(spoolDir)).toEqual([unreadable.session]);
});

test('collectors that start again and again without a gateway stay within one budget, and each item given up is told', async () => {
  const budget = 512 * 1024;
  const lives: FakeCollector[] = [];
  for (let life = 0; life < 8; life++) {
    lives.push(await lostLife(life % 2 === 0 ? 60 : 10, budget));
    expect(bytesBelow(spoolDir), `after life ${life}`).toBeLessThan(budget * 1.25);
  }
  await hops.gatewayUp();
  const current = await startCollector(budget);
  current.batch(10);
  expect(await current.close(graceMs)).toBe(0);
  const expected = lives.reduce((sum, { nextItem }) => sum + nextItem, 10);
  const state = await hops.settled();
  const { dispositions } = state;
  expect(state.expectedItems).toBe(expected);
  expect(dispositions.skipped.spool_full).toBeGreaterThan(1000);
  expect(dispositions.skipped).toEqual({ spool_full: dispositions.gaps });
  expect(dispositions.itemsIn).toBe(expected - dispositions.gaps);
  expectAggregatorIdentity(dispositions, expected);
  expect(readdirSync(spoolDir)).toEqual([]);
  await hops.countEvents(events);
  expect(events.verdict()).toMatchObject({ twice: 0, unexpected: 0 });
});

/** Bytes that are no frame, behind the last segment: they may have been messages. */
function appendGarbage(folder: string): void {
  appendFileSync(join(folder, readdirSync(folder).sort().at(-1) as string), Buffer.alloc(500, 0xa5));
}

/** What this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd));
    } catch {
      return '';
    }
  });
}

function bytesBelow(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}
