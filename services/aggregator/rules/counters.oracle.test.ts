import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CollectorBody } from '../../../proto/collect.ts';
import { PartitionState } from '../partition-state.ts';
import { partitionSteps } from '../partition-steps.ts';
import { events, netnsOf, podOf, rawOf, seriesOptions, TestPartition } from '../test-stream.ts';
import type { Signal } from './rule.ts';
import { bootS, ruleSet } from './test-engine.ts';
import { testRule } from './test-rule.ts';

const counterOf = (field: string) => ({ source: 'netstat', field, kind: 'counter' }) as const;
const gauge = { source: 'sockstat', field: 'TCP.inuse', kind: 'gauge' } as const;
const common = { minVolume: 0, absent: 'false', scope: 'entity', windowS: 10 } as const;
const signals: readonly Signal[] = [
  {
    ...common,
    key: 'sum',
    input: { kind: 'counter', counter: counterOf('TcpExt.ListenDrops'), per: undefined, where: undefined, by: undefined },
    aggregation: 'delta',
  },
  {
    ...common,
    key: 'ratio',
    input: {
      kind: 'counter',
      counter: counterOf('TcpExt.ListenDrops'),
      per: counterOf('TcpExt.ListenOverflows'),
      where: undefined,
      by: undefined,
    },
    aggregation: 'delta',
    minVolume: 3,
  },
  {
    ...common,
    key: 'max',
    input: { kind: 'counter', counter: gauge, per: undefined, where: undefined, by: undefined },
    aggregation: 'max',
  },
  {
    ...common,
    key: 'last',
    input: { kind: 'counter', counter: gauge, per: undefined, where: undefined, by: undefined },
    aggregation: 'last',
  },
];
const rules = ruleSet(
  testRule({
    signals: signals.map((signal) => ({ name: signal.key, unit: undefined, signal })),
    when: [{ severity: 1, condition: () => false }],
  }),
);

/** What a cycle tells of the Pod: how two counters rose, and a gauge. Restart: the aggregator starts anew from a checkpoint before it. */
const cycle = fc.record({
  stepS: fc.integer({ min: 1, max: 4 }),
  drops: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 50 }) }),
  overflows: fc.integer({ min: 0, max: 5 }),
  inuse: fc.integer({ min: 0, max: 9 }),
  restart: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

function partition(): TestPartition {
  const created = new TestPartition();
  const state = new PartitionState(seriesOptions, { set: rules, cluster: 'default', partition: 0 });
  const steps = partitionSteps(
    state,
    { cluster: 'default', events, maxHeldBytes: 1e6, maxBatchBytes: 1e6 },
    { events: undefined, metrics: undefined },
  );
  return Object.assign(created, { state, steps });
}

async function restarted(before: TestPartition): Promise<TestPartition> {
  const blocks: Uint8Array[] = [];
  for await (const block of before.state.blocks()) blocks.push(block);
  const after = partition();
  after.state.restore(structuredClone(before.state.snapshot()), blocks);
  return after;
}

test('counters and gauges of any cycles are what a naive reading of them says, over checkpoints', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(cycle, { minLength: 2, maxLength: 25 }), async (cycles) => {
      let told = partition();
      let seq = 1;
      const feed = async (body: CollectorBody): Promise<unknown> => told.feed(rawOf({ seq: seq++, ...body }));
      const identity = { netns: [netnsOf(4100)], pods: [podOf('web-0', 4100)] };
      const bootId = 'b';
      await feed({ keyframe: { nextItem: 0, identity, bootId, firstOffset: { seconds: bootS, nanos: 0 } } });
      const [drops, overflows, inuse]: [number, number][][] = [[], [], []];
      let [now, totalDrops, totalOverflows] = [100, 1000, 2000];
      for (const [index, one] of cycles.entries()) {
        now += one.stepS;
        if (one.restart) told = await restarted(told);
        const bootNs = now * 1e9;
        if (index > 0) {
          totalDrops += one.drops;
          totalOverflows += one.overflows;
          drops.push([now, one.drops]);
          overflows.push([now, one.overflows]);
        }
        inuse.push([now, one.inuse]);
        const target = { netns: 4100, bootNs, all: true };
        const samples = {
          full: index === 0,
          end: true,
          layouts:
            index === 0
              ? [
                  { id: 1, source: 'netstat', fields: ['TcpExt.ListenDrops', 'TcpExt.ListenOverflows'] },
                  { id: 2, source: 'sockstat', fields: ['TCP.inuse'] },
                ]
              : [],
          targets: [
            { ...target, layout: 1, values: [totalDrops, totalOverflows] },
            { ...target, layout: 2, values: [one.inuse] },
          ],
        };
        await feed({ samples });
        await feed({ heartbeat: { bootNs: (now + 0.5) * 1e9 } });
        const own = told.state.rules.nodes.get('node1')?.own;
        const second = (own?.evaluatedS ?? 0) - bootS;
        const entity = own?.entities.all.find((some) => some?.info.pod === 'web-0');
        if (own === undefined || entity === undefined || second <= inuse[0][0]) continue;
        const sum = (list: readonly [number, number][]): number =>
          list.filter(([at]) => at > second - 10 && at <= second).reduce((total, [, value]) => total + value, 0);
        // A gauge is held: what it was at the end of each second of the window.
        const held = Array.from({ length: 10 }, (_, back) => inuse.filter(([at]) => at <= second - back).at(-1)?.[1]).filter(
          (value) => value !== undefined,
        );
        const volume = sum(overflows);
        const expected = [sum(drops), volume >= 3 ? sum(drops) / volume : Number.NaN, Math.max(...held), held[0]];
        const found = [...own.values.values.subarray(entity.index * own.values.width, (entity.index + 1) * own.values.width)];
        expect(found, `at ${second}`).toEqual(expected);
      }
    }),
    { numRuns: 40 },
  );
});
