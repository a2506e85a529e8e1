import { beforeEach, expect } from 'vitest';
import { metrics } from '../../schema/record.gen.ts';
import { expectTime } from '../../test/lab/expect-time.ts';
import { kernelTest } from '../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, unlimited } from '../../test/lab/probe-run.ts';
import { endsOf, endsText, flagsOf } from '../../test/lab/record-text.ts';
import { addressForms, addressIn, dial, listenAddress, meet, sinkServer } from '../../test/lab/traffic.ts';
import { eventNames } from '../../test/support/probe-fixtures.ts';
import { failureNames } from './names.ts';
import { tcplife } from './probe.ts';
import { thresholds } from './thresholds.ts';

const [failed, slow] = [1, 2];
const names = eventNames('client', 'web');

let lab: NetnsLab;
let run: ProbeRun;

beforeEach(() => {
  lab = new NetnsLab('-connects');
  return () => lab.remove();
});

function start(): void {
  run = new ProbeRun(tcplife, { settings: unlimited });
}

kernelTest.each(addressForms)('a connect over %s whose first SYN is lost takes the 1 s step, and is told', async (name, family) => {
  await meet(lab);
  start();
  const server = await sinkServer(lab, listenAddress(lab.b, name), 9001);
  lab.rule(lab.b, 'input', 'tcp dport 9001 tcp flags & (syn | ack) == syn limit rate 1/day burst 1 packets drop');
  const over = family === 2 ? 'ipv4' : 'ipv6';
  const told = await dial(lab, 21_000, addressIn(lab.b, name), 9001);
  expect([told.outcome, told.elapsedMs > 900]).toEqual(['connected', true]);
  const [seen, ...more] = await run.waitFor(lab.a.cookie, { variant: slow });
  const { record } = seen;
  expect([more, await run.records(lab.a.cookie, { variant: failed }), await run.records(lab.b.cookie)]).toEqual([[], [], []]);
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
  expect(flagsOf(seen.record)).toMatch(name === 'v4mapped' ? /^SOCK (CGROUP )?OWNER V4MAPPED CLIENT$/ : /^SOCK (CGROUP )?OWNER CLIENT$/);
  expect(endsOf(record)).toBe(endsText(lab.a[over], 21_000, lab.b[over], 9001));
  const bits = Math.floor(Math.log2(record.v1)) + 1;
  expect([run.count(metrics.TCPLIFE_CONNECT, lab.a.cookie, { bucket: bits }), run.count(metrics.TCPLIFE_CONNECT_US, lab.a.cookie)]).toEqual(
    [1, record.v1],
  );
  run.keepFixture(`slow-${name}`, seen);
  await server.stop();
});

kernelTest('a threshold of 0 tells every connect, at once', async () => {
  start();
  await sinkServer(lab, lab.b.ipv4, 9002);
  expect((await dial(lab, 0, lab.b.ipv4, 9002)).outcome).toBe('connected');
  expect(await run.records(lab.a.cookie)).toEqual([]);
  run.setThreshold(thresholds.slowConnectUs, 0);
  const told = await dial(lab, 0, lab.b.ipv4, 9002);
  const [seen] = await run.waitFor(lab.a.cookie, { variant: slow });
  expect([seen.record.sport, seen.record.v2]).toEqual([told.localPort, 0]);
  expect(seen.record.v1).toBeLessThan(told.elapsedMs * 1000);
});

/** Packets to this network go by B, which does with them what the route says. */
function routeByB(route: string): string {
  lab.run(lab.a, 'ip', 'route', 'add', '203.0.113.0/24', 'via', lab.b.ipv4);
  lab.sysctl(lab.b, 'net.ipv4.ip_forward=1');
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
      lab.sysctl(lab.a, 'net.ipv4.neigh.veth0.retrans_time_ms=100');
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
      lab.rule(lab.b, 'input', `tcp dport ${port} reject with icmpx admin-prohibited`);
      return lab.b.ipv4;
    },
  },
  {
    what: 'that a firewall rejects as prohibited, over IPv6',
    outcome: 'EACCES',
    attemptFails: 1,
    provoke() {
      lab.rule(lab.b, 'input', `tcp dport ${port} reject with icmpx admin-prohibited`);
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
      lab.sysctl(lab.a, 'net.ipv4.ip_local_port_range=45000 45001');
      await sinkServer(lab, lab.b.ipv4, port);
      for (let taken = 0; taken < 2; taken++) await lab.start(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, String(port), 'keep').line();
      return lab.b.ipv4;
    },
    attemptFails: 0,
    fixture: 'not-sent',
  },
];

function dropSyns(address: string): string {
  lab.sysctl(lab.a, 'net.ipv4.tcp_syn_retries=1');
  lab.rule(lab.b, 'input', `tcp dport ${port} drop`);
  return address;
}

kernelTest.each(failures)('a connect $what is one event with its reason', async (failure) => {
  await meet(lab);
  const address = await failure.provoke();
  start();
  const counts = lab.kernelCounts(lab.a);
  const told = await dial(
    lab,
    failure.reason === 'NOT_SENT' ? 0 : 22_000,
    address,
    port,
    ...(failure.how === undefined ? [] : [failure.how]),
  );
  expect(told.outcome).toBe(failure.outcome);
  const seen = await run.waitFor(lab.a.cookie, { variant: failed });
  const [{ record }] = seen;
  expect([seen.length, (await run.records(lab.a.cookie)).length, (await run.records(lab.b.cookie)).length]).toEqual([1, 1, 0]);
  const reason = failure.reason ?? failure.outcome;
  expect([tcplife.event.reason(record, names), failureNames.get(record.code)]).toEqual([reason, reason]);
  expect([record.state, record.side, record.dport, record.tgid, record.comm]).toEqual([2, 2, port, told.pid, 'node']);
  expect(flagsOf(seen[0].record)).toMatch(
    address.startsWith('::ffff') ? /^SOCK (CGROUP )?OWNER V4MAPPED CLIENT$/ : /^SOCK (CGROUP )?OWNER CLIENT$/,
  );
  expect(endsOf(record)).toContain(address.replace('::ffff:', '').replace(/^.*:.*$/, '[$&]'));
  if (reason !== 'NOT_SENT') expect(record.sport).toBe(22_000);
  expect(record.v2).toBe(counts.grown('Tcp.RetransSegs'));
  expectTime(record.v1, failure.atLeastMs ?? 0, told.elapsedMs);
  expect([
    run.count(metrics.TCPLIFE_FAILED, lab.a.cookie),
    run.count(metrics.TCPLIFE_FAILED, lab.a.cookie, { bucket: record.code }),
  ]).toEqual([1, 1]);
  expect([run.count(metrics.TCPLIFE_CONNECT, lab.a.cookie), run.count(metrics.TCPLIFE_CLOSED, lab.a.cookie)]).toEqual([0, 0]);
  if (failure.attemptFails !== 'either') expect(counts.grown('Tcp.AttemptFails')).toBe(failure.attemptFails);
  expect(tcplife.event.message(record, names)).toMatch(/^client (could not connect|gave up connecting) to web:9100: /);
  if (failure.fixture !== undefined) run.keepFixture(failure.fixture, seen[0]);
});

kernelTest('a connect without a route changes no state: no event, but the kernel counts it', async () => {
  start();
  const counts = lab.kernelCounts(lab.a);
  expect((await dial(lab, 0, '192.0.2.1', 80)).outcome).toBe('ENETUNREACH');
  expect([await run.records(lab.a.cookie), run.count(metrics.TCPLIFE_FAILED, lab.a.cookie), counts.grown('Ip.OutNoRoutes')]).toEqual([
    [],
    0,
    1,
  ]);
});

kernelTest('blocking connects are seen as others are', async () => {
  start();
  await sinkServer(lab, lab.b.ipv4, 9003);
  const attempt = (to: number) => lab.run(lab.a, 'bash', '-c', `exec 3<>/dev/tcp/${lab.b.ipv4}/${to}`);
  attempt(9003);
  expect(() => attempt(81)).toThrow(/refused/);
  const [seen, ...more] = await run.waitFor(lab.a.cookie, { variant: failed });
  expect([seen?.record.code, seen?.record.comm, seen?.record.dport, more]).toEqual([111, 'bash', 81, []]);
  expect(run.count(metrics.TCPLIFE_CONNECT, lab.a.cookie)).toBe(1);
});

kernelTest('200 refused connects are 200 events, and as many in AttemptFails', async () => {
  start();
  const counts = lab.kernelCounts(lab.a);
  await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, '23000', '200', lab.b.ipv4, '81');
  const seen = await run.waitFor(lab.a.cookie, { variant: failed }, 200);
  expect([seen.length, new Set(seen.map(({ record }) => record.sport)).size, counts.grown('Tcp.AttemptFails')]).toEqual([200, 200, 200]);
  expect([run.count(metrics.EMITTED, lab.a.cookie), run.count(metrics.TCPLIFE_FAILED, lab.a.cookie, { bucket: 111 })]).toEqual([200, 200]);
});
