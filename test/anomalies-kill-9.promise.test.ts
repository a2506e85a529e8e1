import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from './support/data-folder.ts';
import { findingLines } from './support/event-files.ts';
import { JitterscopeProcess, runJitterscope } from './support/jitterscope-process.ts';
import { manyResetsRule } from './support/many-resets-rule.ts';
import { type StormCapture, writeStormCapture } from './support/reset-storm-capture.ts';

const limitMs = 120_000;
const stormS = 60;

interface Finding {
  readonly message: string;
  readonly event: { readonly action: string; readonly id: string; readonly start: string; readonly end?: string; readonly reason?: string };
  readonly rule: { readonly id: string };
  readonly kubernetes?: { readonly pod?: { readonly name: string } };
  readonly jitterscope: { readonly anomaly: { readonly id: string } };
}

const folder = temporaryFolder();
let capture: StormCapture;
let whole: readonly string[];

beforeAll(async () => {
  capture = await writeStormCapture(join(folder.path, 'capture.jscap'), stormS, 2_000);
  const dataDir = join(folder.path, 'whole');
  await runJitterscope(args(dataDir), limitMs);
  whole = findingLines(join(dataDir, 'events'));
});

afterAll(() => folder.remove());

function args(dataDir: string): string[] {
  const settings = ['--set', 'aggregator.checkpointInterval=200ms', '--set', 'aggregator.batchLinger=1ms'];
  return ['replay', capture.file, '--data-dir', dataDir, '--quiet', ...manyResetsRule(folder.path), ...settings];
}

function ofRule(lines: readonly string[]): Finding[] {
  return lines.map((line) => JSON.parse(line) as Finding).filter((finding) => finding.rule.id === 'many-resets');
}

test('a finding opens while it goes on and is resolved when it is over', () => {
  const found = ofRule(whole);
  expect(found.map(({ event }) => event.action)).toEqual(['anomaly-opened', 'anomaly-resolved']);
  const [opened, resolved] = found;
  expect(opened).toMatchObject({ kubernetes: { pod: { name: 'web-0' } }, message: expect.stringContaining('shop/web-0') as string });
  const startS = Date.parse(opened.event.start) / 1000;
  expect(startS).toBeGreaterThanOrEqual(capture.fromS);
  expect(startS).toBeLessThan(capture.fromS + 10);
  expect(Date.parse(resolved.event.end ?? '') / 1000).toBeGreaterThan(capture.toS);
  expect(resolved.event).toMatchObject({ start: opened.event.start, reason: 'CONDITION_ENDED', id: `${opened.jitterscope.anomaly.id}-2` });
});

test('killed while it fires, again and again, it keeps its id and start, and is resolved once', async () => {
  const dataDir = folder.fresh('killed');
  const written = (): Finding[] => {
    try {
      return ofRule(findingLines(join(dataDir, 'events')));
    } catch {
      // A file that is being compressed.
      return [];
    }
  };
  let killedFiring = 0;
  for (let kill = 0; kill < 3; kill++) {
    const process = new JitterscopeProcess(args(dataDir));
    while (process.running && written().length === 0) await sleep(2);
    // Some progress behind the opening, or behind the start before.
    await sleep(50 + 250 * kill);
    const { signal } = await process.killHard();
    const actions = written().map(({ event }) => event.action);
    if (signal === 'SIGKILL' && actions.join() === 'anomaly-opened') killedFiring++;
  }
  expect(killedFiring, 'it was killed while the finding was open').toBeGreaterThan(0);
  await runJitterscope(args(dataDir), limitMs);
  expect(findingLines(join(dataDir, 'events'))).toEqual(whole);
});
