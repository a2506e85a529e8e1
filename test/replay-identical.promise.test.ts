import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventsInManifest, readHops, temporaryFolder } from './support/data-folder.ts';
import { countEvents, digestOf, findingLines } from './support/event-files.ts';
import { JitterscopeProcess, runJitterscope } from './support/jitterscope-process.ts';
import { expectAggregatorIdentity, expectedItemsOf, expectSinkIdentity } from './support/loss-identity.ts';
import { manyResetsRule } from './support/many-resets-rule.ts';
import { sizeFromEnvironment } from './support/random.ts';
import { type SyntheticCapture, writeSyntheticCapture } from './support/synthetic-capture.ts';

const records = sizeFromEnvironment('JITTERSCOPE_REPLAY_RECORDS', 100_000);
const limitMs = 120_000;

const folder = temporaryFolder();
let capture: SyntheticCapture;
let plain: { readonly sha256: string; readonly lines: number };

beforeAll(async () => {
  capture = await writeSyntheticCapture(join(folder.path, 'capture.jscap'), records);
  plain = await replayed(join(folder.path, 'plain'), []);
});

afterAll(() => folder.remove());

function replayArgs(dataDir: string, more: readonly string[]): string[] {
  return ['replay', capture.file, '--data-dir', dataDir, '--quiet', ...manyResetsRule(folder.path), ...more];
}

async function replayed(dataDir: string, more: readonly string[]): Promise<{ sha256: string; lines: number }> {
  await runJitterscope(replayArgs(dataDir, more), limitMs);
  return digestOf(join(dataDir, 'events'));
}

test('a replay makes each expected event once, and counts everything else by its reason', async () => {
  const dataDir = join(folder.path, 'plain');
  expect(countEvents(join(dataDir, 'events'), capture.events)).toBe(capture.counts.events);
  expect(capture.events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  const { rawMessages, deadLetters, checkpoint, sink } = await readHops(dataDir);
  expect(rawMessages).toBe(capture.messages);
  expect(deadLetters).toBe(0);
  const { findings } = checkpoint.dispositions;
  expect(checkpoint.dispositions).toEqual({ ...capture.counts, findings });
  const found = findingLines(join(dataDir, 'events'));
  expect(found).toHaveLength(findings);
  // Each of the later tests is about them, too.
  for (const action of ['anomaly-opened', 'anomaly-resolved']) expect(found.some((line) => line.includes(action))).toBe(true);
  expectAggregatorIdentity(checkpoint.dispositions, expectedItemsOf(checkpoint.sessions, checkpoint.forgottenItems));
  expectSinkIdentity(sink, checkpoint.nextEvent);
  expect(sink.delivered).toBe(capture.counts.events + findings);
});

test.each([
  ['twice', []],
  ['with batches of 16 KiB', ['--batch-size', '16KiB']],
  ['with batches of 1 KiB', ['--batch-size', '1KiB']],
  ['with batches of 1 MiB', ['--batch-size', '1MiB']],
  [
    'with small output batches and files',
    ['--set', 'aggregator.batchSize=32KiB', '--set', 'sinks.file.maxFileSize=4MiB', '--set', 'sinks.file.maxFiles=999999'],
  ],
  ['with a checkpoint after each fetch', ['--set', 'aggregator.checkpointInterval=1ms']],
])('replayed %s, the same capture gives the same lines in the same order', async (name, more) => {
  expect(await replayed(folder.fresh(name.replaceAll(' ', '-')), more)).toEqual(plain);
});

test('replayed from a compressed copy, the same capture gives the same lines in the same order', async () => {
  const [zipped, dataDir] = [join(folder.path, 'capture.jscap.gz'), folder.fresh('zipped')];
  writeFileSync(zipped, gzipSync(readFileSync(capture.file), { level: 1 }));
  await runJitterscope(['replay', zipped, '--data-dir', dataDir, '--quiet', ...manyResetsRule(folder.path)], limitMs);
  expect(digestOf(join(dataDir, 'events'))).toEqual(plain);
});

test('where more records wait for their namespace than may, batch sizes still change nothing', async () => {
  const tight = ['--set', 'aggregator.heldSize=4KiB'];
  const [small, large] = [
    await replayed(folder.fresh('tight-small'), [...tight, '--batch-size', '4KiB']),
    await replayed(folder.fresh('tight-large'), tight),
  ];
  expect(small).toEqual(large);
  expect(small.lines).toBe(plain.lines);
  expect(small.sha256, 'some records could not wait').not.toBe(plain.sha256);
});

test('killed in between, a replay gives the same lines in the same order', async () => {
  const dataDir = folder.fresh('killed');
  for (const part of [0.2, 0.7]) {
    const process = new JitterscopeProcess(replayArgs(dataDir, ['--set', 'aggregator.checkpointInterval=300ms']));
    while (process.running && eventsInManifest(dataDir) < part * capture.counts.events) await sleep(2);
    expect((await process.killHard()).signal, 'it was killed at work').toBe('SIGKILL');
  }
  expect(await replayed(dataDir, [])).toEqual(plain);
});
