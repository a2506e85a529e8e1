import { expect, test } from 'vitest';
import { netnsOf, podOf, TestPartition } from '../test-stream.ts';
import type { FindingEntity } from './finding.ts';
import { ruleSetOf } from './language/load-rules.ts';
import { beyondFive, bootS, cycleSignal, places, TestNode } from './test-node.ts';

const rules = ruleSetOf([beyondFive(cycleSignal('gauge'))]);
const pods = [podOf('web-1', 4102)];

test('the place of a Pod that is gone goes to another without the gauges of a namespace that outlives its Pod', async () => {
  const partition = new TestPartition({ rules });
  const node = new TestNode(partition);
  await node.keyframe(0);
  await node.cycle(1, 4, true);
  const goOn = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at++) {
      if (at % 4 === 0) await node.cycle(at, undefined);
      await node.heartbeat(at);
      await node.tick(at);
    }
  };
  await goOn(2, 10);
  const own = partition.state.rules.nodes.get('node1')?.own;
  const indexOf = (is: (info: FindingEntity) => boolean): number | undefined =>
    own?.entities.all.find((entity) => entity !== undefined && is(entity.info))?.index;
  const gaugeOf = (is: (info: FindingEntity) => boolean): number | undefined => own?.values.values[(indexOf(is) ?? -1) * own.values.width];
  expect(gaugeOf(({ pod }) => pod === 'web-0')).toBe(4);
  await node.keyframe(10, { identity: { ...places, pods } });
  await goOn(11, 320);
  // Another Pod comes, and its own gauge is no more than that.
  const identity = { netns: [...places.netns, netnsOf(4103)], pods: [...pods, podOf('web-2', 4103)], nodeCgroups: [1] };
  await node.keyframe(320, { identity });
  const targets = [{ layout: 1, netns: 4103, bootNs: (bootS + 321) * 1e9, values: [3], all: true }];
  await node.say(321, { samples: { targets, end: true } });
  await goOn(322, 335);
  expect(gaugeOf(({ pod }) => pod === 'web-2')).toBe(3);
  // Once nobody knows the Pod any more, what lives on is the namespace's own.
  await goOn(335, 700);
  expect(indexOf(({ pod }) => pod === 'web-0')).toBeUndefined();
  expect(gaugeOf(({ cookie, kind }) => kind === 'netns' && cookie === 4101)).toBe(4);
  expect(gaugeOf(({ pod }) => pod === 'web-2')).toBe(3);
  expect(node.told).toEqual([]);
});
