import { readFileSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import { type LabNetns, NetnsLab } from '../../test/lab/netns-lab.ts';
import { codeNames, ProbeRun, type ProbeRunOptions, type SeenRecord, unlimited } from '../../test/lab/probe-run.ts';
import { endsOf, flagsOf } from '../../test/lab/record-text.ts';
import { cookieBySs } from '../../test/lab/traffic.ts';
import { decodeSettings, defaultSettings, settingsSection } from '../settings.ts';
import { tcpreset } from './probe.ts';

const [sent, received] = [1, 2];
const [outSide, inSide] = [2, 1];
const tcpStates = { ESTABLISHED: 1, SYN_SENT: 2, FIN_WAIT2: 5, TIME_WAIT: 6, CLOSE: 7 };

let lab: NetnsLab;
/** Names of the kernel's reasons; none before 6.10. */
let reasons: ReadonlyMap<number, string>;
let run: ProbeRun;

beforeAll(() => {
  if (!kernelTestsRun()) return;
  lab = new NetnsLab('-reset');
  reasons = codeNames(tcpreset);
});

afterEach(() => lab?.stop());
afterAll(() => lab?.remove());

function start(options: ProbeRunOptions = {}): ProbeRun {
  run = new ProbeRun(tcpreset, options);
  return run;
}

function refusedConnects(family: 'ipv4' | 'ipv6', firstPort: number, count: number, port = 81) {
  return lab.result(lab.a, 'connect.mjs', lab.a[family], String(firstPort), String(count), lab.b[family], String(port));
}

/** A reason as `told` gives it, on kernels that tell reasons. */
function reasonTold(name: string): string | undefined {
  return reasons.size > 0 ? name : undefined;
}

function outRsts(netns: LabNetns): number {
  return lab.snmp(netns).get('Tcp.OutRsts') as number;
}

/** The only record of a namespace. */
async function only(net: bigint): Promise<SeenRecord> {
  const records = await run.records(net);
  expect(records).toHaveLength(1);
  return records[0];
}

/** What a record says of the reset and of who sent it, in words. */
function told({ record }: SeenRecord) {
  return {
    variant: record.variant,
    side: record.side,
    reason: record.variant === sent ? reasons.get(record.code) : record.code,
    state: record.state,
    family: record.family,
    flags: flagsOf(record),
    ends: endsOf(record),
  };
}

/** Inode of a process's cgroup v2 directory; undefined where no cgroup2 file system is mounted. */
function cgroupOf(pid: number): number | undefined {
  const mount = / (\S+) cgroup2 /.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  return mount === undefined || path === undefined ? undefined : statSync(mount + path).ino;
}

kernelTest(
  '100 connects to closed ports over IPv4 and 100 over IPv6: every reset is there, on both sides, as the client and the kernel saw it',
  async () => {
    start();
    const before = { a: lab.snmp(lab.a), b: lab.snmp(lab.b) };
    const { outcomes: over4 } = await refusedConnects('ipv4', 20_000, 100);
    const { outcomes: over6 } = await refusedConnects('ipv6', 20_000, 100);
    const grown = (side: 'a' | 'b', name: string) => (lab.snmp(lab[side]).get(name) as number) - (before[side].get(name) as number);
    expect([grown('b', 'Tcp.OutRsts'), grown('b', 'Tcp.AttemptFails'), grown('a', 'Tcp.OutRsts'), grown('a', 'Tcp.AttemptFails')]).toEqual([
      200, 0, 0, 200,
    ]);

    for (const [cookie, own] of [
      [lab.b.cookie, metrics.TCPRESET_SENT],
      [lab.a.cookie, metrics.TCPRESET_RECEIVED],
    ] as const) {
      expect([...run.accounting(cookie), run.count(own, cookie)]).toEqual([200, 0, 0, 200]);
    }
    expect([run.count(metrics.TCPRESET_SENT, lab.a.cookie), run.count(metrics.TCPRESET_RECEIVED, lab.b.cookie)]).toEqual([0, 0]);

    const ports = (outcomes: unknown) =>
      (outcomes as { localPort: number; outcome: string }[]).map(({ localPort, outcome }) => {
        expect(outcome).toBe('ECONNREFUSED');
        return localPort;
      });
    const { a, b } = lab;
    const fromServer = [
      ...ports(over4).map((port) => `${b.ipv4}:81 ${a.ipv4}:${port}`),
      ...ports(over6).map((port) => `[${b.ipv6}]:81 [${a.ipv6}]:${port}`),
    ];
    const fromClient = fromServer.map((ends) => ends.split(' ').reverse().join(' '));
    expect(new Set(fromServer).size).toBe(200);

    const atServer = await run.records(lab.b.cookie);
    expect(atServer.map(({ record }) => endsOf(record)).sort()).toEqual(fromServer.sort());
    const atClient = await run.records(lab.a.cookie);
    expect(atClient.map(({ record }) => endsOf(record)).sort()).toEqual(fromClient.sort());

    const ifindex = lab.ifindex(lab.b);
    for (const seen of atServer) {
      const { record } = seen;
      expect(told(seen)).toMatchObject({ variant: sent, side: outSide, reason: reasonTold('NO_SOCKET'), state: 0, flags: 'SKB SERVER' });
      expect([record.probe, record.proto, record.sock, record.tgid, record.comm, record.cgroup]).toEqual([tcpreset.number, 6, 0, 0, '', 0]);
      expect(record.ifindex).toBe(ifindex);
    }
    for (const seen of atClient) {
      expect(told(seen)).toMatchObject({
        variant: received,
        side: inSide,
        reason: 0,
        state: tcpStates.SYN_SENT,
        flags: expect.stringContaining('SOCK'),
      });
      expect(told(seen).flags).toMatch(/^SOCK (CGROUP )?OWNER CLIENT$/);
      expect(seen.record.sock).toBeGreaterThan(0);
    }
    expect(new Set(atClient.map(({ record }) => record.sock)).size).toBe(200);
    expect(atServer.filter(({ record }) => record.family === 2)).toHaveLength(100);
    expect(atClient.filter(({ record }) => record.family === 10)).toHaveLength(100);
    const clocks = loadNative().clocks();
    for (const { record } of [...atServer, ...atClient])
      expect(Number(clocks.bootNs) - record.tsNs).toSatisfy((age: number) => age > 0 && age < 300e9);
    for (const [name, family, from] of [
      ['sent-no-socket-v4', 2, atServer],
      ['sent-no-socket-v6', 10, atServer],
      ['received-syn-sent', 2, atClient],
    ] as const) {
      run.keepFixture(name, from.find(({ record }) => record.family === family) as SeenRecord);
    }
  },
);

kernelTest('the counters tell sent resets by reason and received ones by state', async () => {
  start();
  await refusedConnects('ipv4', 21_000, 5);
  const noSocket = [...reasons].find(([, name]) => name === 'NO_SOCKET')?.[0] ?? 0;
  expect(run.counters()).toEqual(
    expect.arrayContaining([
      { net: Number(lab.b.cookie), metric: metrics.TCPRESET_SENT, bucket: noSocket, label: 0, value: 5 },
      { net: Number(lab.a.cookie), metric: metrics.TCPRESET_RECEIVED, bucket: tcpStates.SYN_SENT, label: 0, value: 5 },
      { net: Number(lab.b.cookie), metric: metrics.EMITTED, bucket: tcpreset.number, label: 0, value: 5 },
      { net: Number(lab.a.cookie), metric: metrics.EMITTED, bucket: tcpreset.number, label: 0, value: 5 },
    ]),
  );
});

kernelTest.each([
  ['linger', 'ipv4', 'TCP_STATE', 'abort-linger'],
  ['linger', 'ipv6', 'TCP_STATE', undefined],
  ['unread', 'ipv4', 'TCP_ABORT_ON_CLOSE', 'abort-unread'],
  ['unread', 'ipv6', 'TCP_ABORT_ON_CLOSE', undefined],
] as const)(
  'an abort by %s over %s is sent for its own reason, and both ends know whose socket it is',
  async (how, family, reason, fixture) => {
    start();
    const outRstsBefore = outRsts(lab.b);
    const server = lab.start(lab.b, 'abort-server.mjs', lab.b[family], '9000', how);
    await server.line();
    const cgroup = cgroupOf(server.pid);
    const comm = readFileSync(`/proc/${server.pid}/comm`, 'utf8').trim();
    const when = how === 'linger' ? 'never' : 'once';
    const client = await lab.result(lab.a, 'send.mjs', lab.a[family], '30000', lab.b[family], '9000', when);
    expect(client.outcome).toBe('ECONNRESET');
    const [near, far] =
      family === 'ipv4' ? [`${lab.b.ipv4}:9000`, `${lab.a.ipv4}:30000`] : [`[${lab.b.ipv6}]:9000`, `[${lab.a.ipv6}]:30000`];
    const number = family === 'ipv4' ? 2 : 10;

    const seen = await only(lab.b.cookie);
    expect(told(seen)).toMatchObject({
      variant: sent,
      side: outSide,
      reason: reasonTold(reason),
      state: tcpStates.CLOSE,
      family: number,
      ends: `${near} ${far}`,
    });
    expect(told(seen).flags).toMatch(/^SOCK (CGROUP )?OWNER$/);
    expect([seen.record.tgid, seen.record.comm]).toEqual([server.pid, comm]);
    if (cgroup !== undefined) expect(seen.record.cgroup).toBe(cgroup);
    const atClient = await only(lab.a.cookie);
    expect(told(atClient)).toMatchObject({
      variant: received,
      side: inSide,
      reason: 0,
      state: tcpStates.ESTABLISHED,
      family: number,
      ends: `${far} ${near}`,
    });
    expect([atClient.record.tgid, atClient.record.comm]).toEqual([client.pid, comm]);
    expect([outRsts(lab.b) - outRstsBefore, run.count(metrics.TCPRESET_SENT, lab.b.cookie)]).toEqual([1, 1]);
    if (fixture !== undefined) run.keepFixture(fixture, seen);
    await server.stop();
  },
);

kernelTest('on dual-stack sockets IPv4 is told as IPv4, and marked', async () => {
  start();
  const server = lab.start(lab.b, 'abort-server.mjs', '::', '9000', 'linger');
  await server.line();
  await lab.result(lab.a, 'send.mjs', '::', '30000', `::ffff:${lab.b.ipv4}`, '9000', 'never');
  const ends = [`${lab.b.ipv4}:9000`, `${lab.a.ipv4}:30000`];
  const seen = await only(lab.b.cookie);
  expect(told(seen)).toMatchObject({ family: 2, ends: ends.join(' '), flags: expect.stringContaining('V4MAPPED') });
  expect(told(await only(lab.a.cookie))).toMatchObject({
    family: 2,
    ends: ends.reverse().join(' '),
    flags: expect.stringContaining('V4MAPPED'),
  });
  run.keepFixture('v4mapped', seen);
  await server.stop();
});

kernelTest.each([
  // [..., what the kernel also reports as received: it calls tcp_reset() on a full socket, as README says]
  ['in TIME_WAIT', '60', 'TCP_TIMEWAIT_SOCKET', tcpStates.TIME_WAIT, /^SOCK SKB V4MAPPED$/, 0],
  ['in FIN_WAIT2', '120', 'TCP_ABORT_ON_DATA', tcpStates.CLOSE, /^SOCK SKB (CGROUP )?OWNER V4MAPPED$/, 1],
] as const)(
  'data for a closed connection %s is answered by a reset with socket and packet',
  async (_state, finTimeout, reason, state, flags, alsoReceived) => {
    start();
    lab.run(lab.b, 'sh', '-c', `echo ${finTimeout} > /proc/sys/net/ipv4/tcp_fin_timeout`);
    const outRstsBefore = outRsts(lab.b);
    const server = lab.start(lab.b, 'abort-server.mjs', '::', '9000', 'close');
    await server.line();
    await lab.result(lab.a, 'send.mjs', lab.a.ipv4, '30100', lab.b.ipv4, '9000', 'late');
    const ends = `${lab.b.ipv4}:9000 ${lab.a.ipv4}:30100`;
    const records = await run.records(lab.b.cookie);
    const [seen, ...more] = records.filter(({ record }) => record.variant === sent) as [SeenRecord, ...SeenRecord[]];
    expect(more).toEqual([]);
    expect([outRsts(lab.b) - outRstsBefore, run.count(metrics.TCPRESET_SENT, lab.b.cookie)]).toEqual([1, 1]);
    expect(told(seen)).toMatchObject({ reason: reasonTold(reason), state, family: 2, ends });
    expect(told(seen).flags).toMatch(flags);
    // A kprobe cannot ask for the cookie of a TIME_WAIT socket, which is all that such a kernel lets see the reset.
    if (reasons.size === 0 && state === tcpStates.TIME_WAIT) expect(seen.record.sock).toBe(0);
    else expect(seen.record.sock).toBeGreaterThan(0);
    expect(seen.record.ifindex).toBe(lab.ifindex(lab.b));
    const reported = records.filter(({ record }) => record.variant === received);
    expect(reported.map((one) => [told(one).state, told(one).ends, one.record.sock])).toEqual(
      Array.from({ length: alsoReceived }, () => [tcpStates.FIN_WAIT2, ends, seen.record.sock]),
    );
    await server.stop();
  },
);

kernelTest('sockets that are older than the probe have owners too, and socket cookies are those that ss tells', async () => {
  const server = lab.start(lab.b, 'abort-server.mjs', lab.b.ipv4, '9000', 'hold');
  await server.line();
  const client = lab.start(lab.a, 'send.mjs', lab.a.ipv4, '30200', lab.b.ipv4, '9000', 'once');
  await eventually('the server holds unread data', () =>
    /^\s*[1-9]/m.test(lab.run(lab.b, 'ss', '-Htn', 'state', 'established', 'dport', '=', ':30200')),
  );
  const cookies = [cookieBySs(lab, lab.b, 30_200), cookieBySs(lab, lab.a, 9000)];
  start();
  await server.stop();
  expect((await client.line()).outcome).toBe('ECONNRESET');
  const [atServer, atClient] = [await only(lab.b.cookie), await only(lab.a.cookie)];
  expect([atServer.record.tgid, atClient.record.tgid]).toEqual([server.pid, client.pid]);
  expect([atServer.record.sock, atClient.record.sock]).toEqual(cookies);
});

kernelTest('2000 quick resets: emitted, suppressed and lost to a full ring add up exactly, on both sides', async () => {
  start();
  run.set({ ...defaultSettings, intervalNs: 10_000_000, burst: 20 });
  await refusedConnects('ipv4', 40_000, 2000);
  for (const [cookie, own] of [
    [lab.b.cookie, metrics.TCPRESET_SENT],
    [lab.a.cookie, metrics.TCPRESET_RECEIVED],
  ] as const) {
    const [emitted, suppressed, ringFull] = run.accounting(cookie);
    expect(run.count(own, cookie)).toBe(2000);
    expect(emitted + suppressed + ringFull).toBe(2000);
    expect([emitted >= 20, suppressed > 0, ringFull]).toEqual([true, true, 0]);
    const records = await run.records(cookie);
    expect(records).toHaveLength(emitted);
    // Never more than the burst in any stretch of time, beyond one per interval of it.
    const times = records.map(({ record }) => record.tsNs).sort((a, b) => a - b);
    for (let index = 20; index < times.length; index++) expect(times[index] - times[index - 20]).toBeGreaterThanOrEqual(10_000_000);
    expect(run.withheld(cookie, records)).toBe(suppressed);
  }
});

kernelTest('a ring that is full loses records, and each is counted', async () => {
  start({ ringBytes: 4096, drainMs: 60_000, only: [lab.a.cookie, lab.b.cookie], settings: unlimited });
  await refusedConnects('ipv6', 43_000, 100);
  const [emitted, suppressed, ringFull] = run.accounting();
  expect([emitted + ringFull, suppressed]).toEqual([200, 0]);
  // A record in the ring has a header of 8 bytes. In a perf buffer it has 16 around it; each CPU has one, never quite full.
  const atLeast = run.transport === 'ring' ? Math.floor(4096 / (128 + 8)) : Math.floor(4095 / (128 + 16));
  expect(emitted).toBeGreaterThanOrEqual(atLeast);
  expect(emitted).toBeLessThanOrEqual(run.transport === 'ring' ? atLeast : atLeast * cpus().length);
});

kernelTest('a full counter map counts under `other`, and a fuller one counts what it lost', async () => {
  start({ counterEntries: 2, only: [lab.a.cookie, lab.b.cookie] });
  await refusedConnects('ipv4', 44_000, 10);
  const lost = run.object.readMap('counter_lost');
  const counted = run.counters().reduce((sum, { value }) => sum + value, 0);
  // Each of the 20 resets counts itself and its record.
  expect(counted + Number(lost.readBigUInt64LE(lost.length - 8))).toBe(40);
  expect(run.counters()).toHaveLength(2);
});

kernelTest('settings and filter take effect while the probe runs', async () => {
  start();
  expect(decodeSettings(run.object.readData(settingsSection))).toEqual(defaultSettings);
  const counted = [metrics.EMITTED, metrics.SUPPRESSED, metrics.TCPRESET_SENT, metrics.TCPRESET_RECEIVED];
  const sums = () => counted.map((metric) => run.count(metric, lab.a.cookie) + run.count(metric, lab.b.cookie));
  await refusedConnects('ipv4', 45_000, 3);
  expect(sums()).toEqual([6, 0, 3, 3]);
  run.set({ ...defaultSettings, burst: 0 });
  await refusedConnects('ipv4', 45_100, 3);
  expect(sums()).toEqual([6, 6, 6, 6]);
  run.set({ ...defaultSettings, filterMode: 'listed' });
  await refusedConnects('ipv4', 45_200, 3);
  expect(sums()).toEqual([6, 6, 6, 6]);
  run.list(lab.a.cookie);
  await refusedConnects('ipv4', 45_300, 3);
  expect(sums()).toEqual([9, 6, 6, 9]);
  run.set({ ...defaultSettings, intervalNs: 0, burst: 1 });
  await refusedConnects('ipv4', 45_400, 300);
  expect(sums()).toEqual([609, 6, 306, 309]);
});

kernelTest('a probe that is detached sees nothing, and attached again it goes on', async () => {
  start();
  await refusedConnects('ipv4', 46_000, 2);
  const sending = run.object
    .programs()
    .flatMap(({ name }) => (name.startsWith('tcpreset_sent') && run.object.attached(name) ? [name] : []));
  for (const program of sending) run.object.detach(program);
  await refusedConnects('ipv4', 46_100, 2);
  expect([run.count(metrics.TCPRESET_SENT, lab.b.cookie), run.count(metrics.TCPRESET_RECEIVED, lab.a.cookie)]).toEqual([2, 4]);
  for (const program of sending) run.object.attach(program);
  await refusedConnects('ipv4', 46_200, 2);
  expect([run.count(metrics.TCPRESET_SENT, lab.b.cookie), run.count(metrics.TCPRESET_RECEIVED, lab.a.cookie)]).toEqual([4, 6]);
});

kernelTest('a reset that arrives where no socket is left is not answered, and not counted as sent', async () => {
  start();
  const outRstsBefore = { a: outRsts(lab.a), b: outRsts(lab.b) };
  const server = lab.start(lab.b, 'abort-server.mjs', lab.b.ipv4, '9000', 'hold');
  await server.line();
  const client = lab.start(lab.a, 'send.mjs', lab.a.ipv4, '30300', lab.b.ipv4, '9000', 'abort');
  await eventually('the server holds unread data', () =>
    /^\s*[1-9]/m.test(lab.run(lab.b, 'ss', '-Htn', 'state', 'established', 'dport', '=', ':30300')),
  );
  lab.rule(lab.b, 'output', 'drop');
  await server.stop();
  const inSegs = lab.snmp(lab.b).get('Tcp.InSegs') as number;
  process.kill(client.pid, 'SIGTERM');
  await client.ended();
  await eventually('the reset has arrived', () => (lab.snmp(lab.b).get('Tcp.InSegs') as number) > inSegs);
  lab.clearRules(lab.b);
  expect([outRsts(lab.a) - outRstsBefore.a, outRsts(lab.b) - outRstsBefore.b]).toEqual([1, 1]);
  expect([run.count(metrics.TCPRESET_SENT, lab.a.cookie), run.count(metrics.TCPRESET_SENT, lab.b.cookie)]).toEqual([1, 1]);
});

kernelTest('what README says it cannot see: a reset that nftables makes is seen by its receiver only', async () => {
  start();
  lab.rule(lab.b, 'input', 'tcp dport 82 reject with tcp reset');
  await refusedConnects('ipv4', 47_000, 4, 82);
  lab.clearRules(lab.b);
  expect([run.count(metrics.TCPRESET_SENT, lab.b.cookie), run.count(metrics.TCPRESET_RECEIVED, lab.a.cookie)]).toEqual([0, 4]);
});
