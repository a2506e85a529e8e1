import { beforeEach, expect } from 'vitest';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { kernelFacts } from '../../services/collector/probe-object.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { expectTime } from '../../test/lab/expect-time.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import type { LabProcess } from '../../test/lab/lab-process.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type SeenRecord, unlimited } from '../../test/lab/probe-run.ts';
import { endsOf, endsText, flagsOf } from '../../test/lab/record-text.ts';
import { acceptQueueBySs, addressForms, dial, listenAddress, stream } from '../../test/lab/traffic.ts';
import { eventNames } from '../../test/support/probe-fixtures.ts';
import type { KernelFacts } from '../probe.ts';
import { fills, levels } from './names.ts';
import { tcpaccept } from './probe.ts';
import { thresholds } from './thresholds.ts';

const [queue, accepted] = [1, 2];
const names = eventNames('web', 'client');

const byFunction = kernelTestsRun() && kernelFacts(loadNative()).loads?.('accept-fexit') === true;
const seesArrivals = kernelTestsRun() && loadNative().tracepointArgs('sk_data_ready') !== undefined;
const arrivalTest = seesArrivals ? kernelTest : kernelTest.skip;

let lab: NetnsLab;
let run: ProbeRun;

beforeEach(() => {
  lab = new NetnsLab('-accept');
  return () => lab.remove();
});

/** Starts the probe as on a kernel that differs from this one. */
function start(facts: Partial<KernelFacts> = {}): void {
  const probe = { ...tcpaccept, select: (kernel: KernelFacts) => tcpaccept.select({ ...kernel, ...facts }) };
  run = new ProbeRun(probe, { settings: unlimited });
}

async function acceptServer(address: string, port: number, backlog: number, sleepMs = 0): Promise<LabProcess> {
  const server = lab.start(lab.b, 'accept-server.mjs', address, String(port), String(backlog), String(sleepMs));
  await server.line();
  return server;
}

/** Each way to see accept() that this kernel has. */
const ways: readonly (readonly [string, Partial<KernelFacts>])[] = [
  ...(byFunction ? [['by function', {}] as const] : []),
  ['by system call', { loads: () => false, hookSystemCalls: true }],
];

kernelTest.each(addressForms.flatMap(([name, family]) => ways.map(([way, facts]) => ({ name, family, way, facts }))))(
  'a server over $name that sleeps: the wait for accept() is what client and server measured, seen $way',
  async ({ name, family, facts }) => {
    start(facts);
    const server = await acceptServer(listenAddress(lab.b, name), 9000, 128, 2500);
    process.kill(server.pid, 'SIGHUP');
    expect(await server.line()).toEqual({ sleeping: true });
    const over = name === 'ipv6' ? 'ipv6' : 'ipv4';
    // It sends at once: data that arrives before accept() must not move the clock.
    const dialled = await dial(lab, 31_000, lab.b[over], 9000, 'send');
    const told = (await server.line()) as { remotePort: number; acceptedNs: string };
    const waitedUs = Number(BigInt(told.acceptedNs) - BigInt(dialled.connectedNs)) / 1000;
    expect([told.remotePort, waitedUs > 500_000]).toEqual([31_000, true]);
    const [one, ...more] = await run.waitFor(lab.b.cookie, { variant: accepted });
    const { record } = one;
    // Established between its connect() and the moment it heard of it: on a quiet machine that is nothing.
    expectTime(record.v1, waitedUs / 1000, waitedUs / 1000 + dialled.elapsedMs);
    expect([more, await run.records(lab.a.cookie)]).toEqual([[], []]);
    expect([record.family, record.side, record.tgid, record.comm]).toEqual([family, 1, server.pid, 'node']);
    const mapped = name === 'v4mapped' ? 'V4MAPPED ' : '';
    expect(flagsOf(one.record)).toMatch(new RegExp(`^TASK SOCK (CGROUP )?${mapped}SERVER$`));
    expect(endsOf(record)).toBe(endsText(lab.b[over], 9000, lab.a[over], 31_000));
    const bits = Math.floor(Math.log2(record.v1)) + 1;
    expect([run.count(metrics.TCPACCEPT_WAIT, lab.b.cookie, { bucket: bits }), run.count(metrics.TCPACCEPT_WAIT_US, lab.b.cookie)]).toEqual(
      [1, record.v1],
    );
    run.keepFixture(`accepted-${name}`, one);
  },
);

kernelTest.each(ways)('healthy connections yield counts, equal to the kernel’s, and no events, seen %s', async (_way, facts) => {
  start(facts);
  // What is slow: an emulated machine takes longer than the default to accept fifty connections.
  run.setThreshold(thresholds.slowAcceptUs, 10_000_000);
  await acceptServer(lab.b.ipv4, 9001, 511);
  const counts = lab.kernelCounts(lab.b);
  const count = 200;
  // One after the other: none finds another in the queue.
  for (let done = 0; done < 4; done++)
    await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, String(20_000 + done * 100), '50', lab.b.ipv4, '9001');
  await eventually('all are accepted', () => run.count(metrics.TCPACCEPT_WAIT, lab.b.cookie) === count);
  expect(counts.grown('Tcp.PassiveOpens')).toBe(count);
  if (seesArrivals) {
    expect(run.count(metrics.TCPACCEPT_QUEUED, lab.b.cookie, { label: 9001 })).toBe(count);
    expect(run.count(metrics.TCPACCEPT_QUEUED, lab.b.cookie, { bucket: fills.below_quarter })).toBe(count);
  }
  expect([await run.records(lab.a.cookie), await run.records(lab.b.cookie)]).toEqual([[], []]);
});

arrivalTest.each(['ipv4', 'ipv6'] as const)(
  'an accept queue over %s that fills is told before the first loss, and again when it is full',
  async (name) => {
    start();
    const server = await acceptServer(lab.b[name], 9002, 8);
    process.kill(server.pid, 'SIGSTOP');
    const counts = lab.kernelCounts(lab.b);
    const client = stream(lab, name, 32_000, 9002, { connections: 6 });
    for (let open = 0; open < 6; open++) await client.line();
    const [filling, ...others] = await run.waitFor(lab.b.cookie, { variant: queue });
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
    expect(acceptQueueBySs(lab, 9002)).toEqual([6, 8]);
    expect(flagsOf(filling.record)).toMatch(/^SOCK (CGROUP )?OWNER SERVER$/);
    expect([filling.record.x(0) > 0, filling.record.x(0) < 10_000_000, filling.record.x(1)]).toEqual([true, true, 0]);
    expect(tcpaccept.event.message(filling.record, names)).toMatch(
      /^the accept queue of web on port 9002 is filling: 6 connections wait, the oldest for .*, of 8 at most$/,
    );
    expect(endsOf(filling.record)).toBe(endsText(lab.b[name], 9002, lab.a[name], 32_000));

    const rest = stream(lab, name, 33_000, 9002, { connections: 3 });
    for (let open = 0; open < 3; open++) await rest.line();
    const [full] = (await run.records(lab.b.cookie, { variant: queue })).filter(({ record }) => record.code === levels.FULL);
    expect(full?.record).toMatchObject({ v1: 9, v2: 8 });
    expect([acceptQueueBySs(lab, 9002), counts.grown('TcpExt.ListenOverflows')]).toEqual([[9, 8], 0]);
    // Now connections are lost; the next one that gets in tells how many.
    const late = stream(lab, name, 34_000, 9002);
    await eventually('a connection was dropped', () => counts.grown('TcpExt.ListenOverflows') > 0);
    process.kill(server.pid, 'SIGCONT');
    await late.line();
    const perFill = (bucket: number) => run.count(metrics.TCPACCEPT_QUEUED, lab.b.cookie, { bucket, label: 9002 });
    await eventually('the last one was queued', () => run.count(metrics.TCPACCEPT_QUEUED, lab.b.cookie, { label: 9002 }) === 10);
    expect([fills.below_half, fills.below_three_quarters, fills.below_full, fills.full].map(perFill)).toEqual([2, 2, 2, 1]);
    if (name === 'ipv4') {
      run.keepFixture('filling', filling);
      run.keepFixture('full', full);
    } else run.keepFixture('filling-v6', filling);
  },
);

arrivalTest('a queue that stands still is told by the next connection, long before it is full', async () => {
  start();
  run.setThreshold(thresholds.slowAcceptUs, 300_000);
  const server = await acceptServer(lab.b.ipv4, 9003, 511);
  process.kill(server.pid, 'SIGSTOP');
  await stream(lab, 'ipv4', 35_000, 9003).line();
  const since = process.hrtime.bigint();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(await run.records(lab.b.cookie)).toEqual([]);
  await stream(lab, 'ipv4', 35_100, 9003).line();
  const waitedUs = Number(process.hrtime.bigint() - since) / 1000;
  const [one, ...more] = await run.waitFor(lab.b.cookie, { variant: queue });
  expect([one.record.code, one.record.v1, one.record.v2, more]).toEqual([levels.STALLED, 2, 511, []]);
  expect([one.record.x(0) > 1_000_000, one.record.x(0) < waitedUs * 1.2]).toEqual([true, true]);
  run.keepFixture('stalled', one);
});

arrivalTest('a listener whose queue stays full is told once in a while, not for each connection', async () => {
  start();
  run.setThreshold(thresholds.repeatMs, 3_600_000);
  const server = await acceptServer(lab.b.ipv4, 9004, 40);
  process.kill(server.pid, 'SIGSTOP');
  const client = stream(lab, 'ipv4', 36_000, 9004, { connections: 41 });
  for (let open = 0; open < 41; open++) await client.line();
  const codes = (await run.records(lab.b.cookie, { variant: queue })).map(({ record }) => record.code);
  expect(codes.filter((code) => code !== levels.STALLED)).toEqual([levels.FILLING, levels.FULL]);
  expect(codes.length).toBeLessThanOrEqual(3);
});

kernelTest('without sk_data_ready a full queue shows when a SYN-ACK is sent again because of it', async () => {
  start({ tracepointArgs: (name) => (name === 'sk_data_ready' ? undefined : loadNative().tracepointArgs(name)) });
  const server = await acceptServer(lab.b.ipv4, 9005, 3);
  process.kill(server.pid, 'SIGSTOP');
  const first = stream(lab, 'ipv4', 37_000, 9005, { connections: 3 });
  for (let open = 0; open < 3; open++) await first.line();
  lab.rule(lab.a, 'input', 'tcp sport 9005 tcp flags & (syn | ack) == (syn | ack) drop');
  stream(lab, 'ipv4', 37_100, 9005, { connections: 2 });
  await eventually('two requests wait', () => lab.netstat(lab.b).get('TcpExt.TCPSynRetrans') !== 0);
  lab.clearRules(lab.a);
  let full: SeenRecord | undefined;
  await eventually('a full queue was told', async () => {
    full = (await run.records(lab.b.cookie, { variant: queue })).find(({ record }) => record.code === levels.FULL);
    return full !== undefined;
  });
  expect([full?.record.v1, full?.record.v2, full?.record.tgid, acceptQueueBySs(lab, 9005)]).toEqual([4, 3, server.pid, [4, 3]]);
  expect(run.count(metrics.TCPACCEPT_QUEUED, lab.b.cookie)).toBe(0);
});

kernelTest.each(ways)('the filter leaves out other namespaces, counters too, seen %s', async (_way, facts) => {
  start(facts);
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(lab.a.cookie);
  run.setThreshold(thresholds.slowAcceptUs, 0);
  const server = await acceptServer(lab.b.ipv4, 9006, 8);
  await dial(lab, 0, lab.b.ipv4, 9006);
  await server.line();
  expect([await run.records(lab.b.cookie), run.counters().filter(({ net }) => net === Number(lab.b.cookie))]).toEqual([[], []]);
});

kernelTest.each(ways)('other sockets that are accepted are not looked at, seen %s', (_way, facts) => {
  start(facts);
  run.setThreshold(thresholds.slowAcceptUs, 0);
  const code = `const net=require('net');const s=net.createServer(c=>{c.end();s.close()}).listen('\\0jst-${process.pid}',()=>net.connect('\\0jst-${process.pid}').resume())`;
  lab.run(lab.b, process.execPath, '-e', code);
  expect(run.counters().filter(({ net }) => net === Number(lab.b.cookie))).toEqual([]);
});
