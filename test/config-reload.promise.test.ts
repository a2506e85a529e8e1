import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { metrics, probes } from '../schema/record.gen.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import type { LabProcess } from './lab/lab-process.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { ConfigVolume } from './support/config-volume.ts';
import { readHops, type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { freePort } from './support/free-port.ts';
import { eventsOf, LiveRun } from './support/live-run.ts';
import { expectAggregatorIdentity, expectedItemsOf, expectSinkIdentity, sum } from './support/loss-identity.ts';

const reloads = 100;
/** A broken file comes before each of these. */
const brokenEvery = 10;
/** A connection is dialled after each of these. */
const dialledEvery = 20;
const closedPort = 81;
const openPort = 8081;
const connectsPerSecond = 100;
const never = 4_294_967_295;

let folder: TemporaryFolder;
let lab: NetnsLab | undefined;
let run: LiveRun | undefined;

beforeEach(() => {
  folder = temporaryFolder();
  if (process.getuid?.() === 0) lab = new NetnsLab('-reload');
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  folder.remove();
});

/** With an interval of so long, which follows, their windows would hold no two readings: they would be refused. */
const ruleIds = readdirSync(new URL('../rules', import.meta.url))
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -'.yaml'.length));

/** Above 10 s no cost stretches the interval: what is configured is what holds. */
const intervalMs = (round: number): number => 20_000 + round;
/** In every second round each connect is slow. */
const slowConnectUs = (round: number): number => (round % 2 === 0 ? 0 : never);

function configOf(round: number): string {
  return `# round ${round}
log: {level: info}
rules: {disabled: [${ruleIds.join(', ')}]}
collector:
  sampleInterval: ${intervalMs(round)}ms
  burst: ${100_000 + round}
  rate: 100000
  probes:
    tcplife: {slowConnectUs: ${slowConnectUs(round)}}
`;
}

const broken = [
  { text: 'collector:\n  burst: many\n', line: 2, column: 10, found: '"many"', expected: 'a whole number from 1 to 1000000' },
  { text: 'collector:\n  brust: 5\n', line: 2, column: 3, found: '"brust"', expected: 'burst' },
  { text: 'collector:\n  burst: 5\n rate: 6\n', line: 3, column: 1, found: '"rate: 6"', expected: 'start at the same column' },
] as const;

interface LogEntry {
  readonly level: string;
  readonly component?: string;
  readonly msg: string;
  readonly code?: string;
  readonly line?: number;
  readonly column?: number;
  readonly found?: string;
  readonly expected?: string;
  readonly changed?: readonly string[];
}

kernelTest(
  '100 swaps of the configuration under load take effect, each of them; a broken file changes nothing, and nothing is lost',
  async () => {
    const { a } = lab as NetnsLab;
    const dataDir = join(folder.path, 'data');
    const listen = `127.0.0.1:${await freePort()}`;
    const volume = new ConfigVolume(join(folder.path, 'volume'), configOf(0));
    run = await LiveRun.start(dataDir, [`metrics.listen=${listen}`], volume.file);
    const live = run;
    // Entries go away with the oldest output: they are taken as they come.
    const entries: LogEntry[] = [];
    let taken = '';
    const readLog = (): readonly LogEntry[] => {
      const text = live.process.stderr;
      const lines = text.slice(text.startsWith(taken) ? taken.length : 0).split('\n');
      lines.pop();
      for (const line of lines) entries.push(JSON.parse(line) as LogEntry);
      taken += lines.map((line) => `${line}\n`).join('');
      return entries;
    };
    const metric = async (name: string): Promise<number> => {
      const text = await (await fetch(`http://${listen}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${name} `));
      return Number(line?.slice(name.length + 1));
    };
    const server: LabProcess = (lab as NetnsLab).start(a, 'accept-server.mjs', '127.0.0.1', String(openPort), '16', '0');
    await server.line();
    const dial = async (): Promise<number> => {
      const { localPort, outcome } = await (lab as NetnsLab).result(a, 'dial.mjs', '127.0.0.1', '0', '127.0.0.1', String(openPort));
      expect(outcome).toBe('connected');
      return Number(localPort);
    };
    const load = (lab as NetnsLab).start(a, 'refuse.mjs', '127.0.0.1', String(closedPort), String(connectsPerSecond));
    await load.line();

    const slow: number[] = [];
    const quick: number[] = [];
    let failures = 0;
    for (let round = 1; round <= reloads; round++) {
      if (round % brokenEvery === 0) {
        const mistake = broken[failures % broken.length];
        volume.publish(`${mistake.text}# round ${round}\n`);
        failures++;
        await eventually(`broken file ${failures} is refused`, async () => (await live.config()).reloads?.failures === failures);
        const entry = readLog().findLast(({ level }) => level === 'error');
        expect(entry).toMatchObject({ component: 'config', line: mistake.line, column: mistake.column, found: mistake.found });
        expect(entry?.expected).toContain(mistake.expected);
        expect(entry?.msg).toContain(`the configuration stays as it was: ${volume.file}:${mistake.line}:${mistake.column}: `);
        expect(await metric('jitterscope_collector_sample_interval_seconds')).toBe(intervalMs(round - 1) / 1000);
        expect(await metric('jitterscope_config_last_reload_successful')).toBe(0);
      }
      volume.publish(configOf(round));
      await eventually(`reload ${round} is counted`, async () => (await live.config()).reloads?.successes === round);
      // What runs, not only what was read.
      expect(await metric('jitterscope_collector_sample_interval_seconds')).toBe(intervalMs(round) / 1000);
      const { settings, reloads: told } = await live.config();
      expect(told).toMatchObject({ successes: round, failures, lastSuccessful: true });
      expect(settings.find(({ path }) => path === 'collector.burst')).toMatchObject({
        value: 100_000 + round,
        from: { line: 6, column: 10 },
      });
      if (round % dialledEvery === 0) slow.push(await dial());
      if (round % dialledEvery === 1) quick.push(await dial());
    }
    expect(await metric('jitterscope_config_last_reload_successful')).toBe(1);
    const changed = readLog().filter(({ msg }) => msg === 'the configuration was reloaded');
    expect(changed).toHaveLength(reloads);
    expect(changed[0].changed).toEqual(['collector.sampleInterval', 'collector.burst', 'collector.probes.tcplife.slowConnectUs']);

    // The thresholds were those of the round.
    const localPort = ({ source, destination }: { source: { port: number }; destination: { port: number } }): number =>
      source.port === openPort ? destination.port : source.port;
    const slowEvents = () => eventsOf(dataDir, [a.name], 'tcplife').filter(({ event }) => event.action === 'connect-slow');
    await eventually('slow connects are in the files', () => slowEvents().length >= slow.length);
    expect(new Set(slowEvents().map(localPort))).toEqual(new Set(slow));
    expect(quick.length).toBe(slow.length);

    // Nothing is lost: each refused connect is two resets and a failed connect, in the counters and in the files.
    process.kill(load.pid, 'SIGTERM');
    const { refused, other } = (await load.line()) as { refused: number; other: number };
    expect(other).toBe(0);
    await server.stop();
    const counter = async (id: number, bucket?: number): Promise<number> =>
      (await live.counters())
        .filter(({ netns, metric: number }) => netns === a.name && number === id)
        .filter((one) => bucket === undefined || one.bucket === bucket)
        .reduce((total, { value }) => total + value, 0);
    expect(await counter(metrics.TCPRESET_SENT)).toBe(refused);
    expect(await counter(metrics.EMITTED, probes.TCPRESET)).toBe(2 * refused);
    expect(await counter(metrics.SUPPRESSED)).toBe(0);
    expect(await counter(metrics.RING_FULL)).toBe(0);
    const resets = () => eventsOf(dataDir, [a.name]);
    await eventually('all resets are in the files', () => resets().length >= 2 * refused);
    expect(resets().length).toBe(2 * refused);
    expect(new Set(resets().map(({ event }) => event.id)).size).toBe(2 * refused);
    expect(eventsOf(dataDir, [a.name], 'tcplife').filter(({ event }) => event.action === 'connect-failed').length).toBe(refused);

    expect((await live.process.stop()).code).toBe(143);
    const { checkpoint, sink, deadLetters } = await readHops(dataDir);
    expect(deadLetters).toBe(0);
    expectAggregatorIdentity(checkpoint.dispositions, expectedItemsOf(checkpoint.sessions, checkpoint.forgottenItems));
    expectSinkIdentity(sink, checkpoint.nextEvent);
    expect([checkpoint.dispositions.gaps, sum(checkpoint.dispositions.rejected), sum(sink.lost)]).toEqual([0, 0, 0]);
    process.stdout.write(`config reload: ${reloads} reloads, ${failures} refused, ${refused} refused connects meanwhile, none lost\n`);
  },
);
