import fc from 'fast-check';
import { expect, test } from 'vitest';
import { atOnce } from '../../../core/pieces.ts';
import { netnsOf, podOf } from '../test-stream.ts';
import type { RecordGroup, Rule, Signal } from './rule.ts';
import { bootS, ruleSet, TestEngine } from './test-engine.ts';
import { testRule } from './test-rule.ts';

function records(name: string, windowS: number, more: Partial<Signal> = {}): Rule['signals'][number] {
  const input = { kind: 'record', probe: 1, eventsOnly: false, value: undefined, where: undefined, by: undefined } as const;
  const signal: Signal = { key: name, input, aggregation: 'count', windowS, minVolume: 0, absent: 'zero', scope: 'entity', ...more };
  return { name, unit: undefined, signal };
}

test('a finding opens once it held for `for` and `settle`, and resolves once it did not for `keep_firing_for`', () => {
  const { told, transitions } = new TestEngine(ruleSet(testRule())).record(10.5).until(60);
  // The record is in the window of 10 s up to second 19; settle 2; keep 5.
  expect(told).toEqual(['12 1 opened 2', '24 2 resolved 2']);
  expect(transitions[0]).toMatchObject({
    message: 'shop/web-0: 1 resets',
    values: [['resets', 1]],
    samples: [expect.stringMatching(/-0$/)],
  });
  expect(transitions[0].anomalyId).toBe(transitions[1].anomalyId);
});

test('a second is evaluated when the node is two seconds further, whoever moves it', () => {
  const engine = new TestEngine(ruleSet(testRule({ settleS: 0 }))).record(10.5).until(11.99);
  expect(engine.told).toEqual([]);
  expect(engine.record(12, { net: 4101 }).told).toEqual(['10 1 opened 2']);
});

test('each Pod, namespace and the node itself has findings of its own', () => {
  const engine = new TestEngine(ruleSet(testRule({ settleS: 0 })));
  for (const net of [4100, 4101, 4200, 1]) engine.record(10, { net });
  engine.record(10, { net: 999 }).until(13);
  expect(engine.transitions.map(({ message }) => message)).toEqual([
    'node1: 1 resets',
    'shop/web-0: 1 resets',
    'shop/web-1: 1 resets',
    'ns-4200: 1 resets',
  ]);
  expect(new Set(engine.transitions.map(({ anomalyId }) => anomalyId)).size).toBe(4);
  expect(engine.engine.counters.unidentified).toBe(1);
});

test('what is explained by a finding on the node or the entity says so, later, too', () => {
  const cause = testRule({ id: 'cause', entity: 'node', signals: [records('n', 20)], settleS: 0 });
  const effect = testRule({ id: 'effect', signals: [records('e', 30)], causedBy: ['cause'], settleS: 0 });
  const engine = new TestEngine(ruleSet(cause, effect)).record(10).until(14).record(15, { net: 1 }).until(18);
  const told = engine.transitions.filter(({ rule }) => rule.id === 'effect' && engine.transitions.length > 0);
  expect(told.filter(({ entity }) => entity.kind === 'pod').map(({ atS, action, causedBy }) => [atS - bootS, action, causedBy])).toEqual([
    [10, 'opened', []],
    [15, 'updated', ['cause']],
  ]);
});

test('beyond its limit a rule opens no more, and counts each once', () => {
  const engine = new TestEngine(ruleSet(testRule({ maxActive: 1, settleS: 0 })))
    .record(10)
    .record(10, { net: 4101 })
    .record(10, { net: 4102 });
  engine.until(15);
  expect(engine.told).toEqual(['10 1 opened 2']);
  expect(engine.engine.counters.evictions).toEqual({ 'some-resets': 2 });
  // One that goes makes room for one that still holds.
  engine.record(16, { net: 4101 }).until(60);
  expect(engine.told).toEqual(['10 1 opened 2', '24 2 resolved 2', '24 1 opened 2', '30 2 resolved 2']);
});

test('a node that is silent resolves what is open, and goes on when it comes back', () => {
  const engine = new TestEngine(ruleSet(testRule())).record(10).until(15);
  for (let second = 0; second <= 16; second++) atOnce(engine.engine.tick((bootS + 100 + second) * 1000));
  expect(engine.told).toEqual(['12 1 opened 2', '115 2 resolved 2']);
  expect(engine.transitions[1].reason).toBe('NO_DATA');
  engine.engine.heard(engine.state);
  for (let second = 16; second <= 30; second++) engine.until(second);
  expect(engine.told).toEqual(['12 1 opened 2', '115 2 resolved 2', '16 1 opened 2', '24 2 resolved 2']);
});

test('a Pod that ended resolves what is open without waiting', () => {
  const engine = new TestEngine(ruleSet(testRule({ keepFiringForS: 100 }))).record(10).until(15);
  engine.engine.keyframe(engine.state);
  engine.state.identity.learn({ pods: [podOf('web-0', 4100, { toBootNs: 14e9 })], netns: [netnsOf(4100, { toBootNs: 14e9 })] }, 15e9);
  engine.until(40);
  expect(engine.told).toEqual(['12 1 opened 2', '20 2 resolved 2']);
  expect(engine.transitions[1].reason).toBe('ENTITY_GONE');
});

test('annotations of a Pod set params; what is no number is counted', () => {
  const rule = testRule({
    params: [{ name: 'most', default: 0 }],
    when: [{ severity: 2, condition: (slots) => slots[0] > slots[1] }],
    settleS: 0,
  });
  const engine = new TestEngine(ruleSet(rule));
  const annotations = [{ key: 'some-resets.most', value: '5' }];
  engine.state.identity.learn(
    { pods: [podOf('web-0', 4100, { annotations: Object.fromEntries(annotations.map(({ key, value }) => [key, value])) })] },
    0,
  );
  engine.record(10).record(10, { net: 4101 }).until(13);
  expect(engine.transitions.map(({ entity }) => entity.pod)).toEqual(['web-1']);
  expect(engine.engine.explain('some-resets', 'shop/web-0')?.params).toEqual([{ name: 'most', value: 5, from: 'annotation' }]);
});

test('items that were lost make a finding less sure', () => {
  const engine = new TestEngine(ruleSet(testRule())).record(10);
  engine.engine.lost(engine.state, 1);
  expect(engine.until(15).transitions[0].confidence).toBe(0.35);
});

test('other rules keep what did not change, and end what did', () => {
  const rule = testRule();
  const other = testRule({ id: 'other', signals: [records('o', 20)] });
  const engine = new TestEngine(ruleSet(rule, other)).record(10).until(15);
  atOnce(engine.engine.replace(ruleSet(testRule({ id: 'new' }), rule)));
  engine.until(40);
  expect(engine.transitions.map(({ rule: { id }, atS, action, reason }) => [id, atS - bootS, action, reason])).toEqual([
    ['some-resets', 12, 'opened', undefined],
    ['other', 12, 'opened', undefined],
    ['other', 13, 'resolved', 'RULE_CHANGED'],
    ['new', 16, 'opened', undefined],
    ['new', 24, 'resolved', 'CONDITION_ENDED'],
    ['some-resets', 24, 'resolved', 'CONDITION_ENDED'],
  ]);
});

test('far ends and the last events of the records are named, the most frequent first', () => {
  const engine = new TestEngine(ruleSet(testRule({ settleS: 0 })));
  engine.engine.keyframe(engine.state);
  for (let index = 0; index < 12; index++)
    engine.record(10 + index / 100, { daddr: [10, 244, 0, index % 4 === 0 ? 2 : 1] }, index % 2 === 0);
  const [{ peers, samples }] = engine.until(13).transitions;
  expect(peers.map(({ label, count }) => [label, count])).toEqual([
    ['shop/web-1', 9],
    ['shop/web-2', 3],
  ]);
  expect(samples.map((id) => id.split('-')[1])).toEqual(['2', '4', '6', '8', '10']);
});

const bySeverity: Rule['when'] = [
  { severity: 3, condition: (slots) => slots[0] > 8 },
  { severity: 2, condition: (slots) => slots[0] > 4 },
  { severity: 1, condition: (slots) => slots[0] > 2 },
];
const byPeer: readonly RecordGroup[] = [{ name: 'peer', of: 'peer' }];
const byPeerAndPort: readonly RecordGroup[] = [...byPeer, { name: 'port', of: ({ dport }) => `port ${dport % 3}` }];
const busy = ruleSet(
  testRule({ id: 'a', signals: [records('a', 5)], when: bySeverity, forS: 2, settleS: 1, keepFiringForS: 3, causedBy: ['b'] }),
  testRule({
    id: 'b',
    signals: [records('b', 12, { scope: 'node' })],
    entity: 'node',
    forS: 0,
    settleS: 0,
    keepFiringForS: 2,
    maxActive: 1,
  }),
  testRule({
    id: 'c',
    signals: [
      records('c', 9, {
        input: { kind: 'record', probe: 1, eventsOnly: true, value: undefined, where: undefined, by: byPeer },
      }),
      records('d', 9, { input: { kind: 'record', probe: 1, eventsOnly: true, value: undefined, where: undefined, by: byPeerAndPort } }),
    ],
    maxActive: 2,
    settleS: 0,
    summary: { source: '', render: ({ by, peer }) => `${by(0)} ${by(1)} ${peer}` },
  }),
);
const op = fc.record({
  stepMs: fc.integer({ min: 0, max: 1200 }),
  backMs: fc.integer({ min: 0, max: 3000 }),
  net: fc.constantFrom(4100, 4100, 4100, 4101, 4102, 4200, 1),
  far: fc.integer({ min: 0, max: 40 }),
  isEvent: fc.boolean(),
});

test('a checkpoint at any moment, or a reload of the same rules, changes nothing about what is found', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 80 }), fc.array(fc.nat(80), { maxLength: 4 }), fc.nat(80), (ops, restarts, reload) => {
      const run = (disturbed: boolean): unknown[] => {
        const engine = new TestEngine(busy);
        engine.engine.keyframe(engine.state);
        let now = 100;
        ops.forEach(({ stepMs, backMs, net, far, isEvent }, index) => {
          now += stepMs / 1000;
          engine.until(now);
          if (disturbed && restarts.includes(index)) engine.restart();
          if (disturbed && index === reload) atOnce(engine.engine.replace(busy));
          engine.record(now - backMs / 1000, { net, daddr: [10, 244, 0, far], dport: 80 + backMs }, isEvent);
        });
        engine.until(now + 60);
        return engine.transitions.map(({ rule, ...rest }) => ({ ...rest, rule: rule.id }));
      };
      expect(run(true)).toEqual(run(false));
    }),
    { numRuns: 150 },
  );
});
