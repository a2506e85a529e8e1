import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect } from 'vitest';
import { metrics, probes } from '../schema/record.gen.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { type LabNetns, NetnsLab } from './lab/netns-lab.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { eventsOf, LiveRun } from './support/live-run.ts';
import { sizeFromEnvironment } from './support/random.ts';

const seconds = sizeFromEnvironment('JITTERSCOPE_FLOOD_SECONDS', 10);
const closedPort = 81;
const maxRssBytes = 300 * 1024 * 1024;
const quietRounds = 10;
const quietEach = 4;

interface Flooded {
  readonly connects: number;
  readonly refused: number;
  readonly other: number;
  readonly seconds: number;
}

let folder: TemporaryFolder;
let lab: NetnsLab | undefined;
let run: LiveRun | undefined;

beforeEach(() => {
  folder = temporaryFolder();
  if (process.getuid?.() === 0) lab = new NetnsLab('-flood');
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  folder.remove();
});

/** Refused connects within a namespace, in a C program of its own. */
async function flood(netns: LabNetns): Promise<Flooded> {
  const program = join(folder.path, 'flood');
  execFileSync('cc', ['-O2', '-o', program, fileURLToPath(new URL('support/flood.c', import.meta.url))]);
  const child = spawn('nsenter', [`--net=${netns.path}`, program, String(seconds), String(closedPort)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await once(child, 'close');
  return JSON.parse(output) as Flooded;
}

kernelTest('a flood of resets in one namespace silences no other, and is counted to the last one', { timeout: 300_000 }, async () => {
  const { a: loud, b: quiet } = lab as NetnsLab;
  const snmp = (netns: LabNetns, name: string): number => (lab as NetnsLab).snmp(netns).get(name) ?? 0;
  const refuse = (netns: LabNetns, firstPort: number, count: number) =>
    (lab as NetnsLab).result(netns, 'connect.mjs', '127.0.0.1', String(firstPort), String(count), '127.0.0.1', String(closedPort));
  run = await LiveRun.start(join(folder.path, 'data'));
  const live = run;
  const before = { sent: snmp(loud, 'Tcp.OutRsts'), received: snmp(loud, 'Tcp.AttemptFails'), cpuSeconds: live.cpuSeconds() };

  const flooding = flood(loud);
  for (let round = 0; round < quietRounds; round++) {
    await refuse(quiet, 20_000 + round * quietEach, quietEach);
    await sleep((seconds * 1000) / quietRounds / 2);
  }
  const flooded = await flooding;
  const cpuSeconds = live.cpuSeconds() - before.cpuSeconds;
  // The next record of the namespace tells what was withheld since the last one; until then the bucket fills again.
  await sleep(1_000);
  await refuse(loud, 30_000, 1);

  const sum = async (netns: LabNetns, metric: number, bucket?: number): Promise<number> => {
    const counters = await live.counters();
    return counters
      .filter((counter) => counter.netns === netns.name && counter.metric === metric)
      .filter((counter) => bucket === undefined || counter.bucket === bucket)
      .reduce((total, { value }) => total + value, 0);
  };
  const refused = flooded.refused + 1;
  const [sent, received] = [await sum(loud, metrics.TCPRESET_SENT), await sum(loud, metrics.TCPRESET_RECEIVED)];
  const [emitted, suppressed, ringFull] = [
    await sum(loud, metrics.EMITTED, probes.TCPRESET),
    await sum(loud, metrics.SUPPRESSED, probes.TCPRESET),
    await sum(loud, metrics.RING_FULL, probes.TCPRESET),
  ];
  expect(flooded.other).toBe(0);
  expect(sent).toBe(refused);
  expect(sent).toBe(snmp(loud, 'Tcp.OutRsts') - before.sent);
  expect(received).toBe(refused);
  expect(received).toBe(snmp(loud, 'Tcp.AttemptFails') - before.received);
  expect(emitted + suppressed + ringFull).toBe(sent + received);

  // Every reset of the quiet namespace is an event, and every event that the loud one was allowed.
  const events = (netns: LabNetns) => eventsOf(live.dataDir, [netns.name]);
  const quietResets = 2 * quietRounds * quietEach;
  await eventually('all events are in the files', () => events(quiet).length >= quietResets && events(loud).length >= emitted);
  expect(await sum(quiet, metrics.SUPPRESSED, probes.TCPRESET)).toBe(0);
  expect(events(loud).length).toBe(emitted);
  expect(events(loud).reduce((total, event) => total + event.jitterscope.suppressed, 0)).toBe(suppressed);
  const ports = (action: string): number[] =>
    events(quiet)
      .filter(({ event }) => event.action === action)
      .map(({ source, destination }) => (source.port === closedPort ? destination.port : source.port))
      .sort((x, y) => x - y);
  const expected = Array.from({ length: quietRounds * quietEach }, (_, index) => 20_000 + index);
  expect(ports('reset-sent')).toEqual(expected);
  expect(ports('reset-received')).toEqual(expected);

  const { rssBytes, highestBytes } = live.memory();
  process.stdout.write(
    `flood: ${Math.round((2 * flooded.refused) / flooded.seconds)} resets/s for ${flooded.seconds} s (${sent} sent, ${received} received); ` +
      `${emitted} emitted, ${suppressed} suppressed, ${ringFull} without room; ` +
      `CPU ${((100 * cpuSeconds) / flooded.seconds).toFixed(1)} % of a core, RSS ${Math.round(rssBytes / 1e6)} MB, at most ${Math.round(highestBytes / 1e6)} MB\n`,
  );
  expect(highestBytes).toBeLessThanOrEqual(maxRssBytes);
});
