import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../proto/bus.ts';
import { itemsOfCapture, type MessageItems } from './support/capture-items.ts';
import { type HopPositions, readHops, temporaryFolder } from './support/data-folder.ts';
import { countEvents } from './support/event-files.ts';
import { type JitterscopeProcess, runJitterscope } from './support/jitterscope-process.ts';
import { expectAggregatorIdentity, expectedItemsOf, expectSinkIdentity, sum } from './support/loss-identity.ts';
import { cutWithin, damageHeader, damagePayload, flipBit, partitionFolder, storedMessages } from './support/segment-damage.ts';
import { type SyntheticCapture, writeSyntheticCapture } from './support/synthetic-capture.ts';
import { withoutRules } from './support/without-rules.ts';

const records = 20_000;
const limitMs = 60_000;

const folder = temporaryFolder();
/** One after the other into the same data folder. */
let captures: readonly [SyntheticCapture, SyntheticCapture];
let messages: readonly MessageItems[];
/** A data folder in which the first capture went through all hops. */
const whole = join(folder.path, 'whole');

beforeAll(async () => {
  const [first, second] = [join(folder.path, 'first.jscap'), join(folder.path, 'second.jscap')];
  captures = [await writeSyntheticCapture(first, records, 'first'), await writeSyntheticCapture(second, records, 'second')];
  messages = await itemsOfCapture(first);
  await replay(first, whole);
});

afterAll(() => folder.remove());

function replay(file: string, dataDir: string): Promise<JitterscopeProcess> {
  return runJitterscope(['replay', file, '--data-dir', dataDir, '--quiet', ...withoutRules], limitMs);
}

/** A copy of the data folder, without what the hops from `from` on made of the raw log. */
function copyOf(name: string, from: 'aggregator' | 'sink' | 'none'): string {
  const dataDir = folder.fresh(name);
  cpSync(whole, dataDir, { recursive: true });
  const remove = (...path: string[]): void => rmSync(join(dataDir, ...path), { recursive: true });
  if (from === 'aggregator') {
    remove('state');
    remove('bus', topics.events);
    remove('bus', 'groups', 'aggregator.json');
  }
  if (from !== 'none') {
    remove('events');
    remove('bus', 'groups', 'sink-file.json');
  }
  return dataDir;
}

/** Both hops' equations hold, and the sink delivered all that it could read. */
function expectIdentities({ checkpoint, sink }: HopPositions): void {
  expectAggregatorIdentity(checkpoint.dispositions, expectedItemsOf(checkpoint.sessions, checkpoint.forgottenItems));
  expectSinkIdentity(sink, checkpoint.nextEvent);
  expect(sink.delivered).toBe(sink.in);
}

/** Batches here and there that are followed by the next ones of their session: if they are lost, it shows. */
function someBatches(): number[] {
  const inTheMiddle = (offset: number): boolean => {
    const { prefix, follows } = messages[offset];
    const next = messages.slice(offset + 1).filter((message) => message.prefix === prefix && message.count > 0);
    return follows && next.length > 2 && next.slice(0, 2).every((message) => message.follows);
  };
  return [...messages.keys()].filter(inTheMiddle).filter((_, index) => index % 20 === 10);
}

/** Checks the files of a data folder against what is expected of some captures, without the items of some messages of the first one. */
function expectFiles(dataDir: string, of: readonly SyntheticCapture[], lost: readonly number[] = []): void {
  const [first, ...others] = of.map((capture) => capture.events);
  const expected = first.copy(...others);
  for (const offset of lost) {
    const { prefix, firstItem, count } = messages[offset];
    for (let item = firstItem; item < firstItem + count; item++) expected.forget(prefix, item);
  }
  expect(countEvents(join(dataDir, 'events'), expected)).toBe(expected.count);
  expect(expected.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
}

/** Items that some messages of the first capture carry. */
function itemsOf(offsets: readonly number[]): number {
  return offsets.reduce((total, offset) => total + messages[offset].count, 0);
}

test('damaged raw messages are gaps of exactly their items, and everything else is delivered', async () => {
  const dataDir = copyOf('raw-flipped', 'aggregator');
  const stored = storedMessages(partitionFolder(dataDir, topics.raw));
  const damaged = someBatches();
  for (const [index, offset] of damaged.entries()) (index % 2 === 0 ? damagePayload : damageHeader)(stored[offset]);
  const { stderr } = await replay(captures[0].file, dataDir);

  const hops = await readHops(dataDir);
  const { dispositions, unreadable } = hops.checkpoint;
  expect(damaged.length).toBeGreaterThan(10);
  expect(unreadable).toEqual({ damaged: damaged.length });
  expect(dispositions.gaps).toBe(captures[0].counts.gaps + itemsOf(damaged));
  expect(dispositions.itemsIn).toBe(captures[0].counts.itemsIn - itemsOf(damaged));
  expectIdentities(hops);
  expectFiles(dataDir, [captures[0]], damaged);
  expect(stderr).toContain('"reason":"damaged"');
});

test('a raw log that lost its end says how many messages are gone, and goes on behind them', async () => {
  const dataDir = copyOf('raw-cut', 'aggregator');
  const stored = storedMessages(partitionFolder(dataDir, topics.raw));
  const cutAt = Math.floor(stored.length * 0.8);
  cutWithin(stored[cutAt]);
  await replay(captures[0].file, dataDir);
  await replay(captures[1].file, dataDir);

  const hops = await readHops(dataDir);
  const { dispositions, unreadable, sessions } = hops.checkpoint;
  const lost = [...messages.keys()].slice(cutAt);
  expect(unreadable).toEqual({ damaged: lost.length });
  expect(dispositions.itemsIn).toBe(captures[0].counts.itemsIn + captures[1].counts.itemsIn - itemsOf(lost));
  expectIdentities(hops);
  // The ticks that would have let go of the last ones are among what was lost; the second capture brings its own.
  const held = sessions.reduce((total, session) => total + session.held.length, 0);
  expect(held).toBe(captures[1].counts.held);
  expectFiles(dataDir, captures, lost);
});

test('damaged event batches are lost to the sink by their exact number, and everything else is delivered', async () => {
  const dataDir = copyOf('events-flipped', 'sink');
  const stored = storedMessages(partitionFolder(dataDir, topics.events));
  // Not the newest: its loss shows only once the next one comes, which the next test is about.
  const damaged = stored.slice(0, -1).filter((_, index) => index % 7 === 3);
  for (const [index, message] of damaged.entries()) (index % 2 === 0 ? damagePayload : damageHeader)(message);
  await replay(captures[0].file, dataDir);

  const { checkpoint, sink, sinkBehind } = await readHops(dataDir);
  expect(damaged.length).toBeGreaterThan(5);
  expect(sinkBehind, `messages not read of ${stored.length}, ${damaged.map(({ offset }) => offset).join(' ')} damaged`).toBe(0);
  expectSinkIdentity(sink, checkpoint.nextEvent);
  expect(sink.lost.damaged).toBeGreaterThan(0);
  expect(sum(sink.lost)).toBe(sink.lost.damaged);
  const expected = captures[0].events.copy();
  expect(countEvents(join(dataDir, 'events'), expected)).toBe(sink.delivered);
  const { missing, twice, unexpected } = expected.verdict();
  expect({ missing, twice, unexpected }).toEqual({ missing: sink.lost.damaged, twice: 0, unexpected: 0 });
});

test('the newest event batch may be damaged: its events are counted as lost once the next ones come', async () => {
  const dataDir = copyOf('events-end', 'sink');
  const stored = storedMessages(partitionFolder(dataDir, topics.events));
  damagePayload(stored.at(-1)!);
  await replay(captures[1].file, dataDir);

  const { checkpoint, sink } = await readHops(dataDir);
  expect(checkpoint.dispositions.events).toBe(captures[0].counts.events + captures[1].counts.events);
  expectSinkIdentity(sink, checkpoint.dispositions.events);
  expect(sink.lost.damaged).toBeGreaterThan(0);
  const expected = captures[0].events.copy(captures[1].events);
  expect(countEvents(join(dataDir, 'events'), expected)).toBe(sink.delivered);
  const { missing, twice, unexpected } = expected.verdict();
  expect({ missing, twice, unexpected }).toEqual({ missing: sink.lost.damaged, twice: 0, unexpected: 0 });
});

test.each([
  ['the newest checkpoint', 'AGGREGATOR_CHECKPOINT_DAMAGED', (dataDir: string) => newestOf(join(dataDir, 'state', '0'), '.ckpt')],
  ['the manifest of the files', 'manifest of the event files is damaged', (dataDir: string) => join(dataDir, 'events', 'manifest.json')],
  ["the sink's position", 'BUS_GROUP_FILE', (dataDir: string) => join(dataDir, 'bus', 'groups', 'sink-file.json')],
  ["the gateway's positions", 'BUS_GROUP_FILE', (dataDir: string) => join(dataDir, 'bus', 'groups', 'gateway.json')],
  ["the aggregator's position", 'BUS_GROUP_FILE', (dataDir: string) => join(dataDir, 'bus', 'groups', 'aggregator.json')],
])('%s may be damaged: it is reported, and still every event is there once', async (what, report, pathIn) => {
  const dataDir = copyOf(what.replaceAll(/\W/g, '-'), 'none');
  const path = pathIn(dataDir);
  flipBit(path, Math.floor(statSync(path).size / 2), 2);
  const { stderr } = await replay(captures[0].file, dataDir);
  await replay(captures[1].file, dataDir);

  expect(stderr).toContain(report);
  const hops = await readHops(dataDir);
  expectIdentities(hops);
  expect(hops.checkpoint.dispositions.itemsIn).toBe(captures[0].counts.itemsIn + captures[1].counts.itemsIn);
  expectFiles(dataDir, captures);
});

function newestOf(dir: string, extension: string): string {
  const names = readdirSync(dir)
    .filter((name) => name.endsWith(extension))
    .sort();
  return join(dir, names.at(-1) ?? '');
}
