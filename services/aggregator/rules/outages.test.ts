import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { metrics } from '../../../schema/record.gen.ts';
import { TestPartition } from '../test-stream.ts';
import { loadRules, ruleSetOf } from './language/load-rules.ts';
import { beyondFive, clockOffset, cycleSignal, TestNode } from './test-node.ts';
import { testRule } from './test-rule.ts';

const other = '02'.repeat(16);
const counterRules = ruleSetOf([beyondFive(cycleSignal('counter', { windowS: 24 }))]);

/** Cycles every 2 s from a second to another; the counter rises by so much each time. */
async function cycles(node: TestNode, [from, to]: readonly [number, number], value: number, rise: number): Promise<number> {
  let now = value;
  for (let at = from; at < to; at += 2) {
    await node.cycle(at, now, at === from);
    await node.heartbeat(at + 1);
    await node.tick(at + 1);
    now += rise;
  }
  return now;
}

test.each([
  [600, false],
  [8, true],
])('what rose while the collector was down for %i s counts as now: %s', async (downS, counts) => {
  const partition = new TestPartition({ rules: counterRules });
  const first = new TestNode(partition);
  await first.keyframe(0);
  const value = await cycles(first, [1, 41], 1000, 0);
  for (let at = 41; at < 41 + downS; at++) await first.tick(at);
  const back = 41 + downS;
  const second = new TestNode(partition, { session: other });
  await second.keyframe(back);
  // Within the outage, and then one each 20 s.
  await cycles(second, [back, back + 20], value + 30, 0);
  expect(second.told.length > 0).toBe(counts);
  await cycles(second, [back + 20, back + 60], value + 30, 0);
});

test('what rises behind an outage of the collector is found', async () => {
  const partition = new TestPartition({ rules: counterRules });
  const first = new TestNode(partition);
  await first.keyframe(0);
  await cycles(first, [1, 21], 1000, 0);
  const second = new TestNode(partition, { session: other });
  await second.keyframe(600);
  await cycles(second, [600, 640], 2000, 4);
  expect(second.told.map((text) => text.split(' ')[1])).toEqual(['opened']);
});

test('totals of a session that is read from its middle are no increments', async () => {
  for (const { seq, isFound } of [
    { seq: 5000, isFound: false },
    { seq: 0, isFound: true },
  ]) {
    const partition = new TestPartition({ rules: loadRules([fileURLToPath(new URL('../../../rules', import.meta.url))]) });
    partition.state.complete = false;
    const node = new TestNode(partition, { seq });
    for (let at = 0; at < 5; at++) {
      await node.heartbeat(at);
      await node.tick(at);
    }
    await node.keyframe(5, { counters: [{ net: 4101, metric: metrics.TCPRESET_SENT, bucket: 5, label: 0, value: 5000 }] });
    for (let at = 6; at < 40; at++) {
      if (at % 2 === 0) await node.say(at, { samples: { targets: [], counters: [], end: true, full: at === 6 } });
      await node.heartbeat(at);
      await node.tick(at);
    }
    expect(node.told.some((text) => text.includes('opened'))).toBe(isFound);
  }
});

test('when the clock of a node was an hour ahead, its rules go on with the session that is right', async () => {
  const partition = new TestPartition({ rules: ruleSetOf([testRule()]) });
  const ahead = new TestNode(partition, { offset: { ...clockOffset, seconds: clockOffset.seconds + 3600 } });
  await ahead.keyframe(0);
  for (let at = 0; at < 6; at++) {
    await ahead.resets(at, 3);
    await ahead.tick(at);
  }
  const right = new TestNode(partition, { session: other });
  await right.keyframe(10);
  for (let at = 10; at < 100; at++) {
    if (at > 40 && at < 50) await right.resets(at, 3);
    await right.heartbeat(at + 0.9);
    await right.tick(at);
  }
  const [opened, ended, ...rest] = right.told;
  expect([opened, ended]).toEqual(['3602 opened', expect.stringMatching(/^36\d\d resolved NO_DATA$/)]);
  expect(rest).toEqual(['43 opened', expect.stringMatching(/^[56]\d resolved CONDITION_ENDED$/)]);
});

test('a session that was left behind and is sent beside the one that lives does not turn its clock back', async () => {
  const partition = new TestPartition({ rules: ruleSetOf([testRule()]) });
  const left = new TestNode(partition);
  await left.keyframe(0);
  const lives = new TestNode(partition, { session: other });
  await lives.keyframe(600);
  for (let at = 600; at < 640; at++) {
    await lives.resets(at, 3);
    if (at % 10 === 0) await left.keyframe(at, { bootS: 1000 + at - 600 });
    await left.heartbeat(at, 1000 + at - 600);
    await lives.tick(at);
  }
  expect(lives.told).toEqual(['602 opened']);
});
