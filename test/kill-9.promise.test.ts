import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { eventsInManifest, readHops, replayPositions, temporaryFolder } from './support/data-folder.ts';
import { countEvents, findingLines } from './support/event-files.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { expectAggregatorIdentity, expectedItemsOf, expectSinkIdentity } from './support/loss-identity.ts';
import { Random, seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { writeSyntheticCapture } from './support/synthetic-capture.ts';

const records = sizeFromEnvironment('JITTERSCOPE_PROMISE_RECORDS', 1_000_000);
const kills = sizeFromEnvironment('JITTERSCOPE_KILLS', 3);
/** Some kills hit a process that is still starting: within this time after its start, ms. */
const startUpMs = 1_500;
const lastRunLimitMs = 240_000;

const folder = temporaryFolder();
afterAll(() => folder.remove());

test(`a process killed ${kills} times while it replays ${records} records loses nothing and writes nothing twice`, {
  timeout: 900_000,
}, async () => {
  const random = new Random(seedOfRun());
  process.stdout.write(`kill -9: JITTERSCOPE_SEED=${random.seed}\n`);
  const capture = await writeSyntheticCapture(join(folder.path, 'capture.jscap'), records);
  const dataDir = folder.fresh('data');
  // Nothing may be rotated away here: the test counts all of it. A short checkpoint interval lets kills fall between any two.
  const settings = ['bus.eventsSize=64GiB', 'bus.rawSize=64GiB', 'sinks.file.maxFiles=999999', 'aggregator.checkpointInterval=2s'];
  const start = () =>
    new JitterscopeProcess([
      'replay',
      capture.file,
      '--data-dir',
      dataDir,
      '--quiet',
      ...settings.flatMap((setting) => ['--set', setting]),
    ]);

  for (let kill = 0; kill < kills; kill++) {
    const started = start();
    // The middle third of the kills goes by time, into the start; the others by how far the work is.
    const atStart = kill % 3 === 1;
    const delayMs = random.integer(0, atStart ? startUpMs : 60);
    const target = atStart ? 0 : Math.floor(((kill + random.next()) / kills) * 0.95 * capture.counts.events);
    while (started.running && eventsInManifest(dataDir) < target) await sleep(2);
    await sleep(delayMs);
    const { signal } = await started.killHard();
    const files = eventsInManifest(dataDir);
    process.stdout.write(`  killed at ${files} events${atStart ? `, ${delayMs} ms after its start` : ''}\n`);
    expect(signal, `it was killed at work: ${started.stderr.slice(-500)}`).toBe('SIGKILL');
    expect(files).toBeLessThan(capture.counts.events);
  }
  const last = start();
  const { code } = await last.finish(lastRunLimitMs);
  expect(code, last.stderr.slice(-1000)).toBe(0);

  // Gateway: every message of the capture is in the raw log, once, in order.
  const positions = await replayPositions(dataDir);
  expect(positions.length).toBe(capture.messages);
  expect(positions.findIndex((position, index) => position !== index + 1)).toBe(-1);
  // Aggregator: every item has its reason, and it is the right one.
  const { rawMessages, deadLetters, checkpoint, sink } = await readHops(dataDir);
  expect(rawMessages).toBe(capture.messages);
  expect(deadLetters).toBe(0);
  expect(checkpoint.unreadable).toEqual({});
  const { findings } = checkpoint.dispositions;
  expect(checkpoint.dispositions).toEqual({ ...capture.counts, findings });
  expectAggregatorIdentity(checkpoint.dispositions, expectedItemsOf(checkpoint.sessions, checkpoint.forgottenItems));
  expect(checkpoint.nextEvent).toBe(capture.counts.events + findings);
  // Sink: every event is delivered.
  expectSinkIdentity(sink, checkpoint.nextEvent);
  expect(sink.delivered).toBe(capture.counts.events + findings);
  expect(sink.lost).toEqual({ retention: 0, damaged: 0, undecodable: 0, unexplained: 0 });
  // Files: every event and every finding once, none missing.
  expect(countEvents(join(dataDir, 'events'), capture.events)).toBe(capture.counts.events);
  expect(findingLines(join(dataDir, 'events'))).toHaveLength(findings);
  expect(capture.events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
});
