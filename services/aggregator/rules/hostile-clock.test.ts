import { expect, test } from 'vitest';
import { atOnce } from '../../../core/pieces.ts';
import { batchOf, netnsOf, podOf, rawOf, reset, TestPartition, tickOf } from '../test-stream.ts';
import { ruleSetOf } from './language/load-rules.ts';
import type { NodeRules } from './node-rules.ts';
import { ruleSet, TestEngine } from './test-engine.ts';
import { testRule } from './test-rule.ts';

const identity = { netns: [netnsOf(4101)], pods: [podOf('web-0', 4101)], nodeCgroups: [1] };
const appendedMs = 1_790_000_000_000;

/** A stream of a node whose clock is off, with resets for 10 s. */
function streamOf(seconds: number, bootS: number): Uint8Array[] {
  const offset = { seconds, nanos: 0 };
  const keyframe = { nextItem: 0, part: 0, parts: 1, bootId: 'b', bootNs: bootS * 1e9, firstOffset: offset, identity };
  const values = [rawOf({ seq: 1, keyframe }, { appendedMs })];
  for (let second = 0; second < 10; second++) {
    const ts = (of: number): number => Math.floor((bootS + second + (of % 3) / 3) * 1e9);
    const batch = { ...batchOf(second * 3, 3, (of) => reset({ ts: ts(of) })), clockOffset: offset };
    values.push(rawOf({ seq: second + 2, batch }, { appendedMs }), tickOf(second, appendedMs + second * 1000));
  }
  return values;
}

test.each([
  ['an offset of 8.7e12 s', 8.7e12, 1000, 0],
  ['an offset of 2^53 - 1 s', 2 ** 53 - 1, 1000, 0],
  ['a clock that reaches the year 2262', 9_223_372_035 - 1003, 1000, 1],
  ['an uptime of 200 days', 1_790_000_000 - 17_280_000, 17_280_000, 1],
])('rules over a node with %s end, and what they find can be written', async (_, seconds, bootS, found) => {
  const partition = await new TestPartition({ rules: ruleSetOf([testRule()]) }).feed(...streamOf(seconds, bootS));
  const findings = partition.lines
    .map((line) => JSON.parse(line) as { event: { kind: string } })
    .filter(({ event }) => event.kind === 'alert');
  expect(findings).toHaveLength(found);
  expect(partition.refused.length > 0).toBe(found === 0);
});

test.each([2 ** 53, Number.POSITIVE_INFINITY, Number.NaN])(
  'a domain that is told second %d evaluates no more than it remembers',
  (second) => {
    const { engine } = new TestEngine(ruleSet(testRule())).record(1);
    const { observed } = engine.nodes.get('node1') as NodeRules;
    atOnce(observed.advance(1_790_000_000));
    atOnce(observed.advance(second));
    expect(observed.evaluatedS).toBeLessThanOrEqual(9_223_372_035);
    atOnce(observed.advance(second));
  },
);
