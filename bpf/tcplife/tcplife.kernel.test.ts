import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Native } from '../../native/addon.ts';
import { loadNative, readBpfObject } from '../../native/index.ts';
import { metrics, recordFlags } from '../../schema/record.gen.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import type { LabProcess } from '../../test/lab/lab-process.ts';
import { type LabNetns, NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type SeenRecord } from '../../test/lab/probe-run.ts';
import { endsOf } from '../../test/lab/record-ends.ts';
import type { EventNames } from '../event.ts';
import { defaultSettings, encodeThreshold } from '../settings.ts';
import { directions, endings, failureNames } from './names.ts';
import { tcplife } from './probe.ts';
import { thresholds } from './thresholds.ts';

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const [failed, slow, closed] = [1, 2, 3];
const unlimited = { ...defaultSettings, intervalNs: 0 };
const names: EventNames = {
  local: 'client',
  far: 'web',
  enumName: () => undefined,
  origin: '',
  symbol: () => undefined,
  stack: () => undefined,
};

let native: Native;
let lab: NetnsLab;
let cookieA: bigint;
let cookieB: bigint;
let run: ProbeRun;

beforeAll(() => {
  if (kernelTestsRun()) native = loadNative();
});

beforeEach(() => {
  if (!kernelTestsRun()) return;
  lab = new NetnsLab('-life');
  cookieA = native.netnsCookie(lab.a.path);
  cookieB = native.netnsCookie(lab.b.path);
});

afterEach(async () => {
  await lab?.remove();
  await run?.stop();
});

function start(): void {
  run = new ProbeRun(native, tcplife, readBpfObject('tcplife'));
  run.set(unlimited);
}

function set(threshold: { readonly section: string; readonly offset: number }, value: number): void {
  run.object.writeData(threshold.section, threshold.offset, encodeThreshold(value));
}

/** From here on every closed connection is told. */
function tellEveryClose(): void {
  set(thresholds.retransmittedSegments, 0);
  set(thresholds.retransmittedPerMille, 0);
}

/** Adds a rule to what comes in, or goes out, of a namespace. */
function rule(netns: LabNetns, hook: 'input' | 'output', words: string): void {
  const chain = `add table inet lab; add chain inet lab ${hook} { type filter hook ${hook} priority 0; }`;
  lab.run(netns, 'nft', `${chain}; add rule inet lab ${hook} ${words}`);
}

function sysctl(netns: LabNetns, name: string, value: number | string): void {
  lab.run(netns, 'sysctl', '-qw', `${name}=${value}`);
}

/** What the kernel itself counted in a namespace since this call. */
function kernelCounts(netns: LabNetns) {
  const before = lab.snmp(netns);
  return { grown: (name: string) => (lab.snmp(netns).get(name) as number) - (before.get(name) as number) };
}

function counter(net: bigint, metric: number, bucket?: number): number {
  const entries = run.counters().filter((entry) => entry.metric === metric && entry.net === Number(net));
  return entries.filter((entry) => bucket === undefined || entry.bucket === bucket).reduce((sum, { value }) => sum + value, 0);
}

/** Non-zero endings of a namespace's connections. */
function endingsOf(net: bigint): Record<string, number> {
  const counted = Object.entries(endings).map(([name, bucket]) => [name, counter(net, metrics.TCPLIFE_CLOSED, bucket)] as const);
  return Object.fromEntries(counted.filter(([, count]) => count > 0));
}

async function recordsOf(net: bigint, variant?: number): Promise<SeenRecord[]> {
  const records = await run.records(net);
  return records.filter(({ record }) => variant === undefined || record.variant === variant);
}

/** Waits until a namespace has so many records of a variant; returns all of these. */
async function waitFor(net: bigint, variant: number, count: number): Promise<SeenRecord[]> {
  let records: SeenRecord[] = [];
  await eventually(`${count} records of ${tcplife.variants.get(variant)}`, async () => {
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

async function sinkServer(address: string, port: number): Promise<LabProcess> {
  const server = lab.start(lab.b, 'sink-server.mjs', address, String(port));
  await server.line();
  return server;
}

interface Dialled {
  readonly pid: number;
  readonly localPort: number;
  readonly outcome: string;
  readonly elapsedMs: number;
}

async function dial(localPort: number, address: string, port: number, ...how: string[]): Promise<Dialled> {
  return (await lab.result(lab.a, 'dial.mjs', '', String(localPort), address, String(port), ...how)) as unknown as Dialled;
}

/**
 * A time that the probe tells, against what was provoked and what the application measured: at least the one and at most the
 * other, to 5 %. On a busy machine the application hears of things late; what the kernel did is in between.
 */
function expectTime(us: number, atLeastMs: number, atMostMs: number): void {
  expect([us / 1000, atLeastMs, atMostMs]).toSatisfy(() => us / 1000 > atLeastMs * 0.95 && us / 1000 < atMostMs * 1.05);
}

/** Makes both ends know each other's link-layer address. */
async function meet(): Promise<void> {
  for (const family of ['ipv4', 'ipv6'] as const) await lab.result(lab.a, 'connect.mjs', lab.a[family], '30000', '1', lab.b[family], '81');
}

/** Addresses of B by the name of a case. */
function addressOf(name: 'ipv4' | 'ipv6' | 'v4mapped'): string {
  return name === 'v4mapped' ? `::ffff:${lab.b.ipv4}` : lab.b[name];
}

const families = [
  ['ipv4', 2],
  ['ipv6', 10],
  ['v4mapped', 2],
] as const;

kernelTest.each(families)('healthy connections over %s yield counts, equal to the kernel’s, and no events', async (name) => {
  await meet();
  start();
  await sinkServer(name === 'v4mapped' ? '::' : lab.b[name], 9000);
  const [a, b] = [kernelCounts(lab.a), kernelCounts(lab.b)];
  const local = name === 'v4mapped' ? `::ffff:${lab.a.ipv4}` : lab.a[name];
  const count = 300;
  const { outcomes } = (await lab.result(lab.a, 'connect.mjs', local, '20000', String(count), addressOf(name), '9000')) as {
    outcomes: { outcome: string }[];
  };
  expect(outcomes.filter(({ outcome }) => outcome === 'connected')).toHaveLength(count);
  await eventually(
    'all are closed',
    () => counter(cookieB, metrics.TCPLIFE_CLOSED) === count && counter(cookieA, metrics.TCPLIFE_CLOSED) === count,
  );
  expect([a.grown('Tcp.ActiveOpens'), b.grown('Tcp.PassiveOpens')]).toEqual([count, count]);
  expect([
    counter(cookieA, metrics.TCPLIFE_ACCEPTED),
    counter(cookieB, metrics.TCPLIFE_ACCEPTED),
    counter(cookieA, metrics.TCPLIFE_CONNECT),
    counter(cookieB, metrics.TCPLIFE_CONNECT),
  ]).toEqual([0, count, count, 0]);
  expect([endingsOf(cookieA), endingsOf(cookieB)]).toEqual([{ LOCAL_FIN: count }, { FAR_FIN: count }]);
  expect([
    counter(cookieA, metrics.TCPLIFE_FAILED),
    counter(cookieA, metrics.TCPLIFE_BYTES),
    counter(cookieB, metrics.TCPLIFE_BYTES),
  ]).toEqual([0, 0, 0]);
  expect([a.grown('Tcp.AttemptFails'), a.grown('Tcp.EstabResets'), b.grown('Tcp.EstabResets')]).toEqual([0, 0, 0]);
  expect([await recordsOf(cookieA), await recordsOf(cookieB)]).toEqual([[], []]);
});

kernelTest.each(families)('a connect over %s whose first SYN is lost takes the 1 s step, and is told', async (name, family) => {
  await meet();
  start();
  const server = await sinkServer(name === 'v4mapped' ? '::' : lab.b[name], 9001);
  rule(lab.b, 'input', 'tcp dport 9001 tcp flags & (syn | ack) == syn limit rate 1/day burst 1 packets drop');
  const told = await dial(21_000, addressOf(name), 9001);
  expect([told.outcome, told.elapsedMs > 900]).toEqual(['connected', true]);
  const [seen, ...more] = (await waitFor(cookieA, slow, 1)) as [SeenRecord];
  const { record } = seen;
  expect([more, await recordsOf(cookieA, failed), await recordsOf(cookieB)]).toEqual([[], [], []]);
  expectTime(record.v1, 1000, told.elapsedMs);
  expect([record.v2, record.code, record.state, record.side, record.family, record.tgid, record.comm]).toEqual([
    1,
    0,
    2,
    2,
    family,
    told.pid,
    'node',
  ]);
  expect(flagsOf(seen)).toMatch(name === 'v4mapped' ? /^SOCK (CGROUP )?OWNER V4MAPPED CLIENT$/ : /^SOCK (CGROUP )?OWNER CLIENT$/);
  expect(endsOf(record)).toBe(family === 2 ? `${lab.a.ipv4}:21000 ${lab.b.ipv4}:9001` : `[${lab.a.ipv6}]:21000 [${lab.b.ipv6}]:9001`);
  const bits = Math.floor(Math.log2(record.v1)) + 1;
  expect([counter(cookieA, metrics.TCPLIFE_CONNECT, bits), counter(cookieA, metrics.TCPLIFE_CONNECT_US)]).toEqual([1, record.v1]);
  keepFixture(`slow-${name}`, seen);
  await server.stop();
});

kernelTest('a threshold of 0 tells every connect, at once', async () => {
  start();
  await sinkServer(lab.b.ipv4, 9002);
  expect((await dial(0, lab.b.ipv4, 9002)).outcome).toBe('connected');
  expect(await recordsOf(cookieA)).toEqual([]);
  set(thresholds.slowConnectUs, 0);
  const told = await dial(0, lab.b.ipv4, 9002);
  const [seen] = (await waitFor(cookieA, slow, 1)) as [SeenRecord];
  expect([seen.record.sport, seen.record.v2]).toEqual([told.localPort, 0]);
  expect(seen.record.v1).toBeLessThan(told.elapsedMs * 1000);
});

/** Packets to this network go by B, which does with them what the route says. */
function routeByB(route: string): string {
  lab.run(lab.a, 'ip', 'route', 'add', '203.0.113.0/24', 'via', lab.b.ipv4);
  sysctl(lab.b, 'net.ipv4.ip_forward', 1);
  if (route !== '') lab.run(lab.b, 'ip', 'route', 'add', route, '203.0.113.0/24');
  return '203.0.113.9';
}

interface Failure {
  readonly what: string;
  /** What the application is told. */
  readonly outcome: string;
  /** event.reason, where it is another. */
  readonly reason?: string;
  /** Makes the fault and returns the address to connect to. */
  readonly provoke: () => string | Promise<string>;
  readonly how?: string;
  /** What the kernel adds to AttemptFails; either, where it depends on who is faster. */
  readonly attemptFails: 0 | 1 | 'either';
  /** How long the fault makes it take. */
  readonly atLeastMs?: number;
  readonly fixture?: string;
}

const port = 9100;
const failures: readonly Failure[] = [
  { what: 'refused over IPv4', outcome: 'ECONNREFUSED', attemptFails: 1, provoke: () => lab.b.ipv4, fixture: 'refused' },
  { what: 'refused over IPv6', outcome: 'ECONNREFUSED', attemptFails: 1, provoke: () => lab.b.ipv6, fixture: 'refused-v6' },
  {
    what: 'refused over IPv4 in an IPv6 socket',
    outcome: 'ECONNREFUSED',
    attemptFails: 1,
    provoke: () => `::ffff:${lab.b.ipv4}`,
    fixture: 'refused-v4mapped',
  },
  {
    what: 'timed out over IPv4',
    outcome: 'ETIMEDOUT',
    attemptFails: 1,
    provoke: () => dropSyns(lab.b.ipv4),
    // 1 s for the first SYN, and at least as long for the second.
    atLeastMs: 2000,
    fixture: 'timed-out',
  },
  { what: 'timed out over IPv6', outcome: 'ETIMEDOUT', attemptFails: 1, provoke: () => dropSyns(lab.b.ipv6) },
  {
    what: 'without a neighbour of that address',
    outcome: 'EHOSTUNREACH',
    attemptFails: 1,
    provoke() {
      sysctl(lab.a, 'net.ipv4.neigh.veth0.retrans_time_ms', 100);
      return '198.51.100.77';
    },
    fixture: 'no-neighbour',
  },
  {
    what: 'to a host that a router calls unreachable',
    outcome: 'EHOSTUNREACH',
    attemptFails: 'either',
    provoke: () => routeByB('unreachable'),
  },
  { what: 'that a router prohibits', outcome: 'EHOSTUNREACH', attemptFails: 'either', provoke: () => routeByB('prohibit') },
  {
    what: 'to a network that a router does not know',
    outcome: 'ENETUNREACH',
    attemptFails: 'either',
    provoke: () => routeByB(''),
    fixture: 'net-unreachable',
  },
  {
    what: 'that a firewall rejects as prohibited',
    outcome: 'EHOSTUNREACH',
    attemptFails: 'either',
    provoke() {
      rule(lab.b, 'input', `tcp dport ${port} reject with icmpx admin-prohibited`);
      return lab.b.ipv4;
    },
  },
  {
    what: 'that a firewall rejects as prohibited, over IPv6',
    outcome: 'EACCES',
    attemptFails: 1,
    provoke() {
      rule(lab.b, 'input', `tcp dport ${port} reject with icmpx admin-prohibited`);
      return lab.b.ipv6;
    },
  },
  {
    what: 'that the application gives up',
    outcome: 'gave-up',
    reason: 'ABORTED',
    provoke: () => dropSyns(lab.b.ipv4),
    how: '400',
    atLeastMs: 400,
    attemptFails: 0,
    fixture: 'aborted',
  },
  {
    what: 'without a free local port',
    outcome: 'EADDRNOTAVAIL',
    reason: 'NOT_SENT',
    async provoke() {
      sysctl(lab.a, 'net.ipv4.ip_local_port_range', '45000 45001');
      await sinkServer(lab.b.ipv4, port);
      for (let taken = 0; taken < 2; taken++) await lab.start(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, String(port), 'keep').line();
      return lab.b.ipv4;
    },
    attemptFails: 0,
    fixture: 'not-sent',
  },
];

function dropSyns(address: string): string {
  sysctl(lab.a, 'net.ipv4.tcp_syn_retries', 1);
  rule(lab.b, 'input', `tcp dport ${port} drop`);
  return address;
}

kernelTest.each(failures)('a connect $what is one event with its reason', async (failure) => {
  await meet();
  const address = await failure.provoke();
  start();
  const counts = kernelCounts(lab.a);
  const told = await dial(failure.reason === 'NOT_SENT' ? 0 : 22_000, address, port, ...(failure.how === undefined ? [] : [failure.how]));
  expect(told.outcome).toBe(failure.outcome);
  const seen = await waitFor(cookieA, failed, 1);
  const [{ record }] = seen as [SeenRecord];
  expect([seen.length, (await recordsOf(cookieA)).length, (await recordsOf(cookieB)).length]).toEqual([1, 1, 0]);
  const reason = failure.reason ?? failure.outcome;
  expect([tcplife.event.reason(record, names), failureNames.get(record.code)]).toEqual([reason, reason]);
  expect([record.state, record.side, record.dport, record.tgid, record.comm]).toEqual([2, 2, port, told.pid, 'node']);
  expect(flagsOf(seen[0])).toMatch(
    address.startsWith('::ffff') ? /^SOCK (CGROUP )?OWNER V4MAPPED CLIENT$/ : /^SOCK (CGROUP )?OWNER CLIENT$/,
  );
  expect(endsOf(record)).toContain(address.replace('::ffff:', '').replace(/^.*:.*$/, '[$&]'));
  if (reason !== 'NOT_SENT') expect(record.sport).toBe(22_000);
  expect(record.v2).toBe(counts.grown('Tcp.RetransSegs'));
  expectTime(record.v1, failure.atLeastMs ?? 0, told.elapsedMs);
  expect([counter(cookieA, metrics.TCPLIFE_FAILED), counter(cookieA, metrics.TCPLIFE_FAILED, record.code)]).toEqual([1, 1]);
  expect([counter(cookieA, metrics.TCPLIFE_CONNECT), counter(cookieA, metrics.TCPLIFE_CLOSED)]).toEqual([0, 0]);
  if (failure.attemptFails !== 'either') expect(counts.grown('Tcp.AttemptFails')).toBe(failure.attemptFails);
  expect(tcplife.event.message(record, names)).toMatch(/^client (could not connect|gave up connecting) to web:9100: /);
  if (failure.fixture !== undefined) keepFixture(failure.fixture, seen[0]);
});

kernelTest('a connect without a route changes no state: no event, but the kernel counts it', async () => {
  start();
  const counts = kernelCounts(lab.a);
  expect((await dial(0, '192.0.2.1', 80)).outcome).toBe('ENETUNREACH');
  expect([await recordsOf(cookieA), counter(cookieA, metrics.TCPLIFE_FAILED), counts.grown('Ip.OutNoRoutes')]).toEqual([[], 0, 1]);
});

kernelTest('blocking connects are seen as others are', async () => {
  start();
  await sinkServer(lab.b.ipv4, 9003);
  const attempt = (to: number) => lab.run(lab.a, 'bash', '-c', `exec 3<>/dev/tcp/${lab.b.ipv4}/${to}`);
  attempt(9003);
  expect(() => attempt(81)).toThrow(/refused/);
  const [seen, ...more] = await waitFor(cookieA, failed, 1);
  expect([seen?.record.code, seen?.record.comm, seen?.record.dport, more]).toEqual([111, 'bash', 81, []]);
  expect(counter(cookieA, metrics.TCPLIFE_CONNECT)).toBe(1);
});

kernelTest('200 refused connects are 200 events, and as many in AttemptFails', async () => {
  start();
  const counts = kernelCounts(lab.a);
  await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, '23000', '200', lab.b.ipv4, '81');
  const seen = await waitFor(cookieA, failed, 200);
  expect([seen.length, new Set(seen.map(({ record }) => record.sport)).size, counts.grown('Tcp.AttemptFails')]).toEqual([200, 200, 200]);
  expect([run.count(metrics.EMITTED, cookieA), counter(cookieA, metrics.TCPLIFE_FAILED, 111)]).toEqual([200, 200]);
});

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a closed connection over %s: bytes, segments and time are the application’s and the kernel’s',
  async (name) => {
    await meet();
    start();
    tellEveryClose();
    const server = await sinkServer(lab.b[name], 9004);
    const [a, b] = [kernelCounts(lab.a), kernelCounts(lab.b)];
    const bytes = 300_000;
    const before = process.hrtime.bigint();
    const client = lab.start(lab.a, 'stream.mjs', lab.a[name], '24000', lab.b[name], '9004', String(bytes));
    await client.line();
    expect(await server.line()).toEqual({ bytes });
    const elapsedUs = Number(process.hrtime.bigint() - before) / 1000;
    const [one] = (await waitFor(cookieA, closed, 1)) as [SeenRecord];
    const [two] = (await waitFor(cookieB, closed, 1)) as [SeenRecord];
    const told = ({ record }: SeenRecord) => ({
      ending: tcplife.event.reason(record, names),
      sent: record.x(1),
      received: record.x(2),
      segments: [record.x(3), record.x(4)],
      again: record.x(5),
      errno: record.x(6),
    });
    const segments = (counts: typeof a) => [counts.grown('Tcp.OutSegs') + counts.grown('Tcp.RetransSegs'), counts.grown('Tcp.InSegs')];
    expect(told(one)).toEqual({ ending: 'LOCAL_FIN', sent: bytes, received: 0, segments: segments(a), again: 0, errno: 0 });
    // The SYN-ACK was the request's; the accepted socket takes the SYN over. Tcp.InSegs counts packets, of several segments each.
    const [outB] = segments(b) as [number, number];
    const inB = one.record.x(3);
    expect(told(two)).toEqual({ ending: 'FAR_FIN', sent: 0, received: bytes, segments: [outB - 1, inB], again: 0, errno: 0 });
    expect([flagsOf(one), flagsOf(two)]).toEqual([expect.stringMatching(/OWNER CLIENT$/), expect.stringMatching(/OWNER SERVER$/)]);
    expect([one.record.tgid, two.record.tgid]).toEqual([client.pid, server.pid]);
    for (const { record } of [one, two]) {
      expect([record.x(0) > 0, record.x(0) < elapsedUs, record.v1 > 0]).toEqual([true, true, true]);
    }
    expect([
      counter(cookieA, metrics.TCPLIFE_BYTES, directions.sent),
      counter(cookieB, metrics.TCPLIFE_BYTES, directions.received),
    ]).toEqual([bytes, bytes]);
    if (name === 'ipv4') keepFixture('closed', one);
  },
);

kernelTest('a connection that is held has the duration that its holder measured', async () => {
  start();
  tellEveryClose();
  await sinkServer(lab.b.ipv4, 9005);
  const before = process.hrtime.bigint();
  const client = lab.start(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, '9005', 'keep');
  const { connectedNs } = (await client.line()) as { connectedNs: string };
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const heldMs = Number(process.hrtime.bigint() - BigInt(connectedNs)) / 1e6;
  process.kill(client.pid, 'SIGTERM');
  const [one] = (await waitFor(cookieA, closed, 1)) as [SeenRecord];
  expectTime(one.record.x(0), heldMs, Number(process.hrtime.bigint() - before) / 1e6);
});

kernelTest('a connection that lost much is told by itself, with what the kernel counted', async () => {
  await meet();
  start();
  const server = await sinkServer(lab.b.ipv4, 9006);
  rule(lab.b, 'input', 'tcp dport 9006 numgen random mod 100 < 10 counter drop');
  // Packets of one segment: each tenth segment is lost.
  lab.run(lab.a, 'ip', 'link', 'set', 'dev', 'veth0', 'gso_max_segs', '1');
  const counts = kernelCounts(lab.a);
  const bytes = 1_000_000;
  lab.start(lab.a, 'stream.mjs', lab.a.ipv4, '25000', lab.b.ipv4, '9006', String(bytes));
  expect(await server.line()).toEqual({ bytes });
  const [one] = (await waitFor(cookieA, closed, 1)) as [SeenRecord];
  const { record } = one;
  expect([record.x(1), record.x(5), tcplife.event.reason(record, names)]).toEqual([bytes, counts.grown('Tcp.RetransSegs'), 'LOCAL_FIN']);
  expect(record.x(3)).toBe(counts.grown('Tcp.OutSegs') + counts.grown('Tcp.RetransSegs'));
  expect([record.x(5) >= 10, await recordsOf(cookieB)]).toEqual([true, []]);
  keepFixture('closed-lossy', one);
});

kernelTest('resets count as EstabResets does, and who sent them is known', async () => {
  start();
  tellEveryClose();
  const server = lab.start(lab.b, 'abort-server.mjs', lab.b.ipv4, '9007', 'linger');
  await server.line();
  const [a, b] = [kernelCounts(lab.a), kernelCounts(lab.b)];
  for (const localPort of ['26000', '26001', '26002'])
    await lab.result(lab.a, 'send.mjs', lab.a.ipv4, localPort, lab.b.ipv4, '9007', 'never');
  const [one] = (await waitFor(cookieA, closed, 3)) as [SeenRecord];
  await waitFor(cookieB, closed, 3);
  expect([endingsOf(cookieA), endingsOf(cookieB)]).toEqual([{ RESET_RECEIVED: 3 }, { RESET_SENT: 3 }]);
  expect([a.grown('Tcp.EstabResets'), b.grown('Tcp.EstabResets')]).toEqual([3, 3]);
  expect([one.record.x(6), one.record.state]).toEqual([104, 1]);
});

kernelTest('a connection whose far end is gone times out, which is told whatever the thresholds say', async () => {
  await meet();
  start();
  sysctl(lab.a, 'net.ipv4.tcp_retries2', 2);
  const server = await sinkServer(lab.b.ipv4, 9008);
  const client = lab.start(lab.a, 'stream.mjs', lab.a.ipv4, '27000', lab.b.ipv4, '9008', '0');
  await client.line();
  const counts = kernelCounts(lab.a);
  rule(lab.b, 'input', 'tcp dport 9008 drop');
  process.kill(client.pid, 'SIGHUP');
  const [one] = (await waitFor(cookieA, closed, 1)) as [SeenRecord];
  expect([tcplife.event.reason(one.record, names), one.record.x(6), one.record.x(1), one.record.state]).toEqual(['TIMED_OUT', 110, 0, 1]);
  expect([counts.grown('Tcp.EstabResets'), endingsOf(cookieA)]).toEqual([1, { TIMED_OUT: 1 }]);
  expect(one.record.x(5)).toBe(counts.grown('Tcp.RetransSegs'));
  keepFixture('timed-out-open', one);
  await server.stop();
});

kernelTest('connections older than the probe are counted when they close, and their age is not invented', async () => {
  const server = await sinkServer(lab.b.ipv4, 9009);
  const client = lab.start(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, '9009', 'keep');
  await client.line();
  start();
  tellEveryClose();
  process.kill(client.pid, 'SIGTERM');
  const [one] = (await waitFor(cookieA, closed, 1)) as [SeenRecord];
  const [two] = (await waitFor(cookieB, closed, 1)) as [SeenRecord];
  expect([flagsOf(one), flagsOf(two)]).toEqual([expect.stringMatching(/OWNER$/), expect.stringMatching(/OWNER$/)]);
  expect([one.record.x(0), two.record.x(0), one.record.tgid, two.record.tgid]).toEqual([0, 0, client.pid, server.pid]);
  expect(endingsOf(cookieA)).toEqual({ LOCAL_FIN: 1 });
});

kernelTest('a bucket that is empty withholds events, and every one is accounted for', async () => {
  start();
  run.set({ ...defaultSettings, intervalNs: 10_000_000_000, burst: 3 });
  await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, '28000', '50', lab.b.ipv4, '81');
  await eventually('all are counted', () => counter(cookieA, metrics.TCPLIFE_FAILED) === 50);
  const records = await recordsOf(cookieA);
  expect([
    records.length,
    run.count(metrics.EMITTED, cookieA),
    run.count(metrics.SUPPRESSED, cookieA),
    run.count(metrics.RING_FULL, cookieA),
  ]).toEqual([3, 3, 47, 0]);
  expect(records.reduce((sum, { record }) => sum + record.v0, 0) + run.withheld(cookieA, tcplife.number)).toBe(47);
});

kernelTest('the filter leaves out other namespaces, counters too', async () => {
  start();
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(cookieB);
  await sinkServer(lab.b.ipv4, 9010);
  expect((await dial(0, lab.b.ipv4, 9010)).outcome).toBe('connected');
  expect((await dial(0, lab.b.ipv4, 81)).outcome).toBe('ECONNREFUSED');
  await eventually('the server’s end is counted', () => counter(cookieB, metrics.TCPLIFE_CLOSED) === 1);
  expect([await recordsOf(cookieA), run.counters().filter(({ net }) => net === Number(cookieA))]).toEqual([[], []]);
});
