import { expect, test } from 'vitest';
import { RawMessage } from '../../../proto/bus.ts';
import type { OutputEnd } from '../event-output.ts';
import { MetricTotals } from '../series/test-metric-totals.ts';
import { batchOf, netnsOf, podOf, rawOf, reset, TestPartition, tickOf } from '../test-stream.ts';
import type { FindingEntity, Transition } from './finding.ts';
import { testRule } from './test-rule.ts';

const pod: FindingEntity = { kind: 'pod', node: 'node1', namespace: 'shop', pod: 'web-0', uid: 'u', name: '', cookie: 4101, inode: 7 };

function transitionOf(id: number, more: Partial<Transition> = {}): Transition {
  return {
    rule: testRule(),
    entity: pod,
    anomalyId: id.toString(16).padStart(16, '0'),
    number: 1,
    action: 'opened',
    severity: 2,
    startS: 1_790_000_000,
    atS: 1_790_000_002,
    reason: undefined,
    message: `finding ${id}`,
    values: [],
    by: [],
    evidence: [],
    confidence: 1,
    causedBy: [],
    samples: [],
    peers: [],
    ...more,
  };
}

/** A partition whose rules find something at each `every`th record, before the record's own event; 0: never. */
function finding(every: number, silentUntil?: OutputEnd): TestPartition {
  const partition = new TestPartition(silentUntil === undefined ? {} : { silentUntil });
  const { rules } = partition.state;
  rules.record = (_session, _record, _ends, item) => {
    if (every > 0 && item % every === 0) rules.onTransition(transitionOf(item));
  };
  return partition;
}

const messages = [
  rawOf({ seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101)], pods: [podOf('web-0', 4101)] } } }),
  rawOf({ seq: 2, batch: batchOf(0, 9) }),
  rawOf({ seq: 3, batch: batchOf(9, 6) }),
];
const idsOf = (lines: readonly string[]): string[] => lines.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id);

test('findings stand between the events that led to them', async () => {
  const { lines, parsed, numbers, state } = await finding(3).feed(...messages);
  expect(parsed.map(({ event }) => event.action).join(' ')).toMatch(/^(anomaly-opened( reset-sent){3} ?){5}$/);
  expect(numbers).toEqual(lines.map((_, index) => index));
  expect(state.dispositions).toMatchObject({ events: 15, findings: 5 });
});

test('output with findings that is there already is made again silently, wherever it ends', async () => {
  const whole = await finding(3).feed(...messages);
  for (const [at, { rawOffset, ordinal }] of whole.origins.entries()) {
    const rest = await finding(3, { rawOffset, ordinal, nextEvent: at + 1 }).feed(...messages);
    expect(rest.lines).toEqual(whole.lines.slice(at + 1));
    expect(rest.numbers).toEqual(whole.numbers.slice(at + 1));
  }
});

test('other rules than those that made the output change nothing about which events are made again', async () => {
  const whole = await finding(2).feed(...messages);
  const events = idsOf((await finding(0).feed(...messages)).lines);
  for (const [at, { rawOffset, ordinal }] of whole.origins.entries()) {
    const held = idsOf(whole.lines.slice(0, at + 1)).filter((id) => events.includes(id));
    for (const every of [0, 1, 5]) {
      const rest = await finding(every, { rawOffset, ordinal, nextEvent: at + 1 }).feed(...messages);
      expect([...held, ...idsOf(rest.lines).filter((id) => events.includes(id))]).toEqual(events);
    }
  }
});

test('what is found outside of a message comes first in the next one', async () => {
  const partition = new TestPartition();
  await partition.feed(...messages.slice(0, 2));
  partition.state.rules.onTransition(transitionOf(1, { action: 'resolved', reason: 'RULE_CHANGED' }));
  expect(partition.lines).toHaveLength(9);
  await partition.feed(messages[2]);
  expect(partition.parsed.slice(9).map(({ event }) => event.action)).toEqual(['anomaly-resolved', ...Array(6).fill('reset-sent')]);
  expect(partition.origins[9]).toEqual({ rawOffset: 2, ordinal: 1 });
});

/** Feeds ticks, a second each, with transitions before them; what is shown behind the last. */
async function shownAfter(partition: TestPartition, ...steps: readonly (readonly Transition[])[]): Promise<MetricTotals> {
  let ms = 1_790_000_000_000;
  for (const step of steps) {
    for (const transition of step) partition.state.rules.onTransition(transition);
    ms += 1000;
    await partition.feed(tickOf(1, ms));
    ms += 1000;
    await partition.feed(tickOf(1, ms));
  }
  const totals = new MetricTotals();
  for (const batch of partition.metricBatches) totals.take(batch);
  return totals;
}

const active = (severity: string, of = 'k8s_namespace="shop",k8s_node="node1",k8s_pod="web-0"'): string =>
  `anomaly active{${of},rule="some-resets",severity="${severity}"}`;
const opened = (severity: string): string => `anomalies opened{k8s_node="node1",rule="some-resets",severity="${severity}"}`;

test('an open finding is a series, which goes with its severity and its end; opened ones are counted', async () => {
  const first = [[transitionOf(1)], [transitionOf(1, { action: 'updated', severity: 3, number: 2 })]];
  expect((await shownAfter(new TestPartition(), ...first)).shown()).toEqual({ [active('critical')]: 1, [opened('warning')]: 1 });
  const ended = [[transitionOf(1, { action: 'resolved', severity: 3, number: 3 })], [transitionOf(2)]];
  const totals = await shownAfter(new TestPartition(), ...first, ...ended);
  expect(totals.shown()).toEqual({ [active('warning')]: 1, [opened('warning')]: 2 });
  expect(totals.faults).toEqual([]);
});

test.each<[string, Partial<FindingEntity>, string]>([
  ['a namespace by its name', { kind: 'netns', name: 'web' }, 'k8s_node="node1",netns="web"'],
  ['a namespace without one by its cookie', { kind: 'netns' }, 'k8s_node="node1",netns="4101"'],
  ['a node', { kind: 'node' }, 'k8s_node="node1"'],
  ['the pipeline by its partition', { kind: 'pipeline', name: 'partition 3', node: '' }, 'partition="3"'],
])('%s has its labels', async (_, more, labels) => {
  const totals = await shownAfter(new TestPartition(), [transitionOf(1, { entity: { ...pod, ...more } })]);
  expect(Object.keys(totals.shown())).toContain(active('warning', labels));
});

test('over a restart a finding that is open stays a series, and one that is not ends', async () => {
  for (const isOpen of [true, false]) {
    const before = new TestPartition();
    await shownAfter(before, [transitionOf(1)]);
    const blocks: Uint8Array[] = [];
    for await (const block of before.state.blocks()) blocks.push(block);
    const after = new TestPartition();
    const still = { rule: testRule(), entity: pod, severity: 2 as const, anomalyId: transitionOf(1).anomalyId, startS: 1_790_000_000 };
    after.state.rules.open = function* () {
      if (isOpen) yield still;
    };
    after.state.restore(before.state.snapshot(), blocks);
    after.metricBatches.unshift(...before.metricBatches);
    const totals = await shownAfter(after, [], isOpen ? [transitionOf(1, { action: 'updated', severity: 3, number: 2 })] : []);
    expect(totals.shown()).toEqual(isOpen ? { [active('critical')]: 1, [opened('warning')]: 1 } : { [opened('warning')]: 1 });
    expect(totals.faults).toEqual([]);
  }
});

test('a node cannot tell of findings', async () => {
  const samples = {
    layouts: [{ id: 1, source: 'anomaly', fields: ['active'] }],
    targets: [{ layout: 1, bootNs: 1, values: [1], all: true }],
    end: true,
  };
  const partition = await new TestPartition().feed(
    rawOf({ seq: 1, keyframe: { nextItem: 0, bootId: 'b', firstOffset: { seconds: 1.79e9, nanos: 0 } } }),
    rawOf({ seq: 2, samples }),
  );
  expect(partition.state.series.store.counters.dropped).toEqual({ unknown_layout: 1 });
});

test('rules are told, before each tick, what is known of the nodes and what the tick says of the pipeline', async () => {
  const partition = new TestPartition();
  const told: string[] = [];
  const { rules } = partition.state;
  rules.self = (node, source, field, labels, value) =>
    void told.push(
      `${node ?? '-'} ${source}.${field}${Object.values(labels)
        .map((label) => `/${label}`)
        .join('')} ${value}`,
    );
  // biome-ignore lint/correctness/useYield: nothing is left to do
  rules.tick = function* (appendedMs) {
    told.push(`tick ${appendedMs}`);
  };
  const losses = {
    kernelLosses: [{ probe: 1, count: 4, reason: 'ring_full' }],
    skipped: [{ firstItem: 2, count: 3, reason: 'spool_full' }],
  };
  await partition.feed(
    rawOf({ seq: 1, keyframe: { nextItem: 0 } }, { appendedMs: 1000 }),
    rawOf({ seq: 2, batch: batchOf(0, 2) }, { appendedMs: 1000 }),
    rawOf({ seq: 3, batch: { ...batchOf(6, 1), ...losses } }, { appendedMs: 1000 }),
    tickOf(1, 2000),
    // An outage of all is no silence of the node.
    tickOf(2, 60_000),
    ...[2, 4, 6, 8, 10, 12].map((second) => tickOf(3, 60_000 + second * 1000)),
    RawMessage.encode({
      appended: { seconds: 74, nanos: 0 },
      tick: {
        number: 2,
        pipeline: {
          queues: [{ queue: 'raw', depthBytes: 3, capacityBytes: 4 }, { queue: 'held' }],
          deadLetters: [{ name: 'aggregator', total: 5 }],
          lostEvents: [{ name: 'file', total: 6 }],
          stateLost: true,
        },
      },
    }).finish(),
  );
  const ofNode = ['node1 node.gap_items 4', 'node1 node.skipped_items/spool_full 3', 'node1 node.kernel_lost_records/tcpreset 4'];
  const ticks = ['tick 2000', 'tick 60000', ...[2, 4, 6, 8, 10, 12].map((second) => `tick ${60_000 + second * 1000}`)];
  expect(told).toEqual([
    ...ticks.flatMap((tick) => ['node1 node.silent_seconds 0', ...ofNode, tick]),
    'node1 node.silent_seconds 16',
    ...ofNode,
    '- pipeline.queue_fill_ratio/raw 0.75',
    '- pipeline.queue_fill_ratio/held 0',
    '- pipeline.dead_letters/aggregator 5',
    '- pipeline.lost_events/file 6',
    '- pipeline.state_lost 1',
    'tick 74000',
  ]);
});

test('rules are told what is lost, and the clock before the record that moves it', async () => {
  const partition = new TestPartition();
  const told: string[] = [];
  const { rules } = partition.state;
  rules.lost = (_, items) => void told.push(`lost ${items}`);
  const { advance } = rules;
  rules.advance = (session, bootNs) => {
    told.push(`at ${bootNs / 1e9}`);
    return advance.call(rules, session, bootNs);
  };
  rules.record = (_session, { tsNs }, _ends, item, isEvent) => void told.push(`${item} of ${tsNs / 1e9}${isEvent ? '' : ' counted'}`);
  const times = [5, 5, 7, 6];
  await partition.feed(
    messages[0],
    rawOf({ seq: 2, batch: batchOf(2, 4, (item) => reset({ ts: times[item - 2] * 1e9 })) }),
    rawOf({ seq: 3, heartbeat: { bootNs: 9e9, nextItem: 7 } }),
  );
  expect(told).toEqual(['lost 2', 'at 5', '2 of 5', '3 of 5', 'at 7', '4 of 7', '5 of 6', 'lost 1', 'at 9']);
});
