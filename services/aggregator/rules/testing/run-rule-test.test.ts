import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Transition } from '../finding.ts';
import { ruleSetOf } from '../language/load-rules.ts';
import { readRuleFile } from '../language/rule-file.ts';
import { problemText } from '../language/rule-text.ts';
import type { RuleSet } from '../rule.ts';
import { type RuleTest, readRuleTests } from './rule-test.ts';
import { runRuleTest, transitionsOf } from './run-rule-test.ts';
import { simulatedSeconds } from './simulated-stream.ts';

const rule = `
id: resets
title: Resets
why: For the tests of tests.
entity: pod
params: { most: 2 }
signals:
  resets: { counter: snmp.Tcp.OutRsts, window: 4s, unit: per_second }
  seen: { record: tcpreset, where: action == "reset-sent", by: reason, window: 4s, absent: zero }
  worst: { record: tcpreset, by: peer, window: 4s }
when: { warning: resets > params.most, critical: resets > 10 * params.most }
for: 2s
settle: 0s
keep_firing_for: 5s
summary: "{pod} sent {resets}/s resets, {seen.by}, to {worst.by}"
evidence: [{ when: seen > 3, say: "{seen:integer} resets were seen", weight: 0.2 }]
runbook: docs/runbooks/resets.md
`;

const input = `
      - { counter: snmp.Tcp.OutRsts, from: 10, to: 20, per_second: 5 }
      - { record: tcpreset, action: reset-sent, reason: NO_SOCKET, peer: shop/client-0, from: 10, to: 20, every: 500ms }
      - { record: tcpreset, action: reset-received, at: 12, count: 3, late: 3s, peer: 203.0.113.7 }`;

function read(tests: string): { readonly rules: RuleSet; readonly tests: readonly RuleTest[] } {
  const file = readRuleFile('resets.yaml', `${rule}tests:\n${tests}`, { sampleIntervalS: 2 });
  const read = readRuleTests(file);
  expect(file.problems.map(problemText)).toEqual([]);
  return { rules: ruleSetOf(file.rule === undefined ? [] : [file.rule]), tests: read };
}

async function differencesOf(expected: string, more = ''): Promise<readonly string[]> {
  const { rules, tests } = read(
    `  - { name: a test, ${more} input: [${input.replace(/\n\s+- /g, ',').slice(1)}], expect: [${expected}] }\n`,
  );
  return (await runRuleTest(tests[0], rules)).differences;
}

const opened = 'at: 14, action: opened, severity: warning, pod: shop/web-0';
const resolved = '{ at: [20, 40], action: resolved, reason: CONDITION_ENDED }';

test('what is expected and found passes, with all that a transition says', async () => {
  const all = `${opened}, message: '/^shop.web-0 sent [0-9.]+.s resets, NO_SOCKET, to shop.client-0$/', by: { seen: NO_SOCKET, worst: shop/client-0 }, evidence: ["/resets were seen/"], confidence: 0.9, peers: [shop/client-0, 203.0.113.7], caused_by: []`;
  expect(await differencesOf(`{ ${all} }, ${resolved}`)).toEqual([]);
  expect(await differencesOf(`{ ${all} }, ${resolved}`, 'repeat: true,')).toEqual([]);
});

test.each([
  ['{ at: [1, 5], action: opened }', 'at: expected 1 to 5, found 14'],
  ['{ at: 14, action: resolved }', 'action: expected resolved, found opened'],
  ['{ at: 14, action: opened, severity: critical }', 'severity: expected critical, found warning'],
  ['{ at: 14, action: opened, pod: shop/web-1 }', 'entity: expected shop/web-1, found shop/web-0'],
  ['{ at: 14, action: opened, reason: NO_DATA }', 'reason: expected NO_DATA, found nothing'],
  ['{ at: 14, action: opened, message: nothing }', 'message: expected nothing, found shop/web-0 sent'],
  ['{ at: 14, action: opened, message: /refused/ }', 'message: expected /refused/, found shop/web-0 sent'],
  ['{ at: 14, action: opened, values: { resets_per_second: 99 } }', 'values resets_per_second: expected 99, found'],
  ['{ at: 14, action: opened, values: { reset: 1 } }', 'values reset: expected 1, found nothing'],
  ['{ at: 14, action: opened, by: { seen: TCP_ABORT } }', 'by seen: expected TCP_ABORT, found NO_SOCKET'],
  ['{ at: 14, action: opened, evidence: [] }', 'evidence: expected [], found ["'],
  ['{ at: 14, action: opened, confidence: 0.5 }', 'confidence: expected 0.5, found 0.9'],
  ['{ at: 14, action: opened, peers: [shop/other-0] }', 'peers: expected ["shop/other-0"], found ["shop/client-0"'],
  ['{ at: 14, action: opened, caused_by: [node-silent] }', 'caused_by: expected ["node-silent"], found []'],
])('%s is told as wrong', async (expected, message) => {
  const lines = await differencesOf(`${expected}, ${resolved}`);
  expect(lines.join('\n')).toContain(message);
  expect(lines).toHaveLength(2);
});

test('what is missing, and what is too much, is told', async () => {
  expect(await differencesOf('')).toEqual([
    expect.stringMatching(/^expected nothing more, found warning opened at 14 of shop\/web-0: /),
    expect.stringMatching(/^expected nothing more, found warning resolved at \d+ \(CONDITION_ENDED\)/),
  ]);
  const lines = await differencesOf(`{ ${opened} }, ${resolved}, { at: 50, action: opened, severity: critical }`);
  expect(lines).toEqual(['expected critical opened at 50, found nothing more']);
});

test('params of a test hold for it alone', async () => {
  const { rules, tests } = read(
    `  - { name: more, params: { most: 50 }, input: [{ counter: snmp.Tcp.OutRsts, from: 10, to: 20, per_second: 5 }], expect: [] }\n`,
  );
  expect((await runRuleTest(tests[0], ruleSetOf(rules.rules, { resets: tests[0].document.params }))).differences).toEqual([]);
  expect((await runRuleTest(tests[0], rules)).differences).not.toEqual([]);
});

function plain(transitions: readonly Transition[]): unknown {
  return transitions.map(({ rule: { id }, ...rest }) => ({ id, ...rest }));
}

test('however many messages come at once, the same is found, to the digit', async () => {
  const { rules, tests } = read(`  - name: a test\n    input:${input}\n    expect: []\n`);
  const seconds = [...simulatedSeconds(tests[0], rules)];
  const reference = plain(await transitionsOf(seconds, rules));
  expect(reference).toHaveLength(2);
  const messages = seconds.flat();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
      const fetches: Uint8Array[][] = [];
      for (let at = 0, turn = 0; at < messages.length; turn++) {
        const size = sizes[turn % sizes.length];
        fetches.push(messages.slice(at, at + size));
        at += size;
      }
      expect(plain(await transitionsOf(fetches, rules))).toEqual(reference);
    }),
    { numRuns: 15 },
  );
});
