import { expect, test } from 'vitest';
import { probes } from '../../../bpf/registry.ts';
import { metrics } from '../../../schema/record.gen.ts';
import { netnsOf, rawOf, seriesOptions } from '../test-stream.ts';
import { contributionRoom } from './contribution.ts';
import { probeSeriesOf } from './probe-series.ts';
import { layout, RecordedPartition, Run, retrans, sessionTwo, target } from './test-series-run.ts';

const a = '{k8s_node="node1",netns="a"}';
const b = '{k8s_node="node1",netns="b"}';

test('a namespace has its kernel values under its name, a field that nobody knows too', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  await collector.read(target(7, 1, [5, 3, 9]));
  await run.ticks(1);
  expect(run.totals.shown()).toEqual({ [`${retrans}${a}`]: 5, [`snmp Tcp.CurrEstab${a}`]: 3, [`snmp Tcp.NewInLinux${a}`]: 9 });
  await collector.read({ layout: 1, netns: 7, bootNs: 2e9, indexes: [0], values: [6] });
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${a}`]: 6, [`snmp Tcp.CurrEstab${a}`]: 3 });
});

test('a namespace that may still turn out to be a Pod’s is waited for, then has the name of the Pod alone', async () => {
  const run = new Run();
  const collector = await run.collector().open([]);
  const netns = [netnsOf(7, { names: ['cni-1'], fromBootNs: 1e9 })];
  await collector.say({ identity: { nodeCgroups: [1], netns } });
  await collector.read(target(7, 2, [5, 3, 9]));
  await run.ticks(2);
  expect(run.totals.values.size).toBe(0);
  const pods = [{ sandboxId: 's1', uid: 'u1', namespace: 'shop', name: 'web-0', netns: 7, fromBootNs: 5e8 }];
  await collector.say({ identity: { pods } });
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}{k8s_namespace="shop",k8s_node="node1",k8s_pod="web-0"}`]: 5 });
  expect([...run.totals.values.keys()].filter((key) => key.includes('netns='))).toEqual([]);
});

test('a container’s cgroup has the labels of container and Pod', async () => {
  const run = new Run();
  const containers = [{ id: 'c1', name: 'app', cgroups: [55], sampledCgroup: 77 }];
  const pods = [{ sandboxId: 's1', uid: 'u1', namespace: 'shop', name: 'web-0', netns: 7, fromBootNs: 1, containers }];
  const collector = await run.collector().open([netnsOf(7)]);
  await collector.say({ identity: { pods } });
  await collector.read(target(0, 2, [5, 3, 9], { cgroup: 77 }), target(0, 2, [6, 0, 0], { cgroup: 55 }));
  await run.ticks(5);
  expect(run.totals.shown()).toMatchObject({
    [`${retrans}{k8s_container="app",k8s_namespace="shop",k8s_node="node1",k8s_pod="web-0"}`]: 5,
    [`${retrans}{cgroup="55",k8s_node="node1"}`]: 6,
  });
});

test('the node is known at once, and a namespace that nobody knows has its cookie after three seconds', async () => {
  const run = new Run();
  const collector = await run.collector().open([]);
  await collector.read(target(0, 1, [1, 2, 3]), target(99, 1, [4, 5, 6], { labels: { device: 'eth0' } }));
  await run.ticks(1);
  expect(Object.keys(run.totals.shown())).toHaveLength(3);
  await run.ticks(4);
  expect(run.totals.shown()).toMatchObject({
    [`${retrans}{k8s_node="node1"}`]: 1,
    [`${retrans}{device="eth0",k8s_node="node1",netns="99"}`]: 4,
  });
});

test('a name used again goes on from the total of the one before; a gauge does not', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  await collector.read(target(7, 1, [100, 8, 0]));
  await run.ticks(5);
  await collector.read(target(7, 2, [110, 8, 0], { last: true }));
  await run.ticks(1);
  expect(run.totals.values.get(`${retrans}${a}`)).toMatchObject({ value: 110, ended: true });
  await collector.say({ identity: { netns: [netnsOf(8, { names: ['a'] })] } });
  await collector.read(target(8, 9, [5, 2, 0]));
  await run.ticks(5);
  expect(run.totals.values.get(`${retrans}${a}`)).toMatchObject({ value: 115, ended: false });
  expect(run.totals.shown()).toMatchObject({ [`snmp Tcp.CurrEstab${a}`]: 2 });
  expect(run.totals.faults).toEqual([]);
});

test('what has ended holds only what is not 0, and the cap is not spent on it', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  const { store } = run.partition.state.series;
  await collector.read(target(7, 1, [0, 3, 0]));
  await run.ticks(5);
  expect(store.heldValues).toBe(contributionRoom + 3);
  await collector.read(target(7, 2, [4, 3, 0], { last: true }));
  await run.ticks(2);
  const [group] = store.groups.values();
  expect(store.heldValues).toBe(contributionRoom);
  expect([group.base.length, [...(group.packed?.fields ?? [])], [...(group.packed?.totals ?? [])]]).toEqual([0, [0], [4]]);
  // Something else that has its name and its place: both hold values again, and go on from the total.
  await collector.read(target(7, 9, [5, 2, 0]));
  await run.ticks(2);
  expect(store.heldValues).toBe(contributionRoom + 3);
  expect(run.totals.values.get(`${retrans}${a}`)).toMatchObject({ value: 9, ended: false });
  expect(run.totals.faults).toEqual([]);
});

test('another collector continues the kernel values without a reset; what the one before left behind comes late and is dropped', async () => {
  const run = new Run();
  const first = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  await first.read(target(7, 1, [100, 8, 0]));
  await run.ticks(5);
  const second = await run.collector(sessionTwo).open([netnsOf(7, { names: ['a'] })]);
  await second.read(target(7, 9, [120, 1, 0]));
  await first.read(target(7, 2, [105, 9, 0]));
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${a}`]: 120, [`snmp Tcp.CurrEstab${a}`]: 1 });
  expect(run.partition.state.series.store.counters.dropped).toEqual({ late: 1 });
});

test('what a full cycle does not tell has ended; a cycle with a hole ends nothing; it may come back', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] }), netnsOf(8, { names: ['b'] })]);
  await collector.read(target(7, 1, [100, 8, 0]), target(8, 1, [50, 1, 0]));
  await run.ticks(5);
  await collector.say({ samples: { layouts: [layout], targets: [target(7, 3, [101, 8, 0])], full: true, end: true } });
  await run.ticks(1);
  expect(run.totals.values.get(`${retrans}${b}`)).toMatchObject({ value: 50, ended: true });
  expect(run.totals.values.get(`${retrans}${a}`)).toMatchObject({ value: 101, ended: false });
  await collector.read(target(8, 5, [51, 1, 0]));
  await run.ticks(1);
  expect(run.totals.values.get(`${retrans}${b}`)).toMatchObject({ value: 51, ended: false });
  // A message is missing in the next one.
  await run.partition.feed(rawOf({ seq: 90, samples: { layouts: [layout], targets: [target(7, 9, [102, 8, 0])], full: true, end: true } }));
  await run.ticks(1);
  expect(run.totals.values.get(`${retrans}${b}`)).toMatchObject({ value: 51, ended: false });
});

test('a counter that fell goes on from where it was', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  await collector.read(target(7, 1, [100, 8, 0]));
  await run.ticks(5);
  await collector.read(target(7, 2, [3, 2, 0]));
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${a}`]: 103, [`snmp Tcp.CurrEstab${a}`]: 2 });
});

test('a new name starts with the total and the old series go; into series that are there no total jumps', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  await collector.read(target(7, 1, [100, 8, 0]));
  await run.ticks(5);
  await collector.say({ identity: { netns: [netnsOf(7, { names: ['b'] })] } });
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${b}`]: 100, [`snmp Tcp.CurrEstab${b}`]: 8 });
  expect(run.totals.values.has(`${retrans}${a}`)).toBe(false);
  await collector.read(target(7, 3, [110, 8, 0]));
  await collector.say({ identity: { netns: [netnsOf(7, { names: ['a'] })] } });
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${a}`]: 100 });
  await collector.read(target(7, 4, [111, 8, 0]));
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${a}`]: 101 });
});

test('probes: totals of sessions add up, with the names of the session for what they count', async () => {
  const run = new Run();
  const enums = [{ name: 'sk_rst_reason', values: [{ value: 3, name: 'NO_SOCKET' }] }];
  const sent = (value: number, bucket = 3) => ({ net: 7, metric: metrics.TCPRESET_SENT, bucket, label: 0, value });
  const first = await run.collector().open([netnsOf(7, { names: ['a'] })], 'boot-1', { enums, counters: [sent(0)] });
  await first.say({ samples: { counters: [sent(10)], end: true } });
  await run.ticks(5);
  const key = `tcpreset ${metrics.TCPRESET_SENT}{k8s_node="node1",netns="a",reason="NO_SOCKET"}`;
  expect(run.totals.shown()).toEqual({ [key]: 10 });
  const second = await run.collector(sessionTwo).open([netnsOf(7, { names: ['a'] })], 'boot-1', { enums, counters: [sent(4)] });
  await first.say({ samples: { counters: [sent(12)], end: true } });
  await second.say({ samples: { counters: [sent(5), sent(1, 77)], end: true } });
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [key]: 17, [key.replace('NO_SOCKET', '77')]: 1 });
});

test('the buckets of a histogram, and the sum of its values, are fields of one target', async () => {
  const metric = { kind: 'histogram', number: 900, sum: 901, name: 'wait_seconds', help: 'h', unit: 'us' } as const;
  const run = new Run();
  const series = { ...seriesOptions, probes: probeSeriesOf([{ ...probes[0], name: 'life', metrics: [metric] }]) };
  Object.assign(run, { partition: new RecordedPartition({}, series) });
  const of = (number: number, bucket: number, value: number) => ({ net: 7, metric: number, bucket, label: 0, value });
  const counters = [of(900, 4, 2), of(900, 11, 1), of(901, 0, 1500)];
  await run.collector().open([netnsOf(7, { names: ['a'] })], 'boot-1', { counters });
  await run.ticks(1);
  expect(run.totals.shown()).toEqual({ [`life 900/4${a}`]: 2, [`life 900/11${a}`]: 1, [`life 900/sum${a}`]: 1500 });
});

test('drop sites: places of one function are one series, under its name as soon as somebody tells it', async () => {
  const run = new Run();
  const enums = [{ name: 'skb_drop_reason', values: [{ value: 8, name: 'NETFILTER_DROP' }] }];
  const drops = (label: number, value: number) => ({ net: 7, metric: metrics.PACKETLOSS_DROPS, bucket: 8, label, value });
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })], 'boot-1', { enums });
  const name = 'nf_hook_slow';
  await collector.say(
    { identity: { symbols: [{ offset: 31, name }] } },
    { samples: { counters: [drops(31, 5), drops(47, 2)], end: true } },
  );
  await run.ticks(1);
  const key = (site: string) => `packetloss ${metrics.PACKETLOSS_DROPS}{k8s_node="node1",netns="a",reason="NETFILTER_DROP",site="${site}"}`;
  expect(run.totals.shown()).toEqual({ [key(name)]: 5, [key('_stext+0x2f')]: 2 });
  await collector.say(
    { identity: { symbols: [{ offset: 47, name }] } },
    { samples: { counters: [drops(31, 6), drops(47, 4)], end: true } },
  );
  await run.ticks(1);
  // What was counted under the place alone stays there: no total jumps.
  expect(run.totals.shown()).toEqual({ [key(name)]: 5 + 1 + 2 });
  expect(run.totals.faults).toEqual([]);
});

test('what a full counter map could not tell apart is other', async () => {
  const run = new Run();
  await run.collector().open([], 'boot-1', { counters: [{ net: 0, metric: metrics.TCPRETRANS_SEGMENTS, bucket: 1, label: 0, value: 4 }] });
  await run.ticks(1);
  expect(run.totals.shown()).toEqual({ [`tcpretrans ${metrics.TCPRETRANS_SEGMENTS}{k8s_node="node1",kind="RTO",netns="other"}`]: 4 });
});

test('after a boot the totals go on, and what the boot before left behind still counts', async () => {
  const run = new Run();
  const first = await run.collector().open([netnsOf(7, { names: ['a'] })]);
  await first.read(target(7, 1, [100, 8, 0]));
  await run.ticks(5);
  const firstOffset = { seconds: 1_790_009_000, nanos: 0 };
  const second = await run.collector(sessionTwo).open([netnsOf(7, { names: ['a'] })], 'boot-2', { firstOffset });
  await second.say({ samples: { layouts: [layout], targets: [target(7, 1, [1, 2, 0])], full: true, end: true } });
  await first.read(target(7, 90, [103, 8, 0]));
  await run.ticks(5);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}${a}`]: 104, [`snmp Tcp.CurrEstab${a}`]: 2 });
  expect(run.totals.faults).toEqual([]);
});

test('with too many series the next ones are folded into other, and their totals rise', async () => {
  const run = new Run();
  const partition = new RecordedPartition({}, { ...seriesOptions, maxSeries: 1000 });
  Object.assign(run, { partition });
  const names = Array.from({ length: 500 }, (_, n) => netnsOf(1000 + n, { names: [`n${n}`] }));
  const collector = await run.collector().open(names);
  for (let round = 1; round <= 3; round++) {
    await collector.read(...names.map(({ cookie }) => target(cookie ?? 0, round, [round, 1, 0])));
    await run.ticks(5);
    expect(run.totals.shown()).toMatchObject({
      [`${retrans}{k8s_namespace="other",k8s_node="node1",k8s_pod="other"}`]: round * (500 - 333),
      [`${retrans}{k8s_node="node1",netns="n0"}`]: round,
    });
  }
  expect(partition.state.series.store.counters.folded).toBe(500 - 333);
});

test.each([
  ['a layout that nobody told', { layout: 9 }, { unknown_layout: 1 }],
  ['a label that identity says', { labels: { k8s_pod: 'x' } }, { invalid_labels: 1 }],
  ['a label that is none', { labels: { 'a-b': 'x' } }, { invalid_labels: 1 }],
  ['no numbers', { values: [Number.NaN, Number.POSITIVE_INFINITY, 1] }, { invalid_value: 2 }],
  ['an index beyond the layout', { all: false, indexes: [0, 99], values: [1, 2] }, { invalid_value: 1 }],
])('a target with %s is counted and hurts no other', async (_, more, dropped) => {
  const run = new Run();
  const collector = await run.collector().open([]);
  await collector.read(target(0, 1, [1, 2, 3], more), target(0, 2, [7, 2, 3]));
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}{k8s_node="node1"}`]: 7 });
  expect(run.partition.state.series.store.counters.dropped).toEqual(dropped);
});

test('a boot whose clock began too late does not hide the boot behind it', async () => {
  const run = new Run();
  const late = { firstOffset: { seconds: 1_790_100_000, nanos: 0 } };
  const first = await run.collector().open([netnsOf(7, { names: ['a'] })], 'boot-1', late);
  await first.read(target(7, 500, [100, 8, 0]));
  await run.ticks(5);
  const second = await run.collector(sessionTwo).open([netnsOf(7, { names: ['a'] })], 'boot-2');
  await second.say({ samples: { layouts: [layout], targets: [target(7, 9, [1, 2, 0])], full: true, end: true } });
  for (let round = 1; round <= 8; round++) {
    await run.ticks(10);
    await second.read(target(7, 10 * round, [1 + round, 2, 0]));
  }
  await second.say({ samples: { layouts: [layout], targets: [target(7, 99, [9, 2, 0])], full: true, end: true } });
  await run.ticks(1);
  expect(run.totals.shown()).toEqual({ [`${retrans}${a}`]: 109, [`snmp Tcp.CurrEstab${a}`]: 2, [`snmp Tcp.NewInLinux${a}`]: 0 });
  expect(run.totals.faults).toEqual([]);
});

const resets = (net: number, value: number) => ({ net, metric: metrics.TCPRESET_SENT, bucket: 3, label: 0, value });
const resetsOf = (netns: string) => `tcpreset ${metrics.TCPRESET_SENT}{k8s_node="node1",netns="${netns}",reason="3"}`;

test('probes: what a namespace that went between two sessions had counted ends with the next full cycle', async () => {
  const run = new Run();
  const both = [netnsOf(7, { names: ['a'] }), netnsOf(8, { names: ['b'] })];
  const first = await run.collector().open(both, 'boot-1', { counters: [resets(7, 5), resets(8, 6)] });
  await first.read(target(7, 1, [1, 1, 0]), target(8, 1, [1, 1, 0]));
  await run.ticks(5);
  const second = await run.collector(sessionTwo).open([both[0]]);
  await second.say({ samples: { layouts: [layout], targets: [target(7, 9, [1, 1, 0])], full: true, end: true } });
  await run.ticks(1);
  expect(run.totals.values.get(resetsOf('a'))).toMatchObject({ value: 5, ended: false });
  expect(run.totals.values.get(resetsOf('b'))).toMatchObject({ value: 6, ended: true });
});

test('probes: counters that are told again behind a silence live, and count on', async () => {
  const run = new Run();
  const collector = await run.collector().open([netnsOf(7, { names: ['a'] })], 'boot-1', { counters: [resets(7, 5)] });
  await run.ticks(310);
  expect(run.totals.values.get(resetsOf('a'))).toMatchObject({ ended: true });
  await collector.say({ samples: { counters: [resets(7, 5)], full: true, end: true } });
  await run.ticks(1);
  expect(run.totals.values.get(resetsOf('a'))).toMatchObject({ value: 5, ended: false });
  await collector.say({ samples: { counters: [resets(7, 6)], end: true } });
  await run.ticks(1);
  expect(run.totals.values.get(resetsOf('a'))).toMatchObject({ value: 6, ended: false });
});

test('a bucket that no histogram has is counted, and makes no series', async () => {
  const run = new Run();
  const metric = { kind: 'histogram', number: 9001, sum: 9002, unit: 'us', name: 'wait_seconds', help: 'h' } as const;
  const waits = new Map([[9001, { probe: 'waits', metric, isSum: false }]]);
  Object.assign(run, { partition: new RecordedPartition({}, { ...seriesOptions, probes: waits }) });
  const wait = (bucket: number) => ({ net: 7, metric: 9001, bucket, label: 0, value: 1 });
  await run.collector().open([netnsOf(7, { names: ['a'] })], 'boot-1', { counters: [64, 65, 4_294_967_295].map(wait) });
  await run.ticks(1);
  expect(run.totals.shown()).toEqual({ [`waits 9001/64${a}`]: 1 });
  expect(run.partition.state.series.store.counters.dropped).toEqual({ invalid_value: 2 });
});

test('a node that tells ever new targets, without a field or with one that grows, fills no more than its room', async () => {
  const partition = new RecordedPartition({}, { ...seriesOptions, maxSeries: 100 });
  const run = Object.assign(new Run(), { partition });
  const layouts = [
    { id: 1, source: 'one', fields: ['x'] },
    { id: 2, source: 'none', fields: [] },
  ];
  const collector = await run.collector().open([]);
  await collector.say({ samples: { layouts, end: true } });
  const one = Array.from({ length: 50 }, (_, at) => target(5000 + at, 1, [1]));
  const none = Array.from({ length: 500 }, (_, at) => target(1000 + at, 1, [], { layout: 2 }));
  await collector.read(...one, ...none);
  const wide = [{ id: 1, source: 'one', fields: ['x', ...Array.from({ length: 300 }, (_, at) => `y${at}`)] }];
  const grown = one.map(({ netns }) => ({ layout: 1, netns: netns ?? 0, bootNs: 2e9, indexes: [300], values: [1] }));
  await collector.say({ samples: { layouts: wide, targets: grown, end: true } });
  await run.ticks(5);
  const { nodes, heldValues, counters } = partition.state.series.store;
  const { places, contributions } = nodes.get('node1') ?? { places: new Map(), contributions: new Map() };
  expect([...contributions.values()].reduce((sum, { values }) => sum + values.length, 0)).toBeLessThanOrEqual(400);
  expect(heldValues).toBeLessThanOrEqual(400);
  expect(contributions.size).toBeLessThanOrEqual(134);
  expect(places.size).toBeLessThanOrEqual(contributions.size);
  expect(counters.dropped.too_many_targets).toBeGreaterThan(400);
});

test('a counter below zero is none', async () => {
  const run = new Run();
  const collector = await run.collector().open([]);
  await collector.read(target(0, 1, [5, 1, 0]), target(0, 2, [-5, -1, 0]));
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({ [`${retrans}{k8s_node="node1"}`]: 5, 'snmp Tcp.CurrEstab{k8s_node="node1"}': -1 });
  expect(run.partition.state.series.store.counters.dropped).toEqual({ invalid_value: 1 });
});

test('what one node invents keeps no other from being read', async () => {
  const run = new Run();
  const invented = Array.from({ length: 100 }, (_, at) => ({ id: at + 2, source: `source${at}`, fields: ['x'] }));
  const fields = Array.from({ length: 4000 }, (_, at) => `Tcp.Invented${at}`);
  const hostile = await run.collector(sessionTwo).open([]);
  await hostile.say({ samples: { layouts: [{ id: 1, source: 'snmp', fields }, ...invented], end: true } });
  const collector = await run.collector().open([]);
  await collector.say({ samples: { layouts: [{ id: 3, source: 'sockstat', fields: ['TCP.inuse'] }], end: true } });
  await collector.read(target(0, 1, [5, 3, 9]), target(0, 1, [4], { layout: 3 }));
  await run.ticks(1);
  expect(run.totals.shown()).toMatchObject({
    [`${retrans}{k8s_node="node1"}`]: 5,
    'snmp Tcp.CurrEstab{k8s_node="node1"}': 3,
    'sockstat TCP.inuse{k8s_node="node1"}': 4,
  });
  expect(run.partition.state.series.store.heldValues).toBeLessThan(600);
});
