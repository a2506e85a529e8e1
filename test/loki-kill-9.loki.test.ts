import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningServer } from '../scripts/servers/server.mjs';
import { eventsInManifest, temporaryFolder } from './support/data-folder.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { countLines, linesOf, startLoki } from './support/loki-server.ts';
import { Random, seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { writeSyntheticCapture } from './support/synthetic-capture.ts';

const records = sizeFromEnvironment('JITTERSCOPE_LOKI_RECORDS', 30_000);
const kills = sizeFromEnvironment('JITTERSCOPE_LOKI_KILLS', 3);
const exampleConfig = fileURLToPath(new URL('../examples/loki.yaml', import.meta.url));
const lastRunLimitMs = 180_000;

const folder = temporaryFolder();
let server: RunningServer;
beforeAll(async () => {
  server = await startLoki({
    dataDir: join(folder.path, 'loki'),
    tenants: true,
    limits: { discover_log_levels: false, shard_streams: { enabled: true, desired_rate: '256KB' } },
  });
});
afterAll(async () => {
  await server.kill();
  folder.remove();
});

interface Case {
  readonly tenantId: string;
  readonly readBack: boolean;
  readonly kills: number;
}

/** Replays a capture to Loki, killed so many times on the way. Resolves with what Loki holds then and what the last run said. */
async function replayKilled({ tenantId, readBack, kills: count }: Case) {
  const random = new Random(seedOfRun());
  process.stdout.write(`kill -9: JITTERSCOPE_SEED=${random.seed}\n`);
  const fromS = Math.floor(Date.now() / 1000) - 120;
  const file = join(folder.path, `${tenantId}.jscap`);
  const capture = await writeSyntheticCapture(file, records, tenantId, BigInt(fromS) * 1_000_000_000n);
  const dataDir = join(folder.path, tenantId);
  const loki = { url: server.address, tenantId, readBack, maxPushSize: '64KiB' };
  const settings = [
    ...Object.entries(loki).map(([name, value]) => `sinks.loki.${name}=${value}`),
    'bus.eventsSize=64GiB',
    'bus.rawSize=64GiB',
  ];
  const start = () =>
    new JitterscopeProcess([
      'replay',
      file,
      '--config',
      exampleConfig,
      '--data-dir',
      dataDir,
      '--quiet',
      ...settings.flatMap((setting) => ['--set', setting]),
    ]);
  for (let kill = 0; kill < count; kill++) {
    const started = start();
    const target = Math.floor(((kill + random.next()) / count) * 0.9 * capture.counts.events);
    while (started.running && eventsInManifest(dataDir) < target) await sleep(2);
    await sleep(random.integer(0, 120));
    const { signal } = await started.killHard();
    process.stdout.write(`  killed at ${eventsInManifest(dataDir)} events in the files\n`);
    expect(signal, `it was killed at work: ${started.stderr.slice(-500)}`).toBe('SIGKILL');
  }
  const last = start();
  const { code } = await last.finish(lastRunLimitMs);
  expect(code, last.stderr.slice(-1000)).toBe(0);
  const reader = { address: server.address, tenantId };
  const toS = Math.ceil(Date.now() / 1000) + 60;
  const selector = '{service_name="jitterscope", event_kind="event"}';
  const found = await linesOf(reader, `${selector} | keep event_id | line_format ""`, fromS - 60, toS);
  const distinct = new Set(found.map(({ labels }) => labels.event_id));
  for (const id of distinct) {
    const [prefix, item] = id.split('-');
    capture.events.seen(prefix, Number(item));
  }
  const lines = await countLines(reader, selector, toS, toS - fromS + 60);
  process.stdout.write(`  ${lines} lines of ${capture.counts.events} events\n`);
  return { capture, distinct, lines, summary: last.stdout };
}

test(`a process killed ${kills} times while it sends to a Loki that shards streams: nothing is lost, and nothing is there twice`, {
  timeout: 400_000,
}, async () => {
  const { capture, distinct, lines, summary } = await replayKilled({ tenantId: 'asked', readBack: true, kills });
  expect(capture.events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  expect(distinct.size).toBe(capture.counts.events);
  expect(lines).toBe(capture.counts.events);
  expect(summary).not.toContain('may be stored twice');
});

test('a process killed while it sends to a Loki that it may not ask: nothing is lost, and all that may be there twice is counted', {
  timeout: 400_000,
}, async () => {
  const { capture, distinct, lines, summary } = await replayKilled({ tenantId: 'blind', readBack: false, kills: 1 });
  expect(capture.events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  const counted = Number(/loki +(\d+) events may be stored twice/.exec(summary)?.[1] ?? 0);
  process.stdout.write(`  ${lines - distinct.size} are there twice, ${counted} counted\n`);
  expect(counted).toBeGreaterThan(0);
  expect(lines - distinct.size).toBeLessThanOrEqual(counted);
});
