import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { kernelTestsRun } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { type PrometheusSeries, PrometheusServer, prometheusIsHere, promtoolFindings } from './lab/prometheus-server.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { freePort } from './support/free-port.ts';
import { LiveRun } from './support/live-run.ts';

const closedPort = 81;
const refusedAtOnce = 10;
const trafficMs = 300;
/** The agent runs, and is away, for so long each time. */
const upMs = 8_000;
const downMs = 2_000;
/** From the kernel's count to a sample: interval of sources, tick, scrape; ten times that on a loaded machine. */
const mostLagSeconds = 60;

let folder: TemporaryFolder;
let lab: NetnsLab | undefined;
let prometheus: PrometheusServer | undefined;
let run: LiveRun | undefined;
let traffic = true;

beforeEach(() => {
  folder = temporaryFolder();
  traffic = true;
  if (process.getuid?.() === 0) lab = new NetnsLab('-prom');
});

afterEach(async () => {
  traffic = false;
  await run?.process.killHard();
  await prometheus?.stop();
  await lab?.remove();
  folder.remove();
});

/** What the kernel had counted at times, Unix seconds. */
type Timeline = [seconds: number, count: number][];

const promiseTest = kernelTestsRun() && prometheusIsHere() ? test : test.skip;

promiseTest(
  'the real Prometheus sees every count once over restarts and a kill -9: no reset, no spike, no loss',
  { timeout: 600_000 },
  async () => {
    const { a, b } = lab as NetnsLab;
    const resets = (): number => lab?.snmp(b).get('Tcp.OutRsts') ?? 0;
    const timeline: Timeline = [];
    const note = (): void => void timeline.push([Date.now() / 1000, resets()]);
    const connect = (round: number) =>
      lab?.result(
        a,
        'connect.mjs',
        a.ipv4,
        String(20_000 + (round % 4_000) * refusedAtOnce),
        String(refusedAtOnce),
        b.ipv4,
        String(closedPort),
      );

    // The namespace has a past: it must not show as an increase.
    await connect(4_001);
    note();
    const port = await freePort();
    const dataDir = join(folder.path, 'data');
    const settings = [`metrics.listen=127.0.0.1:${port}`];
    const url = `http://127.0.0.1:${port}/metrics`;
    const away: [from: number, to: number][] = [];
    const start = async (from: number): Promise<LiveRun> => {
      const started = await LiveRun.start(dataDir, settings);
      await eventually('it is scraped', async () => (await fetch(url).catch(() => undefined))?.status === 200);
      away.push([from, Date.now() / 1000]);
      return started;
    };
    run = await start(0);
    prometheus = await PrometheusServer.start(join(folder.path, 'prometheus'), `127.0.0.1:${port}`);
    const outRsts = `jitterscope_snmp_tcp_out_rsts_total{netns="${b.name}"}`;
    await eventually('the namespace is scraped', async () => ((await prometheus?.query(outRsts)) ?? []).length === 1);

    const trafficEnded = (async () => {
      for (let round = 0; traffic; round++) {
        await connect(round);
        note();
        await sleep(trafficMs);
      }
    })();
    for (const end of ['stop', 'killHard', 'stop'] as const) {
      await sleep(upMs);
      const from = Date.now() / 1000;
      await run.process[end]();
      await sleep(downMs);
      run = await start(from);
    }
    await sleep(upMs);
    traffic = false;
    await trafficEnded;
    note();
    const kernel = resets();
    await eventually('Prometheus has the last count', async () => (await prometheus?.query(outRsts))?.[0]?.values[0]?.[1] === kernel);

    const samplesOf = async (question: string): Promise<PrometheusSeries['values']> => {
      const found = (await prometheus?.query(`${question}[1h]`)) ?? [];
      expect(
        found.map(({ metric }) => metric),
        question,
      ).toHaveLength(1);
      return found[0].values;
    };
    const samples = await samplesOf(outRsts);
    const firstKernel = timeline[0][1];
    process.stdout.write(
      `prometheus: ${samples.length} samples over ${away.length - 1} restarts, ${samples[0][1]} to ${samples.at(-1)?.[1]}, the kernel ${firstKernel} to ${kernel}; ` +
        `away ${away
          .slice(1)
          .map(([from, to]) => `${(to - from).toFixed(1)} s`)
          .join(', ')}\n`,
    );
    for (const [index, [seconds, value]] of samples.entries()) {
      if (index > 0) expect(value, `sample ${index}`).toBeGreaterThanOrEqual(samples[index - 1][1]);
      const known = timeline.filter(([at]) => at <= seconds - mostLagSeconds).at(-1)?.[1] ?? firstKernel;
      const most = timeline.find(([at]) => at >= seconds)?.[1] ?? kernel;
      expect(value, `not less than the kernel had at ${seconds}`).toBeGreaterThanOrEqual(known);
      expect(value, `not more than the kernel has at ${seconds}`).toBeLessThanOrEqual(most);
    }
    const ask = async (question: string): Promise<number | undefined> => (await prometheus?.query(question))?.[0]?.values[0]?.[1];
    expect(await ask(`resets(${outRsts}[1h])`)).toBe(0);
    // What a probe counts is of its sessions; the sum of them does not go back either.
    const sent = `jitterscope_tcpreset_sent_total{netns="${b.name}",reason="NO_SOCKET"}`;
    expect(await ask(`resets(${sent}[1h])`)).toBe(0);
    expect(await ask(sent)).toBeGreaterThan(0);
    expect(await ask(sent)).toBeLessThanOrEqual(kernel - firstKernel);

    const isAway = (seconds: number): boolean => away.some(([from, to]) => seconds >= from - 0.1 && seconds <= to + 0.1);
    const unanswered = (await samplesOf('up')).filter(([, up]) => up === 0).map(([seconds]) => seconds);
    expect(
      unanswered.filter((seconds) => !isAway(seconds)),
      'scrapes that failed while the agent ran',
    ).toEqual([]);
    expect(unanswered.length).toBeGreaterThan(0);

    // The first scrape after each start shows all of it.
    const all = (await prometheus?.query(`{__name__=~"jitterscope_(snmp|netstat)_.*",netns="${b.name}"}[1h]`)) ?? [];
    expect(all.length).toBeGreaterThan(100);
    const scrapes = (await samplesOf('up')).filter(([, up]) => up === 1).map(([seconds]) => seconds);
    for (const [, back] of away.slice(1)) {
      const next = scrapes.find((seconds) => seconds > back);
      const missing = all.filter(({ values }) => !values.some(([seconds]) => seconds === next)).map(({ metric }) => metric.__name__);
      expect(missing, `not in the scrape at ${next}`).toEqual([]);
    }

    const text = await (await fetch(url)).text();
    expect(promtoolFindings(text)).toBe('');
    expect(text).toContain(`jitterscope_netstat_`);
  },
);
