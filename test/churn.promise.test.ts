import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { loadNative } from '../native/index.ts';
import { metrics } from '../schema/record.gen.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { ownPrefix } from './lab/lab-owner.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { LiveRun } from './support/live-run.ts';
import { sizeFromEnvironment } from './support/random.ts';
import { readSamples } from './support/raw-samples.ts';

const count = sizeFromEnvironment('JITTERSCOPE_CHURN_NAMESPACES', 100);
const waveSize = 50;
const aliveMs = 3_000;
const quietMs = 1_000;
/** Namespaces that live for a moment only, one after the other on one CPU. */
const shortLived = 30;
const metricsListen = `127.0.0.1:${20_000 + (process.pid % 10_000)}`;
/** A cycle may be stretched to 10 s; the machine may be busy. */
const livingLimitMs = 120_000;
/** Resident memory of everything in one process, loaded, without what Pods cost. */
const budgetBytes = 300 * 1e6;
/** What a Pod may cost while it lives: one that is gone costs no more, for as long as its totals are remembered. */
const podBytes = 40 * 1024;
/** What code and buffers take as they are used for the first time. */
const warmUpBytes = 64 * 2 ** 20;
const sources = ['snmp', 'netstat', 'snmp6'];

/** A namespace that has gone, and what the kernel had counted in it. */
interface Gone {
  readonly cookie: number;
  /** Source → field → value. */
  readonly kernel: Map<string, Map<string, number>>;
}

/** What CI tries again has namespaces and a data folder of its own: totals of those that are gone are shown for a while. */
let tries = 0;
const prefix = (): string => `${ownPrefix}-churn${tries}-`;
const folder = temporaryFolder();
const made = new Set<string>();
let run: LiveRun | undefined;

afterAll(async () => {
  await run?.process.killHard();
  for (const name of made) remove(name);
  folder.remove();
});

const pathOf = (name: string): string => `/run/netns/${name}`;

function add(name: string, ...command: string[]): void {
  made.add(name);
  const [file = 'ip', ...args] = [...command, 'ip', 'netns', 'add', name];
  execFileSync(file, args);
}

function remove(name: string): void {
  made.delete(name);
  execFileSync('ip', ['netns', 'delete', name]);
}

/** The program that makes traffic and reads what the kernel counted, itself. */
function churn(...args: string[]): string {
  return execFileSync(program(), args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
}

let compiled: string | undefined;
function program(): string {
  if (compiled === undefined) {
    compiled = join(folder.path, 'churn');
    execFileSync('cc', ['-O2', '-o', compiled, fileURLToPath(new URL('support/churn.c', import.meta.url))]);
  }
  return compiled;
}

/** What the kernel counts in each namespace now, in the order of the names. */
function readKernel(names: readonly string[]): Gone[] {
  const native = loadNative();
  const gone = new Map<string, Gone>();
  for (const name of names) gone.set(pathOf(name), { cookie: Number(native.netnsCookie(pathOf(name))), kernel: new Map() });
  for (const part of churn('read', ...gone.keys())
    .split(/^@/m)
    .slice(1)) {
    const [first = '', ...lines] = part.trimEnd().split('\n');
    const [path = '', source = ''] = first.split(' ');
    gone.get(path)?.kernel.set(source, source === 'snmp6' ? keyLines(lines) : pairsOfLines(lines));
  }
  return [...gone.values()];
}

function keyLines(lines: readonly string[]): Map<string, number> {
  return new Map(lines.map((line) => line.split(/\s+/)).map(([field = '', value]) => [field, Number(value)]));
}

function pairsOfLines(lines: readonly string[]): Map<string, number> {
  const values = new Map<string, number>();
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [protocol = '', ...fields] = (lines[i] ?? '').split(' ');
    const [, ...numbers] = (lines[i + 1] ?? '').split(' ');
    for (const [column, field] of fields.entries()) values.set(`${protocol.slice(0, -1)}.${field}`, Number(numbers[column]));
  }
  return values;
}

/** A wave of namespaces that live long enough to be read: made, used, left in peace, read independently, deleted. */
async function wave(from: number, size: number): Promise<Gone[]> {
  const names = Array.from({ length: size }, (_, i) => `${prefix()}${from + i}`);
  for (const name of names) add(name);
  churn('traffic', String(from), ...names.map(pathOf));
  await sleep(Math.max(aliveMs, quietMs));
  const gone = readKernel(names);
  const kernel = sumOf(gone);
  const limit = performance.now() + livingLimitMs;
  // Not more often than a Prometheus of many users would: a scrape of everything is work, too.
  for (let seen = await exported(names); seen !== kernel; seen = await exported(names)) {
    if (performance.now() > limit) expect(seen, `what /metrics says of the living ones of the wave from ${from} on`).toBe(kernel);
    await sleep(1_000);
  }
  for (const name of names) remove(name);
  return gone;
}

/** Fields that are compared with /metrics: by the name that they have there. */
const compared: Readonly<Record<string, readonly [source: string, field: string]>> = {
  jitterscope_snmp_udp_no_ports_total: ['snmp', 'Udp.NoPorts'],
  jitterscope_snmp_tcp_out_rsts_total: ['snmp', 'Tcp.OutRsts'],
  jitterscope_snmp6_udp6_no_ports_total: ['snmp6', 'Udp6NoPorts'],
  jitterscope_netstat_ip_ext_in_bytes_total: ['netstat', 'IpExt.InOctets'],
};

/** Sums of the compared fields over the namespaces, as /metrics shows them now. */
async function exported(names: readonly string[]): Promise<string> {
  const wanted = new Set(names);
  const sums = Object.fromEntries(Object.keys(compared).map((name) => [name, 0]));
  for (const line of (await (await fetch(`http://${metricsListen}/metrics`)).text()).split('\n')) {
    const [, name = '', labels = '', value] = /^(\w+)\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (name in sums && wanted.has(/netns="([^"]*)"/.exec(labels)?.[1] ?? '')) sums[name] = (sums[name] ?? 0) + Number(value);
  }
  return JSON.stringify(sums);
}

function sumOf(gone: readonly Gone[]): string {
  const sum = ([source, field]: readonly [string, string]): number =>
    gone.reduce((total, { kernel }) => total + (kernel.get(source)?.get(field) ?? 0), 0);
  return JSON.stringify(Object.fromEntries(Object.entries(compared).map(([name, of]) => [name, sum(of)])));
}

/** Paths of namespaces of this test that the process holds. */
function held(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return target.includes(prefix()) ? [target] : [];
    } catch {
      return [];
    }
  });
}

kernelTest('namespaces come and go, and what is told is what the kernel counted, to the unit', { timeout: 900_000 }, async () => {
  await run?.process.killHard();
  const dataDir = join(folder.path, `data-${++tries}`);
  run = await LiveRun.start(dataDir, [`metrics.listen=${metricsListen}`]);
  const live = run;
  const gone: Gone[] = [];
  const rss: number[] = [];
  for (let from = 0; from < count; from += waveSize) {
    gone.push(...(await wave(from, Math.min(waveSize, count - from))));
    rss.push(live.memory().rssBytes);
  }

  // Between two that are seen, on the same CPU: the kernel numbers namespaces by CPU, and the numbers in between are missing.
  const pinned = ['taskset', '-c', '0'];
  const [first, second] = [`${prefix()}first`, `${prefix()}second`];
  add(first, ...pinned);
  await sleep(aliveMs);
  for (let i = 0; i < shortLived; i++) execFileSync('taskset', ['-c', '0', 'unshare', '--net', 'true']);
  add(second, ...pinned);
  churn('traffic', '0', pathOf(first), pathOf(second));
  await sleep(aliveMs);
  gone.push(...readKernel([first, second]));
  for (const name of [first, second]) remove(name);

  const cookies = new Set(gone.map(({ cookie }) => cookie));
  await eventually('all are let go', () => held(live.process.pid).length === 0);
  await eventually('their counters are deleted in the kernel', async () => (await live.counters()).every(({ net }) => !cookies.has(net)));
  const { highestBytes } = live.memory();
  expect((await live.process.stop()).code).toBe(143);

  const ledger = await readSamples(dataDir);
  expect(ledger.problems).toEqual([]);
  const wrong: string[] = [];
  let values = 0;
  let told = 0;
  let counted = 0;
  for (const { cookie, kernel } of gone) {
    for (const source of sources) {
      const target = ledger.target(source, cookie);
      if (target?.ended !== true) wrong.push(`${source} of ${cookie}: its end was not told`);
      for (const [field, value] of kernel.get(source) ?? []) {
        values++;
        if (target?.values.get(field) !== value)
          wrong.push(`${source} ${field} of ${cookie}: told ${target?.values.get(field)}, counted ${value}`);
        if (value > 0) counted += value;
        told += Math.max(0, target?.values.get(field) ?? 0);
      }
    }
    expect(kernel.size).toBe(sources.length);
  }
  expect(wrong).toEqual([]);
  expect(told).toBe(counted);

  const sent = [...ledger.counters].filter(([key]) => {
    const [net, metric] = key.split(' ').map(Number);
    return cookies.has(net ?? 0) && metric === metrics.TCPRESET_SENT;
  });
  const outRsts = gone.reduce((sum, { kernel }) => sum + (kernel.get('snmp')?.get('Tcp.OutRsts') ?? 0), 0);
  expect(outRsts).toBeGreaterThan(count);
  expect(sent.reduce((sum, [, value]) => sum + value, 0)).toBe(outRsts);

  expect(ledger.unseenNetns).toBeGreaterThanOrEqual(shortLived * 0.6);
  const growth = (rss.at(-1) ?? 0) - (rss[0] ?? 0);
  process.stdout.write(
    `churn: ${gone.length} namespaces, ${values} values equal, ${told} told of ${counted} counted, ${ledger.unseenNetns} unseen, RSS ${(growth / 2 ** 20).toFixed(0)} MiB more over ${rss.length} waves, ${(highestBytes / 2 ** 20).toFixed(0)} MiB at most\n`,
  );
  expect(highestBytes).toBeLessThan(budgetBytes + gone.length * podBytes);
  expect(growth).toBeLessThan(warmUpBytes + gone.length * podBytes);
});
