import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventsInManifest, temporaryFolder } from './support/data-folder.ts';
import { type SyntheticCapture, writeSyntheticCapture } from './support/synthetic-capture.ts';
import { withoutRules } from './support/without-rules.ts';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const folder = temporaryFolder();
let capture: SyntheticCapture;

beforeAll(async () => {
  capture = await writeSyntheticCapture(join(folder.path, 'capture.jscap'), 20_000);
});

afterAll(() => folder.remove());

/** A replay whose standard output is read by nobody until `resume`. */
function replayTo(name: string, ...more: readonly string[]) {
  const dataDir = folder.fresh(name);
  const child = spawn(process.execPath, [program, 'replay', capture.file, '--data-dir', dataDir, ...withoutRules, ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdout.setEncoding('utf8');
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return { dataDir, child, stderr: () => stderr };
}

async function allInFiles(dataDir: string): Promise<void> {
  while (eventsInManifest(dataDir) < capture.counts.events) await sleep(20);
}

test('JSON waits for a slow reader: it gets each event once, in order, however late it begins to read', async () => {
  const { dataDir, child } = replayTo('slow', '--json');
  await allInFiles(dataDir);
  await sleep(1_000);
  expect(child.exitCode, 'it waits for its reader').toBeNull();
  let text = '';
  child.stdout.on('data', (part: string) => (text += part));
  const [code] = (await once(child, 'close')) as [number | null];
  const ids = text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { event: { id: string } }).event.id);
  expect(ids).toHaveLength(capture.counts.events);
  expect(new Set(ids).size).toBe(ids.length);
  expect(code).toBe(0);
});

test('text does not wait: what the reader was too slow for is counted', async () => {
  const { dataDir, child } = replayTo('text');
  await allInFiles(dataDir);
  let text = '';
  child.stdout.on('data', (part: string) => (text += part));
  const [code] = (await once(child, 'close')) as [number | null];
  const shown = text.split('\n').filter((line) => /^\d\d:\d\d:\d\d/.test(line)).length;
  const hidden = [...text.matchAll(/\.\.\. and (\d+) more/g)].reduce((sum, [, n]) => sum + Number(n), 0);
  expect(shown + hidden).toBe(capture.counts.events);
  expect(code).toBe(0);
});

test('a reader that leaves ends it quietly', async () => {
  const { child, stderr } = replayTo('head', '--json');
  await once(child.stdout, 'data');
  child.stdout.destroy();
  const [code] = (await once(child, 'close')) as [number | null];
  expect([code, stderr()]).toEqual([0, '']);
});

test('an interruption does not wait for a reader that never reads; it says that events were not shown', async () => {
  const { dataDir, child, stderr } = replayTo('stuck', '--json');
  await allInFiles(dataDir);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(143);
  expect(stderr()).toContain('not all events were shown');
});
