import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Native } from '../../native/addon.ts';
import { loadNative, readBpfObject } from '../../native/index.ts';
import { metrics, recordFlags } from '../../schema/record.gen.ts';
import { kernelFacts } from '../../services/collector/probe-object.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import type { LabProcess } from '../../test/lab/lab-process.ts';
import { type LabNetns, NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type SeenRecord } from '../../test/lab/probe-run.ts';
import { endsOf } from '../../test/lab/record-ends.ts';
import type { EventNames } from '../event.ts';
import type { KernelFacts } from '../probe.ts';
import { defaultSettings, encodeThreshold } from '../settings.ts';
import { fills, levels } from './names.ts';
import { tcpaccept } from './probe.ts';
import { thresholds } from './thresholds.ts';

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const [queue, accepted] = [1, 2];
const unlimited = { ...defaultSettings, intervalNs: 0 };
const names: EventNames = {
  local: 'web',
  far: 'client',
  enumName: () => undefined,
  origin: '',
  symbol: () => undefined,
  stack: () => undefined,
};

const byFunction = kernelTestsRun() && kernelFacts(loadNative()).loads?.('accept-fexit') === true;

let native: Native;
let lab: NetnsLab;
let cookieA: bigint;
let cookieB: bigint;
let run: ProbeRun;
let seesArrivals: boolean;

beforeAll(() => {
  if (!kernelTestsRun()) return;
  native = loadNative();
  seesArrivals = native.tracepointArgs('sk_data_ready') !== undefined;
});

beforeEach(() => {
  if (!kernelTestsRun()) return;
  lab = new NetnsLab('-accept');
  cookieA = native.netnsCookie(lab.a.path);
  cookieB = native.netnsCookie(lab.b.path);
});

afterEach(async () => {
  await lab?.remove();
  await run?.stop();
});

/** Starts the probe as on a kernel that differs from this one. */
function start(facts: Partial<KernelFacts> = {}): void {
  const probe = { ...tcpaccept, select: (kernel: KernelFacts) => tcpaccept.select({ ...kernel, ...facts }) };
  run = new ProbeRun(native, probe, readBpfObject('tcpaccept'));
  run.set(unlimited);
}

function set(threshold: { readonly section: string; readonly offset: number }, value: number): void {
  run.object.writeData(threshold.section, threshold.offset, encodeThreshold(value));
}

function counter(net: bigint, metric: number, where: { readonly bucket?: number; readonly label?: number } = {}): number {
  const entries = run.counters().filter((entry) => entry.metric === metric && entry.net === Number(net));
  const wanted = entries.filter(
    ({ bucket, label }) => (where.bucket === undefined || bucket === where.bucket) && (where.label === undefined || label === where.label),
  );
  return wanted.reduce((sum, { value }) => sum + value, 0);
}

/** What the kernel itself counted in a namespace since this call. */
function kernelCounts(netns: LabNetns) {
  const read = () => new Map([...lab.snmp(netns), ...lab.netstat(netns)]);
  const before = read();
  return { grown: (name: string) => (read().get(name) as number) - (before.get(name) as number) };
}

async function recordsOf(net: bigint, variant?: number): Promise<SeenRecord[]> {
  const records = await run.records(net);
  return records.filter(({ record }) => variant === undefined || record.variant === variant);
}

async function waitFor(net: bigint, variant: number, count: number): Promise<SeenRecord[]> {
  let records: SeenRecord[] = [];
  await eventually(`${count} records of ${tcpaccept.variants.get(variant)}`, async () => {
    records = await recordsOf(net, variant);
    return records.length >= count;
  });
  return records;
}

function keepFixture(name: string, seen: SeenRecord | undefined): void {
  if (process.env.RECORD_FIXTURES === undefined || seen === undefined) return;
  mkdirSync(fixtures, { recursive: true });
  writeFileSync(`${fixtures}${name}.bin`, seen.bytes);
}

function flagsOf({ record }: SeenRecord): string {
  return Object.entries(recordFlags)
    .filter(([, bit]) => record.flags & bit)
    .map(([name]) => name)
    .join(' ');
}

async function acceptServer(address: string, port: number, backlog: number, sleepMs = 0): Promise<LabProcess> {
  const server = lab.start(lab.b, 'accept-server.mjs', address, String(port), String(backlog), String(sleepMs));
  await server.line();
  return server;
}

function stream(address: string, localPort: number, remote: string, port: number, bytes: number, connections = 1): LabProcess {
  return lab.start(lab.a, 'stream.mjs', address, String(localPort), remote, String(port), String(bytes), String(connections));
}

/** Recv-Q and Send-Q of a listener: connections that wait, and the most that may. */
function queueBySs(port: number): string[] {
  return lab.run(lab.b, 'ss', '-Htln', 'sport', '=', `:${port}`).trim().split(/\s+/).slice(1, 3);
}

/** Each way to see accept() that this kernel has. */
const ways: readonly (readonly [string, Partial<KernelFacts>])[] = [
  ...(byFunction ? [['by function', {}] as const] : []),
  ['by system call', { loads: () => false, hookSystemCalls: true }],
];

const families = [
  ['ipv4', 2],
  ['ipv6', 10],
  ['v4mapped', 2],
] as const;

kernelTest.each(families.flatMap(([name, family]) => ways.map(([way, facts]) => ({ name, family, way, facts }))))(
  'a server over $name that sleeps: the wait for accept() is what client and server measured, seen $way',
  async ({ name, family, facts }) => {
    start(facts);
    const server = await acceptServer(name === 'v4mapped' ? '::' : lab.b[name], 9000, 128, 2500);
    process.kill(server.pid, 'SIGHUP');
    expect(await server.line()).toEqual({ sleeping: true });
    const over = name === 'ipv6' ? 'ipv6' : 'ipv4';
    // It sends at once: data that arrives before accept() must not move the clock.
    const dialled = await lab.result(lab.a, 'dial.mjs', '', '31000', lab.b[over], '9000', 'send');
    const told = (await server.line()) as { remotePort: number; acceptedNs: string };
    const waitedUs = Number(BigInt(told.acceptedNs) - BigInt(dialled.connectedNs as string)) / 1000;
    expect([told.remotePort, waitedUs > 500_000]).toEqual([31_000, true]);
    const [one, ...more] = (await waitFor(cookieB, accepted, 1)) as [SeenRecord];
    const { record } = one;
    // Established between its connect() and the moment it heard of it: on a quiet machine that is nothing.
    const dialledUs = (dialled.elapsedMs as number) * 1000;
    expect([record.v1, waitedUs, dialledUs]).toSatisfy(() => record.v1 > waitedUs * 0.95 && record.v1 < (waitedUs + dialledUs) * 1.05);
    expect([more, await recordsOf(cookieA)]).toEqual([[], []]);
    expect([record.family, record.side, record.tgid, record.comm]).toEqual([family, 1, server.pid, 'node']);
    const mapped = name === 'v4mapped' ? 'V4MAPPED ' : '';
    expect(flagsOf(one)).toMatch(new RegExp(`^TASK SOCK (CGROUP )?${mapped}SERVER$`));
    expect(endsOf(record)).toBe(over === 'ipv4' ? `${lab.b.ipv4}:9000 ${lab.a.ipv4}:31000` : `[${lab.b.ipv6}]:9000 [${lab.a.ipv6}]:31000`);
    const bits = Math.floor(Math.log2(record.v1)) + 1;
    expect([counter(cookieB, metrics.TCPACCEPT_WAIT, { bucket: bits }), counter(cookieB, metrics.TCPACCEPT_WAIT_US)]).toEqual([
      1,
      record.v1,
    ]);
    keepFixture(`accepted-${name}`, one);
  },
);

kernelTest.each(ways)('healthy connections yield counts, equal to the kernel’s, and no events, seen %s', async (_way, facts) => {
  start(facts);
  // What is slow: an emulated machine takes longer than the default to accept fifty connections.
  set(thresholds.slowAcceptUs, 10_000_000);
  await acceptServer(lab.b.ipv4, 9001, 511);
  const counts = kernelCounts(lab.b);
  const count = 200;
  // One after the other: none finds another in the queue.
  for (let done = 0; done < 4; done++)
    await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, String(20_000 + done * 100), '50', lab.b.ipv4, '9001');
  await eventually('all are accepted', () => counter(cookieB, metrics.TCPACCEPT_WAIT) === count);
  expect(counts.grown('Tcp.PassiveOpens')).toBe(count);
  if (seesArrivals) {
    expect(counter(cookieB, metrics.TCPACCEPT_QUEUED, { label: 9001 })).toBe(count);
    expect(counter(cookieB, metrics.TCPACCEPT_QUEUED, { bucket: fills.below_quarter })).toBe(count);
  }
  expect([await recordsOf(cookieA), await recordsOf(cookieB)]).toEqual([[], []]);
});

const arrivalTest = kernelTestsRun() && loadNative().tracepointArgs('sk_data_ready') !== undefined ? kernelTest : kernelTest.skip;

arrivalTest.each(['ipv4', 'ipv6'] as const)(
  'an accept queue over %s that fills is told before the first loss, and again when it is full',
  async (name) => {
    start();
    const server = await acceptServer(lab.b[name], 9002, 8);
    process.kill(server.pid, 'SIGSTOP');
    const counts = kernelCounts(lab.b);
    const client = stream(lab.a[name], 32_000, lab.b[name], 9002, 0, 6);
    for (let open = 0; open < 6; open++) await client.line();
    const [filling, ...others] = (await waitFor(cookieB, queue, 1)) as [SeenRecord];
    expect([counts.grown('TcpExt.ListenOverflows'), counts.grown('TcpExt.ListenDrops'), others]).toEqual([0, 0, []]);
    expect(filling.record).toMatchObject({
      code: levels.FILLING,
      v1: 6,
      v2: 8,
      state: 10,
      side: 1,
      tgid: server.pid,
      comm: 'node',
      sport: 9002,
    });
    expect(queueBySs(9002)).toEqual(['6', '8']);
    expect(flagsOf(filling)).toMatch(/^SOCK (CGROUP )?OWNER SERVER$/);
    expect([filling.record.x(0) > 0, filling.record.x(0) < 10_000_000, filling.record.x(1)]).toEqual([true, true, 0]);
    expect(tcpaccept.event.message(filling.record, names)).toMatch(
      /^the accept queue of web on port 9002 is filling: 6 connections wait, the oldest for .*, of 8 at most$/,
    );
    expect(endsOf(filling.record)).toBe(
      name === 'ipv4' ? `${lab.b.ipv4}:9002 ${lab.a.ipv4}:32000` : `[${lab.b.ipv6}]:9002 [${lab.a.ipv6}]:32000`,
    );

    const rest = stream(lab.a[name], 33_000, lab.b[name], 9002, 0, 3);
    for (let open = 0; open < 3; open++) await rest.line();
    const [full] = (await recordsOf(cookieB, queue)).filter(({ record }) => record.code === levels.FULL);
    expect(full?.record).toMatchObject({ v1: 9, v2: 8 });
    expect([queueBySs(9002), counts.grown('TcpExt.ListenOverflows')]).toEqual([['9', '8'], 0]);
    // Now connections are lost; the next one that gets in tells how many.
    const late = stream(lab.a[name], 34_000, lab.b[name], 9002, 0, 1);
    await eventually('a connection was dropped', () => counts.grown('TcpExt.ListenOverflows') > 0);
    process.kill(server.pid, 'SIGCONT');
    await late.line();
    const perFill = (bucket: number) => counter(cookieB, metrics.TCPACCEPT_QUEUED, { bucket, label: 9002 });
    await eventually('the last one was queued', () => counter(cookieB, metrics.TCPACCEPT_QUEUED, { label: 9002 }) === 10);
    expect([fills.below_half, fills.below_three_quarters, fills.below_full, fills.full].map(perFill)).toEqual([2, 2, 2, 1]);
    if (name === 'ipv4') {
      keepFixture('filling', filling);
      keepFixture('full', full);
    } else keepFixture('filling-v6', filling);
  },
);

arrivalTest('a queue that stands still is told by the next connection, long before it is full', async () => {
  start();
  set(thresholds.slowAcceptUs, 300_000);
  const server = await acceptServer(lab.b.ipv4, 9003, 511);
  process.kill(server.pid, 'SIGSTOP');
  await stream(lab.a.ipv4, 35_000, lab.b.ipv4, 9003, 0, 1).line();
  const since = process.hrtime.bigint();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(await recordsOf(cookieB)).toEqual([]);
  await stream(lab.a.ipv4, 35_100, lab.b.ipv4, 9003, 0, 1).line();
  const waitedUs = Number(process.hrtime.bigint() - since) / 1000;
  const [one, ...more] = (await waitFor(cookieB, queue, 1)) as [SeenRecord];
  expect([one.record.code, one.record.v1, one.record.v2, more]).toEqual([levels.STALLED, 2, 511, []]);
  expect([one.record.x(0) > 1_000_000, one.record.x(0) < waitedUs * 1.2]).toEqual([true, true]);
  keepFixture('stalled', one);
});

arrivalTest('a listener whose queue stays full is told once in a while, not for each connection', async () => {
  start();
  set(thresholds.repeatMs, 3_600_000);
  const server = await acceptServer(lab.b.ipv4, 9004, 40);
  process.kill(server.pid, 'SIGSTOP');
  const client = stream(lab.a.ipv4, 36_000, lab.b.ipv4, 9004, 0, 41);
  for (let open = 0; open < 41; open++) await client.line();
  const codes = (await recordsOf(cookieB, queue)).map(({ record }) => record.code);
  expect(codes.filter((code) => code !== levels.STALLED)).toEqual([levels.FILLING, levels.FULL]);
  expect(codes.length).toBeLessThanOrEqual(3);
});

kernelTest('without sk_data_ready a full queue shows when a SYN-ACK is sent again because of it', async () => {
  start({ tracepointArgs: (name) => (name === 'sk_data_ready' ? undefined : native.tracepointArgs(name)) });
  const server = await acceptServer(lab.b.ipv4, 9005, 3);
  process.kill(server.pid, 'SIGSTOP');
  const first = stream(lab.a.ipv4, 37_000, lab.b.ipv4, 9005, 0, 3);
  for (let open = 0; open < 3; open++) await first.line();
  const chain = 'add table inet lab; add chain inet lab input { type filter hook input priority 0; }';
  lab.run(lab.a, 'nft', `${chain}; add rule inet lab input tcp sport 9005 tcp flags & (syn | ack) == (syn | ack) drop`);
  stream(lab.a.ipv4, 37_100, lab.b.ipv4, 9005, 0, 2);
  await eventually('two requests wait', () => lab.netstat(lab.b).get('TcpExt.TCPSynRetrans') !== 0);
  lab.run(lab.a, 'nft', 'flush ruleset');
  let full: SeenRecord | undefined;
  await eventually('a full queue was told', async () => {
    full = (await recordsOf(cookieB, queue)).find(({ record }) => record.code === levels.FULL);
    return full !== undefined;
  });
  expect([full?.record.v1, full?.record.v2, full?.record.tgid, queueBySs(9005)]).toEqual([4, 3, server.pid, ['4', '3']]);
  expect(counter(cookieB, metrics.TCPACCEPT_QUEUED)).toBe(0);
});

kernelTest.each(ways)('the filter leaves out other namespaces, counters too, seen %s', async (_way, facts) => {
  start(facts);
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(cookieA);
  set(thresholds.slowAcceptUs, 0);
  const server = await acceptServer(lab.b.ipv4, 9006, 8);
  await lab.result(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, '9006');
  await server.line();
  expect([await recordsOf(cookieB), run.counters().filter(({ net }) => net === Number(cookieB))]).toEqual([[], []]);
});

kernelTest.each(ways)('other sockets that are accepted are not looked at, seen %s', (_way, facts) => {
  start(facts);
  set(thresholds.slowAcceptUs, 0);
  const code = `const net=require('net');const s=net.createServer(c=>{c.end();s.close()}).listen('\\0jst-${process.pid}',()=>net.connect('\\0jst-${process.pid}').resume())`;
  lab.run(lab.b, process.execPath, '-e', code);
  expect(run.counters().filter(({ net }) => net === Number(cookieB))).toEqual([]);
});
