import { expect, test } from 'vitest';
import { netnsOf, podOf, TestPartition } from '../test-stream.ts';
import { ruleSetOf } from './language/load-rules.ts';
import type { Signal } from './rule.ts';
import { TestEngine } from './test-engine.ts';
import { beyondFive, cycleSignal, places, TestNode, unixS } from './test-node.ts';
import { testRule } from './test-rule.ts';

const resets: Signal = (testRule().signals[0] as { signal: Signal }).signal;
const other = '02'.repeat(16);

test('a Pod that is gone has no new findings of what is left in its windows', async () => {
  const rule = testRule({ signals: [{ name: 'resets', unit: undefined, signal: { ...resets, windowS: 30, key: 'long' } }] });
  const node = new TestNode(new TestPartition({ rules: ruleSetOf([rule]) }));
  await node.keyframe(0);
  for (let at = 0; at < 20; at++) {
    await node.resets(at, 3);
    await node.heartbeat(at + 0.99);
  }
  const toBootNs = 1020 * 1e9;
  await node.say(20, { identity: { pods: [podOf('web-0', 4101, { toBootNs })], netns: [netnsOf(4101, { toBootNs })] } });
  for (let at = 20; at < 90; at++) await node.heartbeat(at);
  expect(node.told).toEqual(['2 opened', expect.stringMatching(/^2\d resolved ENTITY_GONE$/)]);
});

test('what a Pod told in its last second is found though it is gone by then, once', async () => {
  const node = new TestNode(new TestPartition({ rules: ruleSetOf([testRule()]) }));
  await node.keyframe(0);
  for (let at = 0; at < 20; at++) await node.heartbeat(at);
  await node.resets(20, 3);
  const toBootNs = 1021 * 1e9;
  await node.say(21, { identity: { pods: [podOf('web-0', 4101, { toBootNs })], netns: [netnsOf(4101, { toBootNs })] } });
  for (let at = 21; at < 90; at++) await node.heartbeat(at);
  expect(node.told).toEqual(['22 opened', expect.stringMatching(/^2\d resolved ENTITY_GONE$/)]);
});

test.each([false, true])('behind a silence a value that stands still is judged again; restart meanwhile: %s', async (isRestarted) => {
  const rules = ruleSetOf([beyondFive(cycleSignal('gauge'))]);
  const node = new TestNode(new TestPartition({ rules }));
  await node.keyframe(0);
  for (let at = 1; at < 10; at++) {
    await node.cycle(at, 9, at === 1);
    await node.heartbeat(at);
    await node.tick(at);
  }
  for (let at = 10; at < 40; at++) await node.tick(at);
  if (isRestarted) await node.restart(rules);
  for (let at = 10; at < 60; at++) {
    await node.cycle(at, 9);
    await node.heartbeat(at);
  }
  expect(node.told).toEqual(['3 opened', '23 resolved NO_DATA', '10 opened']);
});

test('behind a silence without data nothing opens for what was before it', async () => {
  const node = new TestNode(new TestPartition({ rules: ruleSetOf([testRule()]) }));
  await node.keyframe(0);
  for (let at = 0; at < 5; at++) {
    await node.resets(at, 3);
    await node.heartbeat(at + 0.99);
    await node.tick(at);
  }
  for (let at = 5; at < 70; at++) await node.tick(at);
  for (let at = 70; at < 90; at++) await node.heartbeat(at);
  expect(node.told).toEqual(['2 opened', '18 resolved NO_DATA']);
});

test('what a silence tells does not depend on a restart before it', async () => {
  const rules = ruleSetOf([testRule({ keepFiringForS: 100 })]);
  const lines: string[][] = [];
  for (const isRestarted of [false, true]) {
    const node = new TestNode(new TestPartition({ rules }));
    await node.keyframe(0);
    for (let at = 0; at < 10; at++) {
      await node.resets(at, 3);
      await node.tick(at);
    }
    if (isRestarted) await node.restart(rules);
    for (let at = 10; at < 40; at++) await node.tick(at);
    expect(node.told).toEqual(['2 opened', expect.stringMatching(/resolved NO_DATA$/)]);
    lines.push(node.partition.lines);
  }
  expect(lines[0]).toEqual(lines[1]);
});

test('a Pod that has the same uid behind a reboot lives, and its findings with it', async () => {
  const identity = (sandboxId: string, fromBootNs: number) => ({ ...places, pods: [podOf('web-0', 4101, { sandboxId, fromBootNs })] });
  const partition = new TestPartition({ rules: ruleSetOf([testRule()]) });
  const first = new TestNode(partition);
  await first.keyframe(0, { identity: identity('old', 900e9) });
  for (let at = 0; at < 5; at++) {
    await first.resets(at, 3);
    await first.heartbeat(at + 0.99);
  }
  for (let at = 5; at < 70; at++) await first.tick(at);
  const second = new TestNode(partition, { session: other, offset: { seconds: unixS + 60, nanos: 0 } });
  await second.keyframe(70, { bootId: 'c', bootS: 10, identity: identity('new', 5e9) });
  for (let at = 70; at < 200; at++) {
    await second.resets(at, 3, at - 60);
    await second.heartbeat(at, at - 60 + 0.99);
    await second.tick(at);
  }
  expect(second.told).toEqual(['2 opened', '20 resolved NO_DATA', '72 opened']);
});

test('a finding that found no room gets it when there is some, though its signals stand still', () => {
  const largest: Signal = {
    ...resets,
    key: 'largest',
    aggregation: 'max',
    absent: 'false',
    input: { kind: 'record', probe: 1, eventsOnly: false, value: () => 7, where: undefined, by: undefined },
  };
  const rules = ruleSetOf([testRule({ maxActive: 1, keepFiringForS: 0, signals: [{ name: 'resets', unit: undefined, signal: largest }] })]);
  const node = new TestEngine(rules);
  for (let at = 0; at < 60; at++) {
    if (at < 20) node.record(at, { net: 4100 });
    node.record(at + 0.5, { net: 4101 }).until(at + 0.9);
  }
  expect(node.transitions.map(({ action, entity }) => `${action} ${entity.pod}`)).toEqual([
    'opened web-0',
    'resolved web-0',
    'opened web-1',
  ]);
  expect(node.engine.counters.evictions).toEqual({ 'some-resets': 1 });
});
