import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { Hops } from './support/hops.ts';
import { expectAggregatorIdentity } from './support/loss-identity.ts';
import { Random, seedOfRun } from './support/random.ts';
import { damageHeader, damagePayload, storedMessages } from './support/segment-damage.ts';

const graceMs = 30_000;

let folder: ReturnType<typeof temporaryFolder>;
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
  // A collector sends the old sessions first: when the last batch of the new one is acked, all are.
  await eventually('the new session is sent', async () => (await hops.settled()).expectedItems === 3 * 600 + 10);
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
