import { beforeEach, expect } from 'vitest';
import { metrics } from '../../schema/record.gen.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { expectTime } from '../../test/lab/expect-time.ts';
import { kernelTest } from '../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type SeenRecord, unlimited } from '../../test/lab/probe-run.ts';
import { flagsOf } from '../../test/lab/record-text.ts';
import { addressForms, addressIn, dial, listenAddress, meet, sinkServer, stream } from '../../test/lab/traffic.ts';
import { eventNames } from '../../test/support/probe-fixtures.ts';
import { defaultSettings } from '../settings.ts';
import { directions, endings } from './names.ts';
import { tcplife } from './probe.ts';
import { thresholds } from './thresholds.ts';

const closed = 3;
const names = eventNames('client', 'web');

let lab: NetnsLab;
let run: ProbeRun;

beforeEach(() => {
  lab = new NetnsLab('-life');
  return () => lab.remove();
});

function start(): void {
  run = new ProbeRun(tcplife, { settings: unlimited });
}

/** From here on every closed connection is told. */
function tellEveryClose(): void {
  run.setThreshold(thresholds.retransmittedSegments, 0);
  run.setThreshold(thresholds.retransmittedPerMille, 0);
}

/** Non-zero endings of a namespace's connections. */
function endingsOf(net: bigint): Record<string, number> {
  const counted = Object.entries(endings).map(([name, bucket]) => [name, run.count(metrics.TCPLIFE_CLOSED, net, { bucket })] as const);
  return Object.fromEntries(counted.filter(([, count]) => count > 0));
}

kernelTest.each(addressForms)('healthy connections over %s yield counts, equal to the kernel’s, and no events', async (name) => {
  await meet(lab);
  start();
  await sinkServer(lab, listenAddress(lab.b, name), 9000);
  const [a, b] = [lab.kernelCounts(lab.a), lab.kernelCounts(lab.b)];
  const local = addressIn(lab.a, name);
  const count = 300;
  const { outcomes } = (await lab.result(lab.a, 'connect.mjs', local, '20000', String(count), addressIn(lab.b, name), '9000')) as {
    outcomes: { outcome: string }[];
  };
  expect(outcomes.filter(({ outcome }) => outcome === 'connected')).toHaveLength(count);
  await eventually(
    'all are closed',
    () => run.count(metrics.TCPLIFE_CLOSED, lab.b.cookie) === count && run.count(metrics.TCPLIFE_CLOSED, lab.a.cookie) === count,
  );
  expect([a.grown('Tcp.ActiveOpens'), b.grown('Tcp.PassiveOpens')]).toEqual([count, count]);
  expect([
    run.count(metrics.TCPLIFE_ACCEPTED, lab.a.cookie),
    run.count(metrics.TCPLIFE_ACCEPTED, lab.b.cookie),
    run.count(metrics.TCPLIFE_CONNECT, lab.a.cookie),
    run.count(metrics.TCPLIFE_CONNECT, lab.b.cookie),
  ]).toEqual([0, count, count, 0]);
  expect([endingsOf(lab.a.cookie), endingsOf(lab.b.cookie)]).toEqual([{ LOCAL_FIN: count }, { FAR_FIN: count }]);
  expect([
    run.count(metrics.TCPLIFE_FAILED, lab.a.cookie),
    run.count(metrics.TCPLIFE_BYTES, lab.a.cookie),
    run.count(metrics.TCPLIFE_BYTES, lab.b.cookie),
  ]).toEqual([0, 0, 0]);
  expect([a.grown('Tcp.AttemptFails'), a.grown('Tcp.EstabResets'), b.grown('Tcp.EstabResets')]).toEqual([0, 0, 0]);
  expect([await run.records(lab.a.cookie), await run.records(lab.b.cookie)]).toEqual([[], []]);
});

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a closed connection over %s: bytes, segments and time are the application’s and the kernel’s',
  async (name) => {
    await meet(lab);
    start();
    tellEveryClose();
    const server = await sinkServer(lab, lab.b[name], 9004);
    const [a, b] = [lab.kernelCounts(lab.a), lab.kernelCounts(lab.b)];
    const bytes = 300_000;
    const before = process.hrtime.bigint();
    const client = stream(lab, name, 24_000, 9004, { bytes });
    await client.line();
    expect(await server.line()).toEqual({ bytes });
    const elapsedUs = Number(process.hrtime.bigint() - before) / 1000;
    const [one] = await run.waitFor(lab.a.cookie, { variant: closed });
    const [two] = await run.waitFor(lab.b.cookie, { variant: closed });
    const told = ({ record }: SeenRecord) => ({
      ending: tcplife.event.reason(record, names),
      sent: record.x(1),
      received: record.x(2),
      segments: [record.x(3), record.x(4)],
      again: record.x(5),
      errno: record.x(6),
    });
    const segments = (counts: typeof a) => [counts.grown('Tcp.OutSegs') + counts.grown('Tcp.RetransSegs'), counts.grown('Tcp.InSegs')];
    // A busy machine may be so late that a segment is sent again for nothing.
    const again = (counts: typeof a) => counts.grown('Tcp.RetransSegs');
    expect(told(one)).toEqual({ ending: 'LOCAL_FIN', sent: bytes, received: 0, segments: segments(a), again: again(a), errno: 0 });
    // The SYN-ACK was the request's; the accepted socket takes the SYN over. Tcp.InSegs counts packets, of several segments each.
    const [outB] = segments(b) as [number, number];
    const inB = one.record.x(3);
    expect(told(two)).toEqual({ ending: 'FAR_FIN', sent: 0, received: bytes, segments: [outB - 1, inB], again: again(b), errno: 0 });
    expect([flagsOf(one.record), flagsOf(two.record)]).toEqual([
      expect.stringMatching(/OWNER CLIENT$/),
      expect.stringMatching(/OWNER SERVER$/),
    ]);
    expect([one.record.tgid, two.record.tgid]).toEqual([client.pid, server.pid]);
    for (const { record } of [one, two]) {
      expect([record.x(0) > 0, record.x(0) < elapsedUs, record.v1 > 0]).toEqual([true, true, true]);
    }
    expect([
      run.count(metrics.TCPLIFE_BYTES, lab.a.cookie, { bucket: directions.sent }),
      run.count(metrics.TCPLIFE_BYTES, lab.b.cookie, { bucket: directions.received }),
    ]).toEqual([bytes, bytes]);
    if (name === 'ipv4') run.keepFixture('closed', one);
  },
);

kernelTest('a connection that is held has the duration that its holder measured', async () => {
  start();
  tellEveryClose();
  await sinkServer(lab, lab.b.ipv4, 9005);
  const before = process.hrtime.bigint();
  const client = lab.start(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, '9005', 'keep');
  const { connectedNs } = (await client.line()) as { connectedNs: string };
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const heldMs = Number(process.hrtime.bigint() - BigInt(connectedNs)) / 1e6;
  process.kill(client.pid, 'SIGTERM');
  const [one] = await run.waitFor(lab.a.cookie, { variant: closed });
  expectTime(one.record.x(0), heldMs, Number(process.hrtime.bigint() - before) / 1e6);
});

kernelTest('a connection that lost much is told by itself, with what the kernel counted', async () => {
  await meet(lab);
  start();
  const server = await sinkServer(lab, lab.b.ipv4, 9006);
  // Only data: were the last ACK lost, the other would come from no socket.
  lab.rule(lab.b, 'input', 'tcp dport 9006 ip length > 100 numgen random mod 100 < 10 counter drop');
  // Packets of one segment: each tenth segment is lost.
  lab.run(lab.a, 'ip', 'link', 'set', 'dev', 'veth0', 'gso_max_segs', '1');
  const counts = lab.kernelCounts(lab.a);
  const bytes = 1_000_000;
  stream(lab, 'ipv4', 25_000, 9006, { bytes });
  expect(await server.line()).toEqual({ bytes });
  const [one] = await run.waitFor(lab.a.cookie, { variant: closed });
  const { record } = one;
  expect([record.x(1), record.x(5), tcplife.event.reason(record, names)]).toEqual([bytes, counts.grown('Tcp.RetransSegs'), 'LOCAL_FIN']);
  expect(record.x(3)).toBe(counts.grown('Tcp.OutSegs') + counts.grown('Tcp.RetransSegs'));
  expect([record.x(5) >= 10, await run.records(lab.b.cookie)]).toEqual([true, []]);
  run.keepFixture('closed-lossy', one);
});

kernelTest('resets count as EstabResets does, and who sent them is known', async () => {
  start();
  tellEveryClose();
  const server = lab.start(lab.b, 'abort-server.mjs', lab.b.ipv4, '9007', 'linger');
  await server.line();
  const [a, b] = [lab.kernelCounts(lab.a), lab.kernelCounts(lab.b)];
  for (const localPort of ['26000', '26001', '26002'])
    await lab.result(lab.a, 'send.mjs', lab.a.ipv4, localPort, lab.b.ipv4, '9007', 'never');
  const [one] = await run.waitFor(lab.a.cookie, { variant: closed }, 3);
  await run.waitFor(lab.b.cookie, { variant: closed }, 3);
  expect([endingsOf(lab.a.cookie), endingsOf(lab.b.cookie)]).toEqual([{ RESET_RECEIVED: 3 }, { RESET_SENT: 3 }]);
  expect([a.grown('Tcp.EstabResets'), b.grown('Tcp.EstabResets')]).toEqual([3, 3]);
  expect([one.record.x(6), one.record.state]).toEqual([104, 1]);
});

kernelTest('a connection whose far end is gone times out, which is told whatever the thresholds say', async () => {
  await meet(lab);
  start();
  lab.sysctl(lab.a, 'net.ipv4.tcp_retries2=2');
  const server = await sinkServer(lab, lab.b.ipv4, 9008);
  const client = stream(lab, 'ipv4', 27_000, 9008);
  await client.line();
  const counts = lab.kernelCounts(lab.a);
  lab.rule(lab.b, 'input', 'tcp dport 9008 drop');
  process.kill(client.pid, 'SIGHUP');
  const [one] = await run.waitFor(lab.a.cookie, { variant: closed });
  expect([tcplife.event.reason(one.record, names), one.record.x(6), one.record.x(1), one.record.state]).toEqual(['TIMED_OUT', 110, 0, 1]);
  expect([counts.grown('Tcp.EstabResets'), endingsOf(lab.a.cookie)]).toEqual([1, { TIMED_OUT: 1 }]);
  expect(one.record.x(5)).toBe(counts.grown('Tcp.RetransSegs'));
  run.keepFixture('timed-out-open', one);
  await server.stop();
});

kernelTest('connections older than the probe are counted when they close, and their age is not invented', async () => {
  const server = await sinkServer(lab, lab.b.ipv4, 9009);
  const client = lab.start(lab.a, 'dial.mjs', '', '0', lab.b.ipv4, '9009', 'keep');
  await client.line();
  start();
  tellEveryClose();
  process.kill(client.pid, 'SIGTERM');
  const [one] = await run.waitFor(lab.a.cookie, { variant: closed });
  const [two] = await run.waitFor(lab.b.cookie, { variant: closed });
  expect([flagsOf(one.record), flagsOf(two.record)]).toEqual([expect.stringMatching(/OWNER$/), expect.stringMatching(/OWNER$/)]);
  expect([one.record.x(0), two.record.x(0), one.record.tgid, two.record.tgid]).toEqual([0, 0, client.pid, server.pid]);
  expect(endingsOf(lab.a.cookie)).toEqual({ LOCAL_FIN: 1 });
});

kernelTest('a bucket that is empty withholds events, and every one is accounted for', async () => {
  start();
  run.set({ ...defaultSettings, intervalNs: 10_000_000_000, burst: 3 });
  await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, '28000', '50', lab.b.ipv4, '81');
  await eventually('all are counted', () => run.count(metrics.TCPLIFE_FAILED, lab.a.cookie) === 50);
  const records = await run.records(lab.a.cookie);
  expect([records.length, ...run.accounting(lab.a.cookie)]).toEqual([3, 3, 47, 0]);
  expect(run.withheld(lab.a.cookie, records)).toBe(47);
});

kernelTest('the filter leaves out other namespaces, counters too', async () => {
  start();
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(lab.b.cookie);
  await sinkServer(lab, lab.b.ipv4, 9010);
  expect((await dial(lab, 0, lab.b.ipv4, 9010)).outcome).toBe('connected');
  expect((await dial(lab, 0, lab.b.ipv4, 81)).outcome).toBe('ECONNREFUSED');
  await eventually('the server’s end is counted', () => run.count(metrics.TCPLIFE_CLOSED, lab.b.cookie) === 1);
  expect([await run.records(lab.a.cookie), run.counters().filter(({ net }) => net === Number(lab.a.cookie))]).toEqual([[], []]);
});
