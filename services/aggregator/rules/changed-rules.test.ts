import { expect, test } from 'vitest';
import type { OutputEnd } from '../event-output.ts';
import { batchOf, netnsOf, podOf, rawOf, reset, TestPartition, tickOf } from '../test-stream.ts';
import type { Transition } from './finding.ts';
import { ruleSetOf } from './language/load-rules.ts';
import type { RuleSet } from './rule.ts';
import { testRule } from './test-rule.ts';

const unixS = 1_790_000_000;
const bootS = 1000;
const firstOffset = { seconds: unixS - bootS, nanos: 0 };
const identity = { netns: [netnsOf(4101)], pods: [podOf('web-0', 4101)], nodeCgroups: [1] };
const some = ruleSetOf([testRule()]);
const none = ruleSetOf([]);

/** Three resets a second for 25 s, then none; 180 messages. */
const messages = ((): Uint8Array[] => {
  const at = (second: number) => ({ appendedMs: (unixS + second) * 1000 });
  const values = [rawOf({ seq: 1, keyframe: { nextItem: 0, part: 0, parts: 1, bootId: 'b', firstOffset, identity } }, at(0))];
  for (let second = 0; second < 60; second++) {
    const batch = batchOf(second * 3, second < 25 ? 3 : 0, (item) => reset({ ts: (bootS + second) * 1e9 + item }));
    const nextItem = Math.min(second + 1, 25) * 3;
    values.push(
      rawOf({ seq: 2 * second + 2, batch: { ...batch, firstItem: Math.min(second, 25) * 3, clockOffset: firstOffset } }, at(second)),
    );
    values.push(
      rawOf({ seq: 2 * second + 3, heartbeat: { bootNs: (bootS + second) * 1e9 + 5e8, clockOffset: firstOffset, nextItem } }, at(second)),
    );
    values.push(tickOf(second, (unixS + second) * 1000));
  }
  return values;
})();

interface Document {
  readonly event: { readonly id: string; readonly kind: string; readonly action: string; readonly reason?: string };
}

const documentsOf = ({ lines }: TestPartition): Document[] => lines.map((line) => JSON.parse(line) as Document);
const eventsOf = (partition: TestPartition) => documentsOf(partition).filter(({ event }) => event.kind !== 'alert');
const findingsOf = (partition: TestPartition) => documentsOf(partition).filter(({ event }) => event.kind === 'alert');

/** A run that is killed with the topic at `lines` documents, and one that goes on with other rules from its checkpoint. */
async function crash(rules: { before: RuleSet; after: RuleSet }, checkpointAt: number, killedAt: number, lines = Number.POSITIVE_INFINITY) {
  const before = new TestPartition({ rules: rules.before });
  await before.feed(...messages.slice(0, checkpointAt));
  const snapshot = structuredClone(before.state.snapshot());
  const blocks: Uint8Array[] = [];
  for await (const block of before.state.blocks()) blocks.push(block);
  const written = before.lines.length;
  await before.feed(...messages.slice(checkpointAt, killedAt));
  for (const column of [before.lines, before.origins, before.numbers]) column.length = Math.min(column.length, lines);
  const end = before.origins.at(-1);
  const silentUntil: OutputEnd | undefined = end && { ...end, nextEvent: before.lines.length };
  const after = new TestPartition({ rules: rules.after, ...(silentUntil && { silentUntil }) });
  after.state.restore(snapshot, blocks);
  const held = documentsOf(before).slice(written);
  if (after.state.rules.isChanged)
    after.steps.output.knows(new Set(held.filter(({ event }) => event.kind === 'alert').map(({ event }) => event.id)));
  await after.feed(...messages.slice(checkpointAt));
  return { before, after };
}

function expectExactlyOnce(before: TestPartition, after: TestPartition): void {
  const ids = [...eventsOf(before), ...eventsOf(after)].map(({ event }) => event.id);
  expect(ids).toHaveLength(75);
  expect(new Set(ids).size).toBe(75);
  const numbers = [...before.numbers, ...after.numbers];
  expect(numbers).toEqual(numbers.map((_, index) => index));
  const origins = [...before.origins, ...after.origins];
  for (const [index, { rawOffset, ordinal }] of origins.entries()) {
    const last = origins[index - 1] ?? { rawOffset: -1, ordinal: 0 };
    expect(rawOffset > last.rawOffset || (rawOffset === last.rawOffset && ordinal > last.ordinal)).toBe(true);
  }
}

test('a finding whose rule is gone at a start behind a crash is resolved once, behind what the topic holds', async () => {
  const { before, after } = await crash({ before: some, after: none }, 20, 40);
  expect(findingsOf(before).map(({ event }) => event.action)).toEqual(['anomaly-opened']);
  expect(findingsOf(after).map(({ event }) => event)).toMatchObject([{ action: 'anomaly-resolved', reason: 'RULE_CHANGED' }]);
  expect(after.origins[0].rawOffset).toBe((before.origins.at(-1)?.rawOffset ?? 0) + 1);
  expectExactlyOnce(before, after);
});

test('what a rule that is new at such a start finds in the replay is told behind it, and no number is passed over', async () => {
  const { before, after } = await crash({ before: none, after: some }, 2, 40);
  expect(findingsOf(before)).toEqual([]);
  expect(findingsOf(after).map(({ event }) => event.action)).toEqual(['anomaly-opened', 'anomaly-resolved']);
  expectExactlyOnce(before, after);
});

test.each([
  [some, some, 2],
  [some, none, 1],
  [none, some, 2],
])('killed at any place of its output, under these rules or others, every event is there once', async (one, other, most) => {
  for (let lines = 8; lines < 60; lines += 4) {
    const { before, after } = await crash({ before: one, after: other }, 7, 61, lines);
    expectExactlyOnce(before, after);
    const ids = [...findingsOf(before), ...findingsOf(after)].map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeLessThanOrEqual(most);
  }
});

test('however many findings a message has, events have the ordinals that they have without them', async () => {
  const storm = (count: number) => {
    const partition = new TestPartition();
    const { rules } = partition.state;
    const entity = { kind: 'pod', node: 'node1', namespace: 'shop', pod: 'w', uid: 'u', name: '', cookie: 1, inode: 1 } as const;
    const told = {
      rule: testRule(),
      entity,
      number: 1,
      action: 'opened',
      severity: 2,
      startS: unixS,
      atS: unixS,
      reason: undefined,
    } as const;
    const empty = { message: '', values: [], by: [], evidence: [], confidence: 1, causedBy: [], samples: [], peers: [] };
    rules.record = (_session, _record, _ends, item) => {
      for (let index = 0; item === 1 && index < count; index++) {
        const transition: Transition = { ...told, ...empty, anomalyId: index.toString(16).padStart(16, '0') };
        rules.onTransition(transition);
      }
    };
    return partition.feed(rawOf({ seq: 1, keyframe: { nextItem: 0, identity } }), rawOf({ seq: 2, batch: batchOf(0, 4) }));
  };
  const placesOf = (partition: TestPartition) =>
    partition.origins.filter((_, index) => documentsOf(partition)[index].event.kind !== 'alert').map(({ ordinal }) => ordinal);
  const [many, without] = [await storm(5000), await storm(0)];
  expect(findingsOf(many)).toHaveLength(5000);
  const places = new Set(many.origins.map(({ ordinal }) => ordinal));
  expect(places.size).toBe(5004);
  expect(many.parsed.filter((document) => 'source' in document)).toHaveLength(4);
  expect(new Set(placesOf(without)).size).toBe(4);
  expect(without.origins.every(({ ordinal }) => places.has(ordinal))).toBe(true);
}, 60_000);
