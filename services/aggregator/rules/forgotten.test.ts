import { expect, test } from 'vitest';
import { batchOf, netnsOf, podOf, rawOf, reset, TestPartition, tickOf } from '../test-stream.ts';
import { ruleSetOf } from './language/load-rules.ts';
import { testRule } from './test-rule.ts';

const unixS = 1_790_000_000;
const bootS = 1000;
const firstOffset = { seconds: unixS - bootS, nanos: 0 };
const rules = ruleSetOf([testRule()]);
const identity = { netns: [netnsOf(4101)], pods: [podOf('web-0', 4101)], nodeCgroups: [1] };

/** A session of a node that begins at a second, tells some resets, and goes on for some seconds. */
function sessionOf(number: number, second: number, resets: number, seconds: number, node = 'node1'): Uint8Array[] {
  const session = number.toString(16).padStart(32, '0');
  const at = (part: number): number => Math.floor((bootS + second + part) * 1e9);
  const place = (part: number) => ({ session, node, appendedMs: (unixS + second + part) * 1000 });
  const batch = { ...batchOf(0, resets, (of) => reset({ ts: at(of / resets) })), clockOffset: firstOffset };
  const values = [
    rawOf({ seq: 1, keyframe: { nextItem: 0, part: 0, parts: 1, bootId: 'b', firstOffset, identity } }, place(0)),
    rawOf({ seq: 2, batch }, place(1)),
  ];
  for (let part = 1; part <= seconds; part++) {
    values.push(rawOf({ seq: 2 + part, heartbeat: { bootNs: at(part), clockOffset: firstOffset, nextItem: resets } }, place(part)));
    values.push(tickOf(second + part, (unixS + second + part) * 1000));
  }
  return values;
}

interface Finding {
  readonly event: { readonly id: string; readonly kind: string; readonly action: string; readonly reason?: string };
  readonly jitterscope: { readonly anomaly: { readonly samples?: readonly string[] } };
}
const documentsOf = ({ lines }: TestPartition): Finding[] => lines.map((line) => JSON.parse(line) as Finding);
const findingsOf = (partition: TestPartition): Finding[] => documentsOf(partition).filter(({ event }) => event.kind === 'alert');

test('a node that the partition forgets leaves nothing in the rules: its findings are resolved', async () => {
  const partition = await new TestPartition({ rules }).feed(...sessionOf(1, 0, 9, 5));
  expect(findingsOf(partition).map(({ event }) => event.action)).toEqual(['anomaly-opened']);
  const { state } = partition;
  for (let other = 1; other < 10_000; other++) state.session(`other${other}`, '01'.repeat(16)).lastAppendedMs = 2 * unixS * 1000;
  expect([...state.rules.nodes.keys()]).toEqual(['node1']);
  await partition.feed(...sessionOf(1, 6, 0, 0, 'newest'));
  expect([...state.rules.nodes.keys()]).toEqual(['newest']);
  expect(findingsOf(partition).map(({ event }) => [event.action, event.reason])).toEqual([
    ['anomaly-opened', undefined],
    ['anomaly-resolved', 'NO_DATA'],
  ]);
  expect([...state.rules.open()]).toEqual([]);
});

test('sessions of which no event is kept are not remembered; the events that are named are those that were', async () => {
  const partition = new TestPartition({ rules });
  let second = 0;
  for (let number = 1; number <= 120; number++) {
    // Each tenth session is long enough for a finding to end: the next one begins another.
    const seconds = number % 10 === 0 ? 40 : 1;
    await partition.feed(...sessionOf(number, second, 3, seconds));
    second += seconds;
  }
  const ids = new Set(documentsOf(partition).map(({ event }) => event.id));
  const opened = findingsOf(partition).filter(({ event }) => event.action === 'anomaly-opened');
  expect(opened).toHaveLength(12);
  for (const { jitterscope } of opened) {
    expect(jitterscope.anomaly.samples).toHaveLength(5);
    expect(jitterscope.anomaly.samples?.filter((id) => !ids.has(id))).toEqual([]);
  }
  expect(new Set(opened.flatMap(({ jitterscope }) => jitterscope.anomaly.samples)).size).toBe(60);
  expect(partition.state.rules.nodes.get('node1')?.origins.length).toBeLessThan(20);
});

test('what the rules of several nodes know is found again by each', async () => {
  const nodes = ['node1', 'node2', 'node3'];
  const before = new TestPartition({ rules });
  for (const node of nodes) await before.feed(...sessionOf(1, 0, 3, 5, node));
  const blocks: Uint8Array[] = [];
  for await (const block of before.state.blocks()) blocks.push(block);
  const after = new TestPartition({ rules });
  after.state.restore(before.state.snapshot(), blocks);
  expect([...after.state.rules.open()].map(({ entity }) => entity.node)).toEqual(nodes);
  expect([...after.state.rules.open()]).toEqual([...before.state.rules.open()]);
});
