import { expect, test } from 'vitest';
import type { ProbeGap } from '../../../proto/collect.ts';
import { netnsOf, podOf, TestPartition } from '../test-stream.ts';
import { ruleSetOf } from './language/load-rules.ts';
import type { Signal } from './rule.ts';
import { ruleSet, TestEngine } from './test-engine.ts';
import { beyondFive, cycleSignal, TestNode } from './test-node.ts';
import { testRule } from './test-rule.ts';

const tcpreset = 1;
const off: readonly ProbeGap[] = [{ probe: tcpreset, state: 'off' }];

/** What `rules explain` says of a rule's first signal. */
function signalOf(node: TestNode, ruleId = 'some-resets', entity = 'shop/web-0') {
  return node.partition.state.rules.explain(ruleId, entity)?.signals[0];
}

/** Resets of web-0 each second from 1 to 5, then whatever the gaps are from 6 to 39. */
async function withGaps(probeGaps: readonly ProbeGap[]): Promise<TestNode> {
  const node = new TestNode(new TestPartition({ rules: ruleSetOf([testRule({ keepFiringForS: 30 })]) }));
  await node.keyframe(0);
  for (let at = 1; at <= 5; at++) await node.resets(at, 3);
  for (let at = 6; at < 40; at++) {
    await node.heartbeat(at, undefined, probeGaps);
    if (at === 8) await node.restart(ruleSetOf([testRule({ keepFiringForS: 30 })]));
  }
  return node;
}

test.each<readonly [string, readonly ProbeGap[], string, RegExp | undefined]>([
  ['off', off, '34 resolved NO_DATA', /^the probe tcpreset is off; turn it on with: jitterscope probes enable tcpreset$/],
  [
    'failed',
    [{ probe: tcpreset, state: 'failed', cause: 'all of it: no BTF' }],
    '34 resolved NO_DATA',
    /cannot be attached: all of it: no BTF/,
  ],
  ['for others only', [{ probe: tcpreset, state: 'listed', netns: [4102] }], '34 resolved NO_DATA', /is off here/],
  ['for all but it', [{ probe: tcpreset, state: 'unlisted', netns: [4101] }], '34 resolved NO_DATA', /is off here/],
  ['for it only', [{ probe: tcpreset, state: 'listed', netns: [4101] }], '', undefined],
  ['for all but others', [{ probe: tcpreset, state: 'unlisted', netns: [4102] }], '', undefined],
  [
    'in part',
    [{ probe: tcpreset, state: 'degraded', cause: 'resets of closed ports: no kprobe' }],
    '',
    /does not see all: resets of closed ports/,
  ],
  ['another', [{ probe: 2, state: 'off' }], '', undefined],
])('a finding whose probe is turned off ends without data, and the rule says how to turn it on: %s', async (_, gaps, told, note) => {
  const node = await withGaps(gaps);
  expect(node.told.slice(1)).toEqual(told === '' ? [] : [told]);
  const signal = signalOf(node);
  expect(signal?.absent).toBe(told === '' ? undefined : 'PROBE_OFF');
  expect(signal?.note ?? '').toMatch(note ?? /^$/);
});

test('a probe that is on again is seen again', async () => {
  const node = await withGaps(off);
  for (let at = 40; at < 50; at++) {
    await node.heartbeat(at);
    await node.resets(at, 1);
  }
  expect(node.told.at(-1)).toBe('42 opened');
  expect(signalOf(node)?.absent).toBeUndefined();
});

test.each(['zero', 'false'] as const)('what one of two probes sees does not flap because the other is off: %s', async (absent) => {
  const [first] = testRule().signals;
  const { signal } = first;
  const other: Signal = { ...signal, key: 'others', absent, input: { ...signal.input, probe: 2 } as Signal['input'] };
  const near: Signal = { ...signal, windowS: 2 };
  const rule = testRule({
    signals: [
      { ...first, signal: near },
      { name: 'others', unit: undefined, signal: other },
    ],
    when: [{ severity: 2, condition: (slots) => slots[0] > 0 || slots[1] > 0 }],
    keepFiringForS: 30,
  });
  const node = new TestNode(new TestPartition({ rules: ruleSetOf([rule]) }));
  await node.keyframe(0);
  for (let at = 1; at < 120; at++) {
    if (at < 60 && at % 8 < 4) await node.resets(at, 1);
    await node.heartbeat(at + 0.9, undefined, [{ probe: 2, state: 'off' }]);
    await node.tick(at);
  }
  expect(node.told.map((text) => text.replace(/^\d+ /, ''))).toEqual([
    'opened',
    absent === 'zero' ? 'resolved CONDITION_ENDED' : 'resolved NO_DATA',
  ]);
});

test.each([false, true])('a Pod that has another namespace is seen there at once; restarted: %s', async (isRestarted) => {
  const [first] = testRule().signals;
  const others = { ...first, signal: { ...first.signal, key: 'others', input: { ...first.signal.input, probe: 2 } as Signal['input'] } };
  const rules = ruleSet(testRule({ settleS: 0 }), testRule({ id: 'others', signals: [others], when: [] }));
  const engine = new TestEngine(rules);
  engine.state.probeGaps = [{ probe: tcpreset, state: 'unlisted', netns: [4100], cause: '' }];
  engine.engine.keyframe(engine.state);
  for (let at = 10; at < 14; at++) engine.record(at);
  engine.until(16);
  engine.state.identity.learn({ pods: [podOf('web-0', 4300)], netns: [netnsOf(4300)] }, 16e9);
  // Nothing but this says it: what the first rule reads is as it was.
  engine.record(16.5, { net: 4300, probe: 2 });
  if (isRestarted) engine.restart();
  engine.until(30);
  expect(engine.told[0]).toMatch(/^15 1 opened/);
});

test('what only evidence reads ends nothing', async () => {
  const rules = ruleSetOf([testRule({ deciding: [] })]);
  const node = new TestNode(new TestPartition({ rules }));
  await node.keyframe(0);
  for (let at = 1; at <= 5; at++) await node.resets(at, 3);
  for (let at = 6; at < 30; at++) await node.heartbeat(at, undefined, off);
  expect(node.told.at(-1)).toMatch(/CONDITION_ENDED/);
});

/** Cycles at these seconds; the counter rises by 2 each second until `until`. */
async function cyclesAt(seconds: readonly number[], until: number, windowS = 10): Promise<TestNode> {
  const signal = cycleSignal('counter', { windowS });
  const node = new TestNode(new TestPartition({ rules: ruleSetOf([beyondFive(signal, { keepFiringForS: 4 })]) }));
  await node.keyframe(0);
  for (let at = 1; at <= (seconds.at(-1) ?? 0); at++) {
    if (seconds.includes(at)) await node.cycle(at, 1000 + 2 * Math.min(at, until), at === seconds[0]);
    await node.heartbeat(at + 0.9);
    await node.tick(at + 1);
  }
  return node;
}

const each = (from: number, to: number, step: number): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);

test('a finding does not come and go because its source is read late', async () => {
  // Every 2 s, then with two breaks, in which the machine is busy.
  const seconds = [...each(1, 31, 2), 43, 45, 47, ...each(60, 90, 2)];
  expect((await cyclesAt(seconds, 1000)).told.map((text) => text.split(' ')[1])).toEqual(['opened']);
  const ended = await cyclesAt([...seconds, ...each(92, 130, 2)], 90);
  expect(ended.told.map((text) => text.replace(/^\d+ /, ''))).toEqual(['opened', 'resolved CONDITION_ENDED']);
});

test('a source that is read more seldom than twice in a window says nothing, and the rule says why', async () => {
  const seldom = await cyclesAt(each(1, 121, 12), 1000);
  expect(seldom.told).toEqual([]);
  const signal = signalOf(seldom, 'some-resets');
  expect(signal?.absent).toBe('READ_LATE');
  expect(signal?.note).toMatch(/read each 12 s or later, too seldom for a window of 10 s/);
  expect((await cyclesAt(each(1, 121, 12), 1000, 24)).told.map((text) => text.split(' ')[1])).toEqual(['opened']);
});

test.each([
  ['one gap of 14 s', [...each(1, 31, 2), ...each(45, 99, 2)], 10, 12],
  ['one that is half the window', [...each(1, 31, 2), ...each(37, 99, 2)], 10, 15],
  ['an outage of 50 s, and one of 90 s behind a single cycle', [...each(1, 31, 2), 81, ...each(171, 199, 2)], 190, 80],
])('what rose in a gap between cycles is not what rose in a window: %s', async (_, seconds, windowS, limit) => {
  const rule = beyondFive(cycleSignal('counter', { windowS }), {
    when: [{ severity: 2, condition: (slots) => slots[0] > limit }],
    settleS: 0,
  });
  for (const restartS of [0, 47, 175]) {
    const node = new TestNode(new TestPartition({ rules: ruleSetOf([rule]) }));
    await node.keyframe(0);
    for (let at = 1; at <= 200; at++) {
      // One a second.
      if (seconds.includes(at)) await node.cycle(at, 1000 + at, at === seconds[0]);
      await node.heartbeat(at + 0.9);
      await node.tick(at + 1);
      if (at === restartS) await node.restart(ruleSetOf([rule]));
    }
    expect(node.told).toEqual([]);
  }
});

test('the rule says how long the gap in the readings was', async () => {
  const node = await cyclesAt([...each(1, 31, 2), 45, 47, 49], 1000);
  expect(signalOf(node)?.note).toMatch(/read each 14 s or later, too seldom for a window of 10 s/);
});

test('what rises between readings that are configured to be far apart is found', async () => {
  expect((await cyclesAt(each(1, 221, 20), 1000, 40)).told.map((text) => text.split(' ')[1])).toEqual(['opened']);
});

test('a source that is never read again ends its findings without data', async () => {
  const node = await cyclesAt([...each(1, 31, 2), 150], 1000);
  expect(node.told.map((text) => text.replace(/^\d+ /, ''))).toEqual(['opened', 'resolved NO_DATA']);
});

test('a finding that no longer holds stays until its source was read twice', async () => {
  const node = await cyclesAt([...each(1, 31, 2), ...each(41, 141, 10)], 41, 30);
  const [opened, resolved] = node.told;
  expect(opened).toMatch(/opened/);
  // It holds until 71, when the reading of 41 leaves the window; `keep_firing_for` alone would be 4 s.
  expect(Number(resolved?.split(' ')[0])).toBeGreaterThanOrEqual(88);
  expect(resolved).toMatch(/resolved CONDITION_ENDED/);
});
