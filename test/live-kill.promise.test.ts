import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { eventsInManifest, type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { eventsOf, LiveRun } from './support/live-run.ts';

const closedPort = 81;
const missedMs = 2_000;
/** A heartbeat is written each second; a loaded machine may be late with it. */
const slackSeconds = 10;

let folder: TemporaryFolder;
let lab: NetnsLab | undefined;
const runs: LiveRun[] = [];

beforeEach(() => {
  folder = temporaryFolder();
  if (process.getuid?.() === 0) lab = new NetnsLab('-kill');
});

afterEach(async () => {
  for (const run of runs.splice(0)) await run.process.killHard();
  await lab?.remove();
  folder.remove();
});

kernelTest('after kill -9 the next start states the time that was missed, and delivers what was spooled, once', async () => {
  const { a, b } = lab as NetnsLab;
  const dataDir = join(folder.path, 'data');
  /** Connects to a closed port from so many local ports: one reset sent in b and one received in a for each. */
  const refuse = (firstPort: number, count: number) =>
    (lab as NetnsLab).result(a, 'connect.mjs', a.ipv4, String(firstPort), String(count), b.ipv4, String(closedPort));
  const events = () => eventsOf(dataDir, [a.name, b.name]);
  const start = async (settings: readonly string[]): Promise<LiveRun> => {
    const run = await LiveRun.start(dataDir, settings);
    runs.push(run);
    return run;
  };

  // Batches are acked when they are durable: with one durable write in a minute, what comes now stays in the spool.
  const first = await start(['bus.commitInterval=60s']);
  expect(first.process.stdout).not.toContain('not seen');
  const itemsBefore = (await first.dispositions()).collector.items;
  await refuse(20_000, 30);
  await eventually('the records are spooled', async () => (await first.dispositions()).collector.items >= itemsBefore + 60);
  await sleep(500);
  const killedAtMs = performance.now();
  await first.process.killHard();
  expect(events().length, 'the records were in the spool alone').toBe(0);

  // Nobody listens: these are gone, and nobody can know how many they were.
  await refuse(30_000, 5);
  await sleep(missedMs);

  const leastSeconds = (performance.now() - killedAtMs) / 1000;
  const second = await start([]);
  const mostSeconds = (performance.now() - killedAtMs) / 1000 + slackSeconds;
  const [, stated] = /not seen\s+([\d.]+) s since/.exec(second.process.stdout) ?? [];
  expect(Number(stated), second.process.stdout).toBeGreaterThanOrEqual(Math.floor(leastSeconds));
  expect(Number(stated)).toBeLessThanOrEqual(mostSeconds);
  expect((await second.dispositions()).collector.unobservedSeconds).toBeCloseTo(Number(stated), 0);

  await refuse(40_000, 20);
  await eventually('all events are in the files', () => events().length >= 100);
  expect((await second.process.stop()).code).toBe(143);
  process.stdout.write(
    `live kill: ${stated} s not seen (${leastSeconds.toFixed(1)} to ${mostSeconds.toFixed(1)} s possible), ${eventsInManifest(dataDir)} events in all\n`,
  );

  const seen = events();
  expect(new Set(seen.map(({ event }) => event.id)).size).toBe(seen.length);
  const portsOf = (action: string): number[] =>
    seen
      .filter(({ event }) => event.action === action)
      .map(({ source, destination }) => (source.port === closedPort ? destination.port : source.port))
      .sort((x, y) => x - y);
  const expected = [...Array.from({ length: 30 }, (_, i) => 20_000 + i), ...Array.from({ length: 20 }, (_, i) => 40_000 + i)];
  expect(portsOf('reset-sent')).toEqual(expected);
  expect(portsOf('reset-received')).toEqual(expected);
});
