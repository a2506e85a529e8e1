import { beforeAll, beforeEach, expect } from 'vitest';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { netfilter } from '../../test/lab/drop-causes.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { codeNames, ProbeRun, type SeenRecord, unlimited } from '../../test/lab/probe-run.ts';
import { endsOf, endsText } from '../../test/lab/record-text.ts';
import { meet, udp } from '../../test/lab/traffic.ts';
import type { Probe } from '../probe.ts';
import { defaultSettings } from '../settings.ts';
import { packetloss } from './probe.ts';

const closedPort = 99;

let lab: NetnsLab;
let run: ProbeRun;
let reasons: ReadonlyMap<number, string>;

beforeAll(() => {
  if (kernelTestsRun()) reasons = codeNames(packetloss);
});

beforeEach(() => {
  lab = new NetnsLab('-loss');
  return () => lab.remove();
});

function start(probe: Probe = packetloss): void {
  run = new ProbeRun(probe, { settings: unlimited });
}

function drops(net: bigint) {
  return run.counters().filter((entry) => entry.metric === metrics.PACKETLOSS_DROPS && entry.net === Number(net));
}

function dropsFor(net: bigint, reason: string) {
  return drops(net).filter(({ bucket }) => reasons.get(bucket) === reason);
}

function total(net: bigint, reason: string): number {
  return dropsFor(net, reason).reduce((sum, { value }) => sum + value, 0);
}

kernelTest.each([
  { burst: 200, emitted: 50 },
  { burst: 20, emitted: 20 },
])(
  '50 packets that a filter drops are 50 drops, counted by reason and place; of $burst tokens $emitted are events',
  async ({ burst, emitted }) => {
    await meet(lab);
    start();
    run.set({ ...defaultSettings, burst, intervalNs: 1e12 });
    lab.rule(lab.b, 'input', 'udp dport 7000 drop');
    await udp(lab, lab.b.ipv4, 7000, { count: 50 });
    await eventually('all are counted', () => total(lab.b.cookie, 'NETFILTER_DROP') >= 50);
    expect(run.accounting(lab.b.cookie)).toEqual([emitted, 50 - emitted, 0]);
    // What MLD drops meanwhile is counted beside it.
    const counters = dropsFor(lab.b.cookie, 'NETFILTER_DROP');
    expect(counters.map(({ value }) => value)).toEqual([50]);
    expect(run.placeOf(counters[0].label)).toMatch(netfilter);
    const records = await run.records(lab.b.cookie);
    expect(records.map(({ record }) => [record.v1, record.v2, record.proto])).toEqual(records.map(() => [counters[0].label, 128, 17]));
    expect(records).toHaveLength(emitted);
    expect(run.withheld(lab.b.cookie, records)).toBe(50 - emitted);
    expect(total(lab.a.cookie, 'NETFILTER_DROP')).toBe(0);
  },
);

kernelTest('a SYN to a closed port is counted here and told by tcpreset alone', async () => {
  await meet(lab);
  start();
  for (const [from, to] of [
    [lab.a.ipv4, lab.b.ipv4],
    [lab.a.ipv6, lab.b.ipv6],
  ] as const)
    await lab.result(lab.a, 'connect.mjs', from, '31000', '1', to, '82');
  const counted = dropsFor(lab.b.cookie, 'NO_SOCKET').map(({ label, value }) => [run.placeOf(label), value]);
  expect(counted.sort()).toEqual([
    ['tcp_v4_rcv', 1],
    ['tcp_v6_rcv', 1],
  ]);
  expect((await run.records(lab.b.cookie)).filter(({ record }) => reasons.get(record.code) === 'NO_SOCKET')).toEqual([]);
});

kernelTest('healthy traffic makes no event: connections of all kinds, datagrams, a large transfer, new interfaces', async () => {
  start();
  const fresh = new NetnsLab('-loss-fresh');
  try {
    const nets = [lab.a.cookie, lab.b.cookie, fresh.a.cookie, fresh.b.cookie];
    for (const netns of [lab.a, lab.b]) await lab.start(netns, 'busy-server.mjs').line();
    for (const host of [lab.b.ipv4, lab.b.ipv6, '127.0.0.1', '::1']) await lab.result(lab.a, 'busy-client.mjs', host);
    const told = (await Promise.all(nets.map((net) => run.records(net)))).flat();
    expect(told.map((one) => `${reasons.get(one.record.code)} in ${run.placeOf(one.record.v1)}: ${endsOf(one.record)}`)).toEqual([]);
    // The test would see one: what closing connections drops is counted.
    expect(total(lab.a.cookie, 'QUEUE_PURGE')).toBeGreaterThan(0);
  } finally {
    await fresh.remove();
  }
});

kernelTest('a program for fewer arguments tells the same packet, of its namespace', async () => {
  for (const [args, hasReasons] of [
    [3, true],
    [2, false],
  ] as const) {
    const facts = {
      tracepointArgs: (name: string) => (name === 'kfree_skb' ? args : loadNative().tracepointArgs(name)),
      hasMember: () => true,
    };
    start({
      ...packetloss,
      select: () => packetloss.select(facts),
      prepare: (names) =>
        packetloss.prepare?.(hasReasons ? names : { ...names, enumValues: () => undefined }) ?? { data: [], degraded: [] },
    });
    await udp(lab, lab.b.ipv4, closedPort, { localPort: 4000 + args });
    const mine = ({ record }: SeenRecord) => endsOf(record) === endsText(lab.b.ipv4, closedPort, lab.a.ipv4, 4000 + args);
    let found: SeenRecord | undefined;
    await eventually('the drop is told', async () => {
      found = (await run.records(lab.b.cookie)).find(mine);
      return found !== undefined;
    });
    expect(found?.record.code === 0).toBe(!hasReasons);
    expect(run.placeOf(found?.record.v1 ?? 0)).toBe('__udp4_lib_rcv');
    await run.stop();
  }
});

kernelTest('the filter leaves out other namespaces, counters too', async () => {
  await meet(lab);
  start();
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(lab.a.cookie);
  await udp(lab, lab.b.ipv4, closedPort);
  lab.rule(lab.a, 'output', 'udp dport 7000 drop');
  await udp(lab, lab.b.ipv4, 7000);
  await eventually('what is listed is told', async () => (await run.records(lab.a.cookie)).length === 1);
  expect([await run.records(lab.b.cookie), drops(lab.b.cookie)]).toEqual([[], []]);
});

kernelTest('a stack leads from the drop outwards', async () => {
  await meet(lab);
  start();
  lab.rule(lab.a, 'output', 'udp dport 7000 drop');
  await udp(lab, lab.b.ipv4, 7000);
  await eventually('the drop is told', async () => (await run.records(lab.a.cookie)).length > 0);
  const [seen] = (await run.records(lab.a.cookie)) as [SeenRecord];
  const addresses = run.object.mapLookup('stacks', new Uint8Array(Int32Array.of(seen.record.stack).buffer)) as Buffer;
  const stext = run.symbols?.stext ?? 0n;
  const frames = Array.from({ length: addresses.length / 8 }, (_, at) => addresses.readBigUInt64LE(at * 8)).filter(
    (address) => address !== 0n,
  );
  const names = frames.map((address) => run.placeOf(Number(BigInt.asUintN(32, address - stext))));
  // Who else listens to the tracepoint puts a frame of its own before it.
  const site = frames.findIndex((address) => Number(address - stext) === seen.record.v1);
  expect([site === 0 || site === 1, names[site]]).toEqual([true, run.placeOf(seen.record.v1)]);
  expect(names).toContain('udp_sendmsg');
});
