import { expect, test } from 'vitest';
import { podOf } from '../test-stream.ts';
import type { RecordGroup, Rule } from './rule.ts';
import { bootS, ruleSet, TestEngine } from './test-engine.ts';
import { testRule } from './test-rule.ts';

const byPort: readonly RecordGroup[] = [{ name: 'port', of: ({ sport }) => sport }];

/** Counts records of 5 s by port, and names the worst one. */
function byPortRule(more: Partial<Rule> = {}): Rule {
  const [resets] = testRule().signals;
  const input = { kind: 'record', probe: 1, eventsOnly: false, value: undefined, where: undefined, by: byPort } as const;
  return testRule({
    signals: [{ ...resets, signal: { ...resets.signal, key: 'by port', windowS: 5, input } }],
    named: [0],
    summary: { source: '', render: ({ by }) => `port ${by(0)}` },
    ...more,
  });
}

/** Counts records of another probe. */
function signalOfProbe(probe: number): Rule['signals'][number] {
  const [resets] = testRule().signals;
  const input = { kind: 'record', probe, eventsOnly: false, value: undefined, where: undefined, by: undefined } as const;
  return { ...resets, signal: { ...resets.signal, key: `probe ${probe}`, input } };
}

/** Ports of a record each second from 10 on. */
function told(engine: TestEngine, ports: readonly number[]): string[] {
  for (const [index, sport] of ports.entries()) engine.until(10 + index).record(10 + index, { sport });
  engine.until(10 + ports.length + 30);
  return engine.transitions.map(({ atS, action, message }) => `${atS - bootS} ${action} ${message}`);
}

const times = (count: number, port: number): number[] => new Array<number>(count).fill(port);

test('a finding whose worst group is another for good says so, once', () => {
  expect(told(new TestEngine(ruleSet(byPortRule())), [...times(6, 80), ...times(30, 81)])).toEqual([
    '12 opened port 80',
    '28 updated port 81',
    '54 resolved port 81',
  ]);
});

test('a group that passes, or groups that change places, are no news', () => {
  const passing = [...times(6, 80), ...times(6, 81), ...times(20, 80)];
  const changing = Array.from({ length: 40 }, (_, index) => (Math.floor(index / 6) % 2 === 0 ? 80 : 81));
  for (const ports of [passing, changing]) {
    const steps = told(new TestEngine(ruleSet(byPortRule())), ports);
    expect(steps.map((step) => step.split(' ')[1])).toEqual(['opened', 'resolved']);
  }
});

test('while its condition no longer holds, a finding is not renamed by what is left', () => {
  const rule = byPortRule({ keepFiringForS: 30, when: [{ severity: 2, condition: (slots) => slots[0] > 1 }] });
  const engine = new TestEngine(ruleSet(rule));
  for (let at = 10; at < 16; at++) engine.until(at).record(at, { sport: 80 });
  // One in each window.
  for (let at = 17; at < 60; at += 5) engine.until(at).record(at, { sport: 81 });
  engine.until(60);
  expect(engine.transitions.map(({ action }) => action)).toEqual(['opened', 'resolved']);
  expect(engine.transitions.at(-1)?.by).toEqual([['resets', '80']]);
});

test('what the sentence does not name changes nothing', () => {
  const rules = ruleSet(byPortRule({ named: [] }));
  expect(told(new TestEngine(rules), [...times(6, 80), ...times(30, 81)]).length).toBe(2);
});

test('the end of a finding names what it named last, over a checkpoint and a change of its rule', () => {
  const engine = new TestEngine(ruleSet(byPortRule()));
  engine.engine.keyframe(engine.state);
  for (let at = 10; at < 14; at++) engine.until(at).record(at, { sport: 80, daddr: [10, 244, 0, 1] });
  engine.restart().until(60);
  const [opened, resolved] = engine.transitions;
  expect(resolved).toMatchObject({ action: 'resolved', by: [['resets', '80']], peers: opened.peers });
  expect(opened.peers.map(({ label }) => label)).toEqual(['shop/web-1']);
  for (let at = 70; at < 74; at++) engine.until(at).record(at, { sport: 81 });
  engine.until(75).restart(ruleSet(byPortRule({ version: 'sha256:0' })));
  expect(engine.transitions.at(-1)).toMatchObject({
    reason: 'RULE_CHANGED',
    by: [['resets', '81']],
    peers: [{ label: expect.any(String) as string }],
  });
});

test('the sentence of the end names what was named last, over a checkpoint, though nothing is left in the windows', () => {
  const engine = new TestEngine(ruleSet(byPortRule({ keepFiringForS: 10 })));
  for (let at = 10; at < 14; at++) engine.until(at).record(at, { sport: 80 });
  engine.until(20).restart().until(60);
  expect(engine.transitions.map(({ action, message }) => `${action} ${message}`)).toEqual(['opened port 80', 'resolved port 80']);
});

test('a cause that is found when nothing holds any more does not take names away', () => {
  const cause = testRule({ id: 'cause', signals: [signalOfProbe(2)], keepFiringForS: 0, settleS: 0 });
  const engine = new TestEngine(ruleSet(cause, byPortRule({ keepFiringForS: 20, causedBy: ['cause'] })));
  for (let at = 10; at < 14; at++) engine.until(at).record(at, { sport: 80 });
  engine.until(24).record(24, { probe: 2 }).until(80);
  const told = engine.transitions.filter(({ rule }) => rule.id !== 'cause').map(({ action, message, by }) => [action, message, by]);
  expect(told).toEqual(['opened', 'updated', 'resolved'].map((action) => [action, 'port 80', [['resets', '80']]]));
});

test('an annotation that is changed counts from the next second on', () => {
  const rule = testRule({
    params: [{ name: 'most', default: 1 }],
    when: [{ severity: 2, condition: (slots) => slots[0] > slots[1] }],
    keepFiringForS: 0,
    settleS: 0,
  });
  const engine = new TestEngine(ruleSet(rule)).record(10).record(10).record(10).until(14);
  const annotate = (most: string): void => {
    engine.state.identity.learn({ pods: [podOf('web-0', 4100, { annotations: { 'some-resets.most': most } })] }, 14e9);
    engine.engine.podsTold(engine.state);
  };
  annotate('5');
  engine.until(15);
  annotate('2');
  engine.until(17);
  // The window of 10 s holds the three of second 10 all the time.
  expect(engine.told).toEqual(['10 1 opened 2', '13 2 resolved 2', '14 1 opened 2']);
});
