import { beforeAll, beforeEach, expect } from 'vitest';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import { type LabNetns, labInterface, NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type SeenRecord, unlimited } from '../../test/lab/probe-run.ts';
import { endsOf, endsText, flagsOf } from '../../test/lab/record-text.ts';
import { acceptQueueBySs, cookieBySs, meet, sinkServer, stream } from '../../test/lab/traffic.ts';
import { defaultSettings } from '../settings.ts';
import { retransmitKindNames, retransmitKinds } from './kinds.ts';
import { tcpretrans } from './probe.ts';

const [segment, synAck] = [1, 2];
const outSide = 2;
const tcpStates = { ESTABLISHED: 1, SYN_SENT: 2, NEW_SYN_RECV: 12 };

let lab: NetnsLab;
let run: ProbeRun;
/** Whether the tracepoint tells of retransmits that this host did not send. */
let tellsErrors: boolean;

beforeAll(() => {
  if (kernelTestsRun()) tellsErrors = (loadNative().tracepointArgs('tcp_retransmit_skb') ?? 0) >= 3;
});

// Each test has namespaces of its own: sockets that a process leaves behind go on retransmitting for a while.
beforeEach(() => {
  lab = new NetnsLab('-retrans');
  return () => lab.remove();
});

function start(): void {
  run = new ProbeRun(tcpretrans, { settings: unlimited });
}

/** Segments that were sent again in a namespace; of one kind, when given. */
function segments({ cookie }: LabNetns, kind?: number): number {
  return run.count(metrics.TCPRETRANS_SEGMENTS, cookie, kind === undefined ? {} : { bucket: kind });
}

function told({ record }: SeenRecord) {
  return {
    variant: record.variant,
    side: record.side,
    kind: retransmitKindNames.get(record.code),
    state: record.state,
    family: record.family,
    flags: flagsOf(record),
    ends: endsOf(record),
    retransmits: record.x(1),
  };
}

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a transfer over %s that loses every tenth packet: segments by kind are what the kernel counts, to the unit',
  async (family) => {
    await meet(lab);
    start();
    const server = await sinkServer(lab, lab.b[family], 9000);
    lab.rule(lab.b, 'input', 'tcp dport 9000 numgen random mod 100 < 10 counter drop');
    const counted = lab.kernelCounts(lab.a);
    const bytes = 5_000_000;
    const client = stream(lab, family, 31_000, 9000, { bytes });
    expect(await client.line()).toEqual({ pid: client.pid, localPort: 31_000 });
    expect(await server.line()).toEqual({ bytes });
    await eventually('the last FIN is acknowledged', () => !lab.run(lab.a, 'ss', '-Htn', 'dport', '=', ':9000').includes('FIN-WAIT-1'));

    const retransSegs = counted.grown('Tcp.RetransSegs');
    expect(retransSegs).toBeGreaterThan(20);
    expect(segments(lab.a)).toBe(retransSegs);
    expect(segments(lab.a, retransmitKinds.FAST)).toBe(counted.grown('TcpExt.TCPFastRetrans'));
    expect(segments(lab.a, retransmitKinds.SYN)).toBe(counted.grown('TcpExt.TCPSynRetrans'));
    expect(segments(lab.a, retransmitKinds.OTHER)).toBe(0);

    const records = await run.records(lab.a.cookie);
    expect(run.accounting(lab.a.cookie)).toEqual([records.length, 0, 0]);
    expect(run.count(metrics.TCPRETRANS_RETRANSMITS, lab.a.cookie)).toBe(records.length);
    expect(records.reduce((sum, { record }) => sum + record.x(0), 0)).toBe(retransSegs);
    expect(Math.max(...records.map(({ record }) => record.x(2)))).toBe(retransSegs);
    expect(records.some(({ record }) => record.x(0) > 1)).toBe(true);
    for (const seen of records) {
      expect(told(seen)).toMatchObject({ variant: segment, side: outSide, ends: endsText(lab.a[family], 31_000, lab.b[family], 9000) });
      expect(seen.record.tgid).toBe(client.pid);
    }
    const fast = records.filter(({ record }) => record.code === retransmitKinds.FAST);
    expect(fast.length).toBeGreaterThan(0);
    for (const { record } of fast)
      expect([record.v1 > 0, record.v1 < 5_000_000, record.v2 > 0, record.x(3) > 0]).toEqual([true, true, true, true]);
    expect(new Set(records.map(({ record }) => record.sock)).size).toBe(1);
    if (family === 'ipv4') run.keepFixture('fast', fast[0]);
  },
);

kernelTest.each(['ipv4', 'ipv6'] as const)('a SYN over %s that nobody answers is sent again each second, and numbered', async (family) => {
  await meet(lab);
  start();
  lab.rule(lab.b, 'input', 'tcp dport 9001 drop');
  const counted = lab.kernelCounts(lab.a);
  const client = stream(lab, family, 32_000, 9001);
  const records = await run.waitFor(lab.a.cookie, { code: retransmitKinds.SYN }, 2);
  expect(segments(lab.a)).toBe(counted.grown('Tcp.RetransSegs'));
  for (const [index, seen] of records.entries()) {
    expect(told(seen)).toMatchObject({
      variant: segment,
      side: outSide,
      kind: 'SYN',
      state: tcpStates.SYN_SENT,
      family: family === 'ipv4' ? 2 : 10,
      flags: expect.stringMatching(/^SOCK (CGROUP )?OWNER CLIENT$/),
      ends: endsText(lab.a[family], 32_000, lab.b[family], 9001),
      retransmits: index + 1,
    });
    expect([seen.record.tgid, seen.record.comm, seen.record.x(0), seen.record.x(2)]).toEqual([client.pid, 'node', 1, index + 1]);
  }
  const [first, second] = records as [SeenRecord, SeenRecord];
  const step = second.record.tsNs - first.record.tsNs;
  // The kernel's first timeout is 1 s; it may double (RFC 6298) or not (tcp_syn_linear_timeouts).
  expect(step).toSatisfy((ns: number) => ns > 0.9e9 && ns < 2.5e9);
  if (family === 'ipv4') run.keepFixture('syn', second);
});

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a connection over %s that turns into a black hole: a tail loss probe, then timeouts in a row',
  async (family) => {
    // A handshake that waits for an address gives a long first round trip, and with it long timeouts.
    await meet(lab);
    start();
    await sinkServer(lab, lab.b[family], 9002);
    const client = stream(lab, family, 33_000, 9002);
    await client.line();
    const cookie = cookieBySs(lab, lab.a, 9002);
    const counted = lab.kernelCounts(lab.a);
    lab.rule(lab.b, 'input', 'tcp dport 9002 drop');
    process.kill(client.pid, 'SIGHUP');
    const timeouts = await run.waitFor(lab.a.cookie, { code: retransmitKinds.RTO }, 2);
    const probes = await run.records(lab.a.cookie, { code: retransmitKinds.TLP });
    const all = await run.records(lab.a.cookie);
    expect(counted.grown('Tcp.RetransSegs')).toBe(segments(lab.a));
    expect([probes.length, counted.grown('TcpExt.TCPLossProbes'), all[0]?.record.code]).toEqual([1, 1, retransmitKinds.TLP]);
    expect(timeouts.map((seen) => told(seen).retransmits)).toEqual(timeouts.map((_, index) => index + 1));
    for (const seen of all) {
      expect(told(seen)).toMatchObject({
        variant: segment,
        state: tcpStates.ESTABLISHED,
        ends: endsText(lab.a[family], 33_000, lab.b[family], 9002),
      });
      expect(told(seen).flags).toMatch(/^SOCK (CGROUP )?OWNER$/);
      expect([seen.record.tgid, seen.record.sock, seen.record.x(0), seen.record.x(3)]).toEqual([client.pid, cookie, 1, 1]);
      expect(seen.record.v1).toBeGreaterThan(0);
    }
    if (family === 'ipv4') {
      run.keepFixture('tlp', probes[0]);
      run.keepFixture('rto', timeouts[1]);
    }
  },
);

kernelTest('retransmits that this host drops itself are counted as the kernel counts them, and told with errno', async () => {
  start();
  await sinkServer(lab, lab.b.ipv4, 9003);
  const client = stream(lab, 'ipv4', 34_000, 9003);
  await client.line();
  const counted = lab.kernelCounts(lab.a);
  lab.rule(lab.b, 'input', 'tcp dport 9003 drop');
  process.kill(client.pid, 'SIGHUP');
  await run.waitFor(lab.a.cookie, { code: retransmitKinds.RTO });
  lab.rule(lab.a, 'output', 'tcp dport 9003 drop');
  const refused = () => run.records(lab.a.cookie).then((records) => records.filter(({ record }) => record.x(6) !== 0));
  if (tellsErrors) {
    await eventually('a retransmit was refused', async () => (await refused()).length > 0);
    const [one] = await refused();
    expect([one?.record.x(6), one?.record.x(7), one?.record.code]).toEqual([1, 0, retransmitKinds.RTO]);
    run.keepFixture('rto-refused', one);
    await eventually('both counts are of the same moment', () => counted.grown('Tcp.RetransSegs') === segments(lab.a));
  } else {
    await eventually('the kernel counted one that the tracepoint does not tell', () => counted.grown('Tcp.RetransSegs') > segments(lab.a));
  }
});

kernelTest('what the kernel takes back before it sends is no retransmit', async () => {
  start();
  await sinkServer(lab, lab.b.ipv4, 9004);
  const client = stream(lab, 'ipv4', 35_000, 9004);
  await client.line();
  const counted = lab.kernelCounts(lab.a);
  // So slow that the first timeout finds the packets still in this host's own queue.
  lab.run(lab.a, 'tc', 'qdisc', 'add', 'dev', labInterface, 'root', 'tbf', 'rate', '8kbit', 'burst', '1600', 'limit', '100000');
  await eventually('a timeout came too early', () => {
    process.kill(client.pid, 'SIGHUP');
    return counted.grown('TcpExt.TCPSpuriousRtxHostQueues') > 0;
  });
  await eventually('both counts are of the same moment', () => counted.grown('Tcp.RetransSegs') === segments(lab.a));
});

kernelTest.each([
  ['ipv4', 'ipv4', 2],
  ['ipv6', 'ipv6', 10],
  ['ipv4', '::', 2],
] as const)('SYN-ACKs over %s to a server on %s that are lost: sent again, and both ends know why', async (family, listen, number) => {
  await meet(lab);
  start();
  const server = await sinkServer(lab, listen === '::' ? '::' : lab.b[listen], 9005);
  lab.rule(lab.a, 'input', 'tcp sport 9005 tcp flags & (syn | ack) == (syn | ack) drop');
  const counted = { a: lab.kernelCounts(lab.a), b: lab.kernelCounts(lab.b) };
  const client = stream(lab, family, 36_000, 9005);
  const seen = await run.waitFor(lab.b.cookie, { code: retransmitKinds.SYN_ACK }, 2);
  lab.clearRules(lab.a);
  expect(await client.line()).toEqual({ pid: client.pid, localPort: 36_000 });
  const all = await run.records(lab.b.cookie);
  expect([segments(lab.b), segments(lab.b, retransmitKinds.SYN_ACK)]).toEqual([
    counted.b.grown('Tcp.RetransSegs'),
    counted.b.grown('TcpExt.TCPSynRetrans'),
  ]);
  expect(segments(lab.a)).toBe(counted.a.grown('Tcp.RetransSegs'));
  expect(segments(lab.a, retransmitKinds.SYN)).toBeGreaterThan(0);
  const ends = endsText(lab.b[family], 9005, lab.a[family], 36_000);
  for (const [index, one] of all.entries()) {
    expect(told(one)).toMatchObject({
      variant: synAck,
      side: outSide,
      kind: 'SYN_ACK',
      state: tcpStates.NEW_SYN_RECV,
      family: number,
      ends,
      retransmits: index + 1,
    });
    expect(told(one).flags).toMatch(listen === '::' ? /^SOCK (CGROUP )?OWNER V4MAPPED SERVER$/ : /^SOCK (CGROUP )?OWNER SERVER$/);
    expect([one.record.tgid, one.record.x(0), one.record.x(4), one.record.x(5)]).toEqual([server.pid, 1, 0, 511]);
    // The request's cookie is the accepted connection's.
    expect(one.record.sock).toBe(cookieBySs(lab, lab.b, 36_000));
  }
  if (listen === '::') run.keepFixture('syn-ack-v4mapped', seen[0]);
  if (listen === 'ipv6') run.keepFixture('syn-ack-v6', seen[1]);
});

kernelTest('a full accept queue shows in the SYN-ACKs that its listener sends again', async () => {
  start();
  const server = await sinkServer(lab, lab.b.ipv4, 9006, 3);
  process.kill(server.pid, 'SIGSTOP');
  const counted = lab.kernelCounts(lab.b);
  const first = stream(lab, 'ipv4', 37_000, 9006, { connections: 3 });
  for (let open = 0; open < 3; open++) await first.line();
  // Two more are let in while there is room for one, and finish their handshakes together.
  lab.rule(lab.a, 'input', 'tcp sport 9006 tcp flags & (syn | ack) == (syn | ack) drop');
  stream(lab, 'ipv4', 37_100, 9006, { connections: 2 });
  await run.waitFor(lab.b.cookie, { code: retransmitKinds.SYN_ACK }, 2);
  lab.clearRules(lab.a);
  const full = async () => (await run.records(lab.b.cookie)).filter(({ record }) => record.x(4) > 3);
  await eventually('a SYN-ACK was sent again because of the full queue', async () => (await full()).length > 0);
  const [one] = (await full()) as [SeenRecord];
  expect(acceptQueueBySs(lab, 9006)).toEqual([4, 3]);
  expect([one.record.x(4), one.record.x(5), one.record.tgid]).toEqual([4, 3, server.pid]);
  expect(counted.grown('TcpExt.ListenOverflows')).toBeGreaterThan(0);
  expect(segments(lab.b)).toBe(counted.grown('Tcp.RetransSegs'));
  run.keepFixture('syn-ack-full', one);
});

kernelTest('a bucket that is empty withholds events, and every one is accounted for', async () => {
  start();
  run.set({ ...defaultSettings, intervalNs: 10_000_000_000, burst: 3 });
  // Packets of one segment: many retransmits.
  lab.run(lab.a, 'ip', 'link', 'set', 'dev', labInterface, 'gso_max_segs', '1');
  const server = await sinkServer(lab, lab.b.ipv4, 9007);
  lab.rule(lab.b, 'input', 'tcp dport 9007 numgen random mod 100 < 10 counter drop');
  const counted = lab.kernelCounts(lab.a);
  stream(lab, 'ipv4', 38_000, 9007, { bytes: 3_000_000 });
  await server.line();
  await eventually('both counts are of the same moment', () => counted.grown('Tcp.RetransSegs') === segments(lab.a));
  const records = await run.records(lab.a.cookie);
  const [emitted, suppressed, ringFull] = run.accounting(lab.a.cookie);
  expect([emitted, ringFull]).toEqual([records.length, 0]);
  expect(run.count(metrics.TCPRETRANS_RETRANSMITS, lab.a.cookie)).toBe(emitted + suppressed);
  expect([emitted >= 3, suppressed > 0]).toEqual([true, true]);
  expect(run.withheld(lab.a.cookie, records)).toBe(suppressed);
});

kernelTest('the program for tracepoints without an error passes the verifier, and tells the same of what was sent', async () => {
  await meet(lab);
  const native = loadNative();
  const twoArguments = (name: string) => (name === 'tcp_retransmit_skb' ? 2 : native.tracepointArgs(name));
  const facts = { tracepointArgs: twoArguments, hasMember: native.hasMember.bind(native) };
  const older = { ...tcpretrans, select: () => tcpretrans.select(facts) };
  run = new ProbeRun(older);
  lab.rule(lab.b, 'input', 'tcp dport 9009 drop');
  const counted = lab.kernelCounts(lab.a);
  const client = stream(lab, 'ipv4', 40_000, 9009);
  const [seen] = await run.waitFor(lab.a.cookie, { code: retransmitKinds.SYN });
  expect(segments(lab.a)).toBe(counted.grown('Tcp.RetransSegs'));
  expect(told(seen)).toMatchObject({ kind: 'SYN', retransmits: 1, ends: endsText(lab.a.ipv4, 40_000, lab.b.ipv4, 9009) });
  expect([seen.record.tgid, seen.record.x(6), seen.record.x(7)]).toEqual([client.pid, 0, 0]);
});

kernelTest('the filter leaves out other namespaces, counters too', async () => {
  start();
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(lab.b.cookie);
  lab.rule(lab.b, 'input', 'tcp dport 9008 drop');
  const counted = lab.kernelCounts(lab.a);
  stream(lab, 'ipv4', 39_000, 9008);
  await eventually('the SYN was sent again', () => counted.grown('Tcp.RetransSegs') > 0);
  expect([segments(lab.a), await run.records(lab.a.cookie)]).toEqual([0, []]);
});
