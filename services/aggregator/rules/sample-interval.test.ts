import { expect, test } from 'vitest';
import { TestPartition } from '../test-stream.ts';
import { ruleSetOf } from './language/load-rules.ts';
import { readRuleFile } from './language/rule-file.ts';
import type { RuleSet } from './rule.ts';
import { bootS, TestNode } from './test-node.ts';

const text = `id: many
title: t
why: w
entity: pod
signals: { open: { counter: snmp.Tcp.CurrEstab, window: 10s } }
when: { warning: open > 5 }
keep_firing_for: 10s
summary: '{open}'
runbook: r
`;

function rulesAt(sampleIntervalS: number): RuleSet {
  const { rule } = readRuleFile('many.yaml', text, { sampleIntervalS });
  return ruleSetOf(rule === undefined ? [] : [rule]);
}

/** A gauge of web-0 that is 10 all the time, told once, and read each 2 s. */
async function readOn(node: TestNode, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at++) {
    const targets = [{ layout: 1, netns: 4101, bootNs: (bootS + at) * 1e9, values: [10], all: true }];
    const layouts = [{ id: 1, source: 'snmp', fields: ['Tcp.CurrEstab'] }];
    if (at === 1) await node.say(at, { samples: { layouts, targets, end: true, full: true } });
    else if (at % 2 === 1) await node.cycle(at, undefined);
    await node.heartbeat(at);
    await node.tick(at);
  }
}

test.each<[string, (node: TestNode, rules: RuleSet) => Promise<void> | void]>([
  ['start', (node, rules) => node.restart(rules)],
  ['reload', ({ partition }, rules) => void (partition.steps.rules.next = rules)],
])('behind a %s with a longer collector.sampleInterval a gauge that does not change is still known', async (_, change) => {
  const node = new TestNode(new TestPartition({ rules: rulesAt(2) }));
  await node.keyframe(0);
  await readOn(node, 1, 30);
  const [opened, ...more] = node.told;
  expect([opened.split(' ')[1], more]).toEqual(['opened', []]);
  await change(node, rulesAt(15));
  await readOn(node, 30, 90);
  expect(node.told.map((step) => step.replace(/^\d+ /, ''))).toEqual(['opened', 'resolved RULE_CHANGED', 'opened']);
  expect(node.partition.state.rules.explain('many', 'shop/web-0')).toMatchObject({ signals: [{ value: 10, absent: undefined }] });
});

test('an interval that lengthens no window changes no rule', async () => {
  const node = new TestNode(new TestPartition({ rules: rulesAt(2) }));
  await node.keyframe(0);
  await readOn(node, 1, 30);
  await node.restart(rulesAt(5));
  expect(node.partition.state.rules.isChanged).toBe(false);
  await readOn(node, 30, 60);
  expect(node.told).toHaveLength(1);
});
