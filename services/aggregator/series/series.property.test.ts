import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PartitionSnapshot } from '../partition-state.ts';
import { netnsOf, seriesOptions, TestPartition } from '../test-stream.ts';
import { layout, RecordedPartition, Run, retrans, target } from './test-series-run.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What is published of these messages when the state goes through a checkpoint in between, and the output is made again from it. */
async function restartedAt(values: readonly Uint8Array[], cut: number): Promise<Uint8Array[]> {
  const before = await new TestPartition().feed(...values.slice(0, cut));
  const blocks: Uint8Array[] = [];
  for await (const block of before.state.blocks()) blocks.push(block);
  const after = new TestPartition();
  after.state.restore(JSON.parse(JSON.stringify(before.state.snapshot())) as PartitionSnapshot, blocks);
  await after.feed(...values.slice(cut));
  return [...before.metricBatches, ...after.metricBatches];
}

const hostileNumber = fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(-1, 2 ** 32, 2 ** 53, 1e300, Number.NaN, Number.POSITIVE_INFINITY));
const hostileText = fc.oneof(fc.constantFrom('snmp', 'tcpreset', 'a', '__proto__', 'constructor', ''), fc.string({ maxLength: 300 }));
const hostileSamples = fc.record({
  layouts: fc.array(fc.record({ id: fc.nat({ max: 5 }), source: hostileText, fields: fc.array(hostileText, { maxLength: 5 }) }), {
    maxLength: 4,
  }),
  targets: fc.array(
    fc.record({
      layout: fc.nat({ max: 5 }),
      netns: fc.nat({ max: 5 }),
      cgroup: fc.nat({ max: 2 }),
      labels: fc.dictionary(hostileText, hostileText, { maxKeys: 10 }),
      bootNs: fc.nat({ max: 1e6 }),
      indexes: fc.array(fc.nat({ max: 9 }), { maxLength: 6 }),
      values: fc.array(hostileNumber, { maxLength: 6 }),
      all: fc.boolean(),
      last: fc.boolean(),
    }),
    { maxLength: 6 },
  ),
  counters: fc.array(
    fc.record({ net: fc.nat({ max: 5 }), metric: fc.nat({ max: 12 }), bucket: fc.nat(), label: fc.nat(), value: fc.nat() }),
    { maxLength: 5 },
  ),
  full: fc.boolean(),
  end: fc.boolean(),
});

test('whatever samples hold, nothing throws, what is told can be read, and the bounds hold', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(hostileSamples, { maxLength: 20 }), async (drawn) => {
      const run = new Run();
      Object.assign(run, { partition: new RecordedPartition({}, { ...seriesOptions, maxSeries: 40 }) });
      const collector = await run.collector().open([netnsOf(1)]);
      for (const samples of drawn) {
        await collector.say({ samples });
        await run.ticks(2);
      }
      await run.ticks(65);
      expect(run.totals.faults).toEqual([]);
      expect(run.totals.untold()).toEqual([]);
      const { store } = run.partition.state.series;
      // A source's series may be folded into `other`, which has room of its own.
      expect(store.series).toBeLessThanOrEqual(40 + 2 * store.sources.all.reduce((sum, { fields }) => sum + fields.length, 0));
      expect(store.heldValues).toBeLessThanOrEqual(160);
    }),
    { numRuns: 200 },
  );
});

/** What happens to a node, step by step. */
const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('count' as const), netns: fc.nat({ max: 3 }), by: fc.nat({ max: 50 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('boot' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('replace' as const), netns: fc.nat({ max: 3 }), told: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('rename' as const), netns: fc.nat({ max: 3 }), to: fc.nat({ max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('full' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 6 }) }) },
  ),
  { minLength: 1, maxLength: 40 },
);

test('whatever restarts, ends, returns and is renamed, no total goes back, and none rises by more than was counted', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), async (drawn, cutAt) => {
      const run = new Run();
      let [cookie, second, sessions, boot] = [100, 1, 1, 1];
      const live = Array.from({ length: 4 }, (_, n) => ({ cookie: cookie++, name: `n${n}`, value: 0, isNew: true }));
      const identity = () => live.map((netns) => netnsOf(netns.cookie, { names: [netns.name] }));
      const all = () => live.map((netns) => target(netns.cookie, second, [netns.value, 1, 0]));
      const open = async () => {
        const firstOffset = { seconds: 1_790_000_000 + boot * 1000, nanos: 0 };
        const opened = await run.collector(String(sessions++).padStart(32, '0')).open(identity(), `boot-${boot}`, { firstOffset });
        return opened.say({ samples: { layouts: [layout], targets: all(), full: true, end: true } });
      };
      let collector = await open();
      let counted = 0;
      for (const step of drawn) {
        second++;
        if (step.kind === 'count') {
          live[step.netns].value += step.by;
          counted += step.by;
          await collector.read(target(live[step.netns].cookie, second, [live[step.netns].value, 1, 0]));
        } else if (step.kind === 'restart') collector = await open();
        else if (step.kind === 'boot') {
          boot++;
          for (const netns of live) netns.value = 0;
          collector = await open();
        } else if (step.kind === 'replace') {
          const gone = live[step.netns];
          if (step.told) await collector.read(target(gone.cookie, second, [gone.value, 1, 0], { last: true }));
          Object.assign(gone, { cookie: cookie++, value: 0 });
          await collector.say({ identity: { netns: identity() } });
          await collector.read(target(gone.cookie, second, [0, 1, 0]));
        } else if (step.kind === 'rename') {
          const name = `n${step.to}`;
          if (live.some((netns) => netns.name === name)) continue;
          live[step.netns].name = name;
          await collector.say({ identity: { netns: identity() } });
        } else if (step.kind === 'full') {
          await collector.say({ samples: { layouts: [layout], targets: all(), full: true, end: true } });
        } else await run.ticks(step.seconds);
      }
      await run.ticks(65);
      expect(run.totals.faults).toEqual([]);
      expect(run.totals.increase(retrans), 'an increment that nobody counted').toBeLessThanOrEqual(counted);
      expect(run.totals.untold(), 'a keyframe that forgets a series').toEqual([]);
      const { values, metricBatches } = run.partition;
      const restarted = await restartedAt(values, cutAt % values.length);
      expect(restarted.map(hex), 'what a restored state publishes').toEqual(metricBatches.map(hex));
    }),
    { numRuns: 200 },
  );
});
