import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Native } from '../../native/addon.ts';
import { loadNative, readBpfObject } from '../../native/index.ts';
import { metrics, recordFlags } from '../../schema/record.gen.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import type { LabProcess } from '../../test/lab/lab-process.ts';
import { type LabNetns, labInterface, NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type ProbeRunOptions, type SeenRecord } from '../../test/lab/probe-run.ts';
import { endsOf } from '../../test/lab/record-ends.ts';
import { defaultSettings } from '../settings.ts';
import { retransmitKindNames, retransmitKinds } from './kinds.ts';
import { tcpretrans } from './probe.ts';

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const [segment, synAck] = [1, 2];
const outSide = 2;
const tcpStates = { ESTABLISHED: 1, SYN_SENT: 2, NEW_SYN_RECV: 12 };
const unlimited = { ...defaultSettings, intervalNs: 0 };

let native: Native;
let lab: NetnsLab;
let cookieA: bigint;
let cookieB: bigint;
let run: ProbeRun;
/** Whether the tracepoint tells of retransmits that this host did not send. */
let tellsErrors: boolean;

beforeAll(() => {
  if (!kernelTestsRun()) return;
  native = loadNative();
  tellsErrors = (native.tracepointArgs('tcp_retransmit_skb') ?? 0) >= 3;
});

// Each test has namespaces of its own: sockets that a process leaves behind go on retransmitting for a while.
beforeEach(() => {
  if (!kernelTestsRun()) return;
  lab = new NetnsLab('-retrans');
  cookieA = native.netnsCookie(lab.a.path);
  cookieB = native.netnsCookie(lab.b.path);
});

afterEach(async () => {
  await lab?.remove();
  await run?.stop();
});

function start(options: ProbeRunOptions = {}): ProbeRun {
  run = new ProbeRun(native, tcpretrans, readBpfObject('tcpretrans'), options);
  run.set(unlimited);
  return run;
}

/** Adds a rule to what comes in, or goes out, of a namespace. */
function rule(netns: LabNetns, hook: 'input' | 'output', words: string): void {
  const chain = `add table inet lab; add chain inet lab ${hook} { type filter hook ${hook} priority 0; }`;
  lab.run(netns, 'nft', `${chain}; add rule inet lab ${hook} ${words}`);
}

function clearRules(netns: LabNetns): void {
  lab.run(netns, 'nft', 'flush ruleset');
}

/** What the kernel itself counted in a namespace since this call. */
function kernelCounts(netns: LabNetns) {
  const read = () => new Map([...lab.snmp(netns), ...lab.netstat(netns)]);
  const before = read();
  return {
    grown: (name: string) => {
      const value = read().get(name);
      if (value === undefined) throw new Error(`this kernel has no counter ${name}`);
      return value - (before.get(name) as number);
    },
  };
}

function segments(net: bigint, kind?: number): number {
  const entries = run.counters().filter((entry) => entry.metric === metrics.TCPRETRANS_SEGMENTS && entry.net === Number(net));
  return entries.filter(({ bucket }) => kind === undefined || bucket === kind).reduce((sum, { value }) => sum + value, 0);
}

async function recordsOf(net: bigint, kind?: number): Promise<SeenRecord[]> {
  const records = await run.records(net);
  return records.filter(({ record }) => kind === undefined || record.code === kind);
}

/** Waits until a namespace has so many records of a kind; returns all of them. */
async function waitFor(net: bigint, kind: number, count: number): Promise<SeenRecord[]> {
  let records: SeenRecord[] = [];
  await eventually(`${count} records of kind ${retransmitKindNames.get(kind)}`, async () => {
    records = await recordsOf(net, kind);
    return records.length >= count;
  });
  return records;
}

/** Keeps a real record for probe.test.ts, when the tests are run to record them. */
function keepFixture(name: string, seen: SeenRecord | undefined): void {
  if (process.env.RECORD_FIXTURES === undefined || seen === undefined) return;
  mkdirSync(fixtures, { recursive: true });
  writeFileSync(`${fixtures}${name}.bin`, seen.bytes);
}

function told({ record }: SeenRecord) {
  const names = Object.entries(recordFlags).filter(([, bit]) => record.flags & bit);
  return {
    variant: record.variant,
    side: record.side,
    kind: retransmitKindNames.get(record.code),
    state: record.state,
    family: record.family,
    flags: names.map(([name]) => name).join(' '),
    ends: endsOf(record),
    retransmits: record.x(1),
  };
}

/** Cookie as `ss` tells it, of the established connection with this far port. */
function cookieBySs(netns: LabNetns, farPort: number): number {
  const row = lab.run(netns, 'ss', '-Htne', 'state', 'established', 'dport', '=', `:${farPort}`);
  return Number.parseInt(/\bsk:([0-9a-f]+)/.exec(row)?.[1] ?? '', 16);
}

async function sinkServer(address: string, port: number, backlog = 511): Promise<LabProcess> {
  const server = lab.start(lab.b, 'sink-server.mjs', address, String(port), String(backlog));
  await server.line();
  return server;
}

function stream(address: string, localPort: number, remote: string, port: number, bytes: number, connections = 1): LabProcess {
  return lab.start(lab.a, 'stream.mjs', address, String(localPort), remote, String(port), String(bytes), String(connections));
}

/** Makes both ends know each other's link-layer address: a packet that waits for one is still in this host's queue. */
async function meet(family: 'ipv4' | 'ipv6'): Promise<void> {
  await lab.result(lab.a, 'connect.mjs', lab.a[family], '30000', '1', lab.b[family], '81');
}

function accounting(net: bigint): readonly number[] {
  return [metrics.EMITTED, metrics.SUPPRESSED, metrics.RING_FULL, metrics.TCPRETRANS_RETRANSMITS].map((metric) => run.count(metric, net));
}

function endsText(family: 'ipv4' | 'ipv6', localPort: number, port: number): string {
  return family === 'ipv4' ? `${lab.a.ipv4}:${localPort} ${lab.b.ipv4}:${port}` : `[${lab.a.ipv6}]:${localPort} [${lab.b.ipv6}]:${port}`;
}

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a transfer over %s that loses every tenth packet: segments by kind are what the kernel counts, to the unit',
  async (family) => {
    await meet(family);
    start();
    const server = await sinkServer(lab.b[family], 9000);
    rule(lab.b, 'input', 'tcp dport 9000 numgen random mod 100 < 10 counter drop');
    const counted = kernelCounts(lab.a);
    const bytes = 5_000_000;
    const client = stream(lab.a[family], 31_000, lab.b[family], 9000, bytes);
    expect(await client.line()).toEqual({ pid: client.pid, localPort: 31_000 });
    expect(await server.line()).toEqual({ bytes });
    await eventually('the last FIN is acknowledged', () => !lab.run(lab.a, 'ss', '-Htn', 'dport', '=', ':9000').includes('FIN-WAIT-1'));

    const retransSegs = counted.grown('Tcp.RetransSegs');
    expect(retransSegs).toBeGreaterThan(20);
    expect(segments(cookieA)).toBe(retransSegs);
    expect(segments(cookieA, retransmitKinds.FAST)).toBe(counted.grown('TcpExt.TCPFastRetrans'));
    expect(segments(cookieA, retransmitKinds.SYN)).toBe(counted.grown('TcpExt.TCPSynRetrans'));
    expect(segments(cookieA, retransmitKinds.OTHER)).toBe(0);

    const records = await recordsOf(cookieA);
    expect(accounting(cookieA)).toEqual([records.length, 0, 0, records.length]);
    expect(records.reduce((sum, { record }) => sum + record.x(0), 0)).toBe(retransSegs);
    expect(Math.max(...records.map(({ record }) => record.x(2)))).toBe(retransSegs);
    expect(records.some(({ record }) => record.x(0) > 1)).toBe(true);
    for (const seen of records) {
      expect(told(seen)).toMatchObject({ variant: segment, side: outSide, ends: endsText(family, 31_000, 9000) });
      expect(seen.record.tgid).toBe(client.pid);
    }
    const fast = records.filter(({ record }) => record.code === retransmitKinds.FAST);
    expect(fast.length).toBeGreaterThan(0);
    for (const { record } of fast)
      expect([record.v1 > 0, record.v1 < 5_000_000, record.v2 > 0, record.x(3) > 0]).toEqual([true, true, true, true]);
    expect(new Set(records.map(({ record }) => record.sock)).size).toBe(1);
    if (family === 'ipv4') keepFixture('fast', fast[0]);
  },
);

kernelTest.each(['ipv4', 'ipv6'] as const)('a SYN over %s that nobody answers is sent again each second, and numbered', async (family) => {
  await meet(family);
  start();
  rule(lab.b, 'input', 'tcp dport 9001 drop');
  const counted = kernelCounts(lab.a);
  const client = stream(lab.a[family], 32_000, lab.b[family], 9001, 0);
  const records = await waitFor(cookieA, retransmitKinds.SYN, 2);
  expect(segments(cookieA)).toBe(counted.grown('Tcp.RetransSegs'));
  for (const [index, seen] of records.entries()) {
    expect(told(seen)).toMatchObject({
      variant: segment,
      side: outSide,
      kind: 'SYN',
      state: tcpStates.SYN_SENT,
      family: family === 'ipv4' ? 2 : 10,
      flags: expect.stringMatching(/^SOCK (CGROUP )?OWNER CLIENT$/),
      ends: endsText(family, 32_000, 9001),
      retransmits: index + 1,
    });
    expect([seen.record.tgid, seen.record.comm, seen.record.x(0), seen.record.x(2)]).toEqual([client.pid, 'node', 1, index + 1]);
  }
  const [first, second] = records as [SeenRecord, SeenRecord];
  const step = second.record.tsNs - first.record.tsNs;
  // The kernel's first timeout is 1 s; it may double (RFC 6298) or not (tcp_syn_linear_timeouts).
  expect(step).toSatisfy((ns: number) => ns > 0.9e9 && ns < 2.5e9);
  if (family === 'ipv4') keepFixture('syn', second);
});

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a connection over %s that turns into a black hole: a tail loss probe, then timeouts in a row',
  async (family) => {
    // A handshake that waits for an address gives a long first round trip, and with it long timeouts.
    await meet(family);
    start();
    await sinkServer(lab.b[family], 9002);
    const client = stream(lab.a[family], 33_000, lab.b[family], 9002, 0);
    await client.line();
    const cookie = cookieBySs(lab.a, 9002);
    const counted = kernelCounts(lab.a);
    rule(lab.b, 'input', 'tcp dport 9002 drop');
    process.kill(client.pid, 'SIGHUP');
    const timeouts = await waitFor(cookieA, retransmitKinds.RTO, 2);
    const probes = await recordsOf(cookieA, retransmitKinds.TLP);
    const all = await recordsOf(cookieA);
    expect(counted.grown('Tcp.RetransSegs')).toBe(segments(cookieA));
    expect([probes.length, counted.grown('TcpExt.TCPLossProbes'), all[0]?.record.code]).toEqual([1, 1, retransmitKinds.TLP]);
    expect(timeouts.map((seen) => told(seen).retransmits)).toEqual(timeouts.map((_, index) => index + 1));
    for (const seen of all) {
      expect(told(seen)).toMatchObject({ variant: segment, state: tcpStates.ESTABLISHED, ends: endsText(family, 33_000, 9002) });
      expect(told(seen).flags).toMatch(/^SOCK (CGROUP )?OWNER$/);
      expect([seen.record.tgid, seen.record.sock, seen.record.x(0), seen.record.x(3)]).toEqual([client.pid, cookie, 1, 1]);
      expect(seen.record.v1).toBeGreaterThan(0);
    }
    if (family === 'ipv4') {
      keepFixture('tlp', probes[0]);
      keepFixture('rto', timeouts[1]);
    }
  },
);

kernelTest('retransmits that this host drops itself are counted as the kernel counts them, and told with errno', async () => {
  start();
  await sinkServer(lab.b.ipv4, 9003);
  const client = stream(lab.a.ipv4, 34_000, lab.b.ipv4, 9003, 0);
  await client.line();
  const counted = kernelCounts(lab.a);
  rule(lab.b, 'input', 'tcp dport 9003 drop');
  process.kill(client.pid, 'SIGHUP');
  await waitFor(cookieA, retransmitKinds.RTO, 1);
  rule(lab.a, 'output', 'tcp dport 9003 drop');
  const refused = () => recordsOf(cookieA).then((records) => records.filter(({ record }) => record.x(6) !== 0));
  if (tellsErrors) {
    await eventually('a retransmit was refused', async () => (await refused()).length > 0);
    const [one] = await refused();
    expect([one?.record.x(6), one?.record.x(7), one?.record.code]).toEqual([1, 0, retransmitKinds.RTO]);
    keepFixture('rto-refused', one);
    await eventually('both counts are of the same moment', () => counted.grown('Tcp.RetransSegs') === segments(cookieA));
  } else {
    await eventually(
      'the kernel counted one that the tracepoint does not tell',
      () => counted.grown('Tcp.RetransSegs') > segments(cookieA),
    );
  }
});

kernelTest('what the kernel takes back before it sends is no retransmit', async () => {
  start();
  await sinkServer(lab.b.ipv4, 9004);
  const client = stream(lab.a.ipv4, 35_000, lab.b.ipv4, 9004, 0);
  await client.line();
  const counted = kernelCounts(lab.a);
  // So slow that the first timeout finds the packets still in this host's own queue.
  lab.run(lab.a, 'tc', 'qdisc', 'add', 'dev', labInterface, 'root', 'tbf', 'rate', '8kbit', 'burst', '1600', 'limit', '100000');
  await eventually('a timeout came too early', () => {
    process.kill(client.pid, 'SIGHUP');
    return counted.grown('TcpExt.TCPSpuriousRtxHostQueues') > 0;
  });
  await eventually('both counts are of the same moment', () => counted.grown('Tcp.RetransSegs') === segments(cookieA));
});

kernelTest.each([
  ['ipv4', 'ipv4', 2],
  ['ipv6', 'ipv6', 10],
  ['ipv4', '::', 2],
] as const)('SYN-ACKs over %s to a server on %s that are lost: sent again, and both ends know why', async (family, listen, number) => {
  await meet(family);
  start();
  const server = await sinkServer(listen === '::' ? '::' : lab.b[listen], 9005);
  rule(lab.a, 'input', 'tcp sport 9005 tcp flags & (syn | ack) == (syn | ack) drop');
  const counted = { a: kernelCounts(lab.a), b: kernelCounts(lab.b) };
  const client = stream(lab.a[family], 36_000, lab.b[family], 9005, 0);
  const seen = await waitFor(cookieB, retransmitKinds.SYN_ACK, 2);
  clearRules(lab.a);
  expect(await client.line()).toEqual({ pid: client.pid, localPort: 36_000 });
  const all = await recordsOf(cookieB);
  expect([segments(cookieB), segments(cookieB, retransmitKinds.SYN_ACK)]).toEqual([
    counted.b.grown('Tcp.RetransSegs'),
    counted.b.grown('TcpExt.TCPSynRetrans'),
  ]);
  expect(segments(cookieA)).toBe(counted.a.grown('Tcp.RetransSegs'));
  expect(segments(cookieA, retransmitKinds.SYN)).toBeGreaterThan(0);
  const ends = endsText(family, 36_000, 9005).split(' ').reverse().join(' ');
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
    expect(one.record.sock).toBe(cookieBySs(lab.b, 36_000));
  }
  if (listen === '::') keepFixture('syn-ack-v4mapped', seen[0]);
  if (listen === 'ipv6') keepFixture('syn-ack-v6', seen[1]);
});

kernelTest('a full accept queue shows in the SYN-ACKs that its listener sends again', async () => {
  start();
  const server = await sinkServer(lab.b.ipv4, 9006, 3);
  process.kill(server.pid, 'SIGSTOP');
  const counted = kernelCounts(lab.b);
  const first = stream(lab.a.ipv4, 37_000, lab.b.ipv4, 9006, 0, 3);
  for (let open = 0; open < 3; open++) await first.line();
  // Two more are let in while there is room for one, and finish their handshakes together.
  rule(lab.a, 'input', 'tcp sport 9006 tcp flags & (syn | ack) == (syn | ack) drop');
  stream(lab.a.ipv4, 37_100, lab.b.ipv4, 9006, 0, 2);
  await waitFor(cookieB, retransmitKinds.SYN_ACK, 2);
  clearRules(lab.a);
  const full = async () => (await recordsOf(cookieB)).filter(({ record }) => record.x(4) > 3);
  await eventually('a SYN-ACK was sent again because of the full queue', async () => (await full()).length > 0);
  const [one] = (await full()) as [SeenRecord];
  expect(lab.run(lab.b, 'ss', '-Htln', 'sport', '=', ':9006').trim().split(/\s+/).slice(1, 3)).toEqual(['4', '3']);
  expect([one.record.x(4), one.record.x(5), one.record.tgid]).toEqual([4, 3, server.pid]);
  expect(counted.grown('TcpExt.ListenOverflows')).toBeGreaterThan(0);
  expect(segments(cookieB)).toBe(counted.grown('Tcp.RetransSegs'));
  keepFixture('syn-ack-full', one);
});

kernelTest('a bucket that is empty withholds events, and every one is accounted for', async () => {
  start();
  run.set({ ...defaultSettings, intervalNs: 10_000_000_000, burst: 3 });
  // Packets of one segment: many retransmits.
  lab.run(lab.a, 'ip', 'link', 'set', 'dev', labInterface, 'gso_max_segs', '1');
  const server = await sinkServer(lab.b.ipv4, 9007);
  rule(lab.b, 'input', 'tcp dport 9007 numgen random mod 100 < 10 counter drop');
  const counted = kernelCounts(lab.a);
  stream(lab.a.ipv4, 38_000, lab.b.ipv4, 9007, 3_000_000);
  await server.line();
  await eventually('both counts are of the same moment', () => counted.grown('Tcp.RetransSegs') === segments(cookieA));
  const records = await recordsOf(cookieA);
  const [emitted, suppressed, ringFull, retransmits] = accounting(cookieA) as [number, number, number, number];
  expect([emitted, ringFull, emitted + suppressed]).toEqual([records.length, 0, retransmits]);
  expect([emitted >= 3, suppressed > 0]).toEqual([true, true]);
  expect(records.reduce((sum, { record }) => sum + record.v0, 0) + run.withheld(cookieA, tcpretrans.number)).toBe(suppressed);
});

kernelTest('the program for tracepoints without an error passes the verifier, and tells the same of what was sent', async () => {
  await meet('ipv4');
  const twoArguments = (name: string) => (name === 'tcp_retransmit_skb' ? 2 : native.tracepointArgs(name));
  const facts = { tracepointArgs: twoArguments, hasMember: native.hasMember.bind(native) };
  const older = { ...tcpretrans, select: () => tcpretrans.select(facts) };
  run = new ProbeRun(native, older, readBpfObject('tcpretrans'));
  rule(lab.b, 'input', 'tcp dport 9009 drop');
  const counted = kernelCounts(lab.a);
  const client = stream(lab.a.ipv4, 40_000, lab.b.ipv4, 9009, 0);
  const [seen] = (await waitFor(cookieA, retransmitKinds.SYN, 1)) as [SeenRecord];
  expect(segments(cookieA)).toBe(counted.grown('Tcp.RetransSegs'));
  expect(told(seen)).toMatchObject({ kind: 'SYN', retransmits: 1, ends: endsText('ipv4', 40_000, 9009) });
  expect([seen.record.tgid, seen.record.x(6), seen.record.x(7)]).toEqual([client.pid, 0, 0]);
});

kernelTest('the filter leaves out other namespaces, counters too', async () => {
  start();
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(cookieB);
  rule(lab.b, 'input', 'tcp dport 9008 drop');
  const counted = kernelCounts(lab.a);
  stream(lab.a.ipv4, 39_000, lab.b.ipv4, 9008, 0);
  await eventually('the SYN was sent again', () => counted.grown('Tcp.RetransSegs') > 0);
  expect([segments(cookieA), await recordsOf(cookieA)]).toEqual([0, []]);
});
