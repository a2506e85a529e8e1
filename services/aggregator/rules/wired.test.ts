import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Message } from '../../../core/bus/bus.ts';
import { type EmbeddedLog, openEmbeddedLog } from '../../../core/bus/embedded-log.ts';
import { createLog } from '../../../core/log.ts';
import { topics } from '../../../proto/bus.ts';
import { decodeEventBatch } from '../../../schema/event-batch.ts';
import { eventually } from '../../../test/lab/eventually.ts';
import { type CheckpointStore, fileCheckpoints } from '../checkpoint.ts';
import { type Aggregator, startAggregator } from '../main.ts';
import { batchOf, events, netnsOf, podOf, rawOf, reset, seriesOptions, TestPartition, tickOf } from '../test-stream.ts';
import { ruleSetOf } from './language/load-rules.ts';
import { explainPast } from './past.ts';
import type { RuleSet } from './rule.ts';
import { testRule } from './test-rule.ts';

const unixS = 1_790_000_000;
const bootS = 1000;
const firstOffset = { seconds: unixS - bootS, nanos: 0 };

/** A second of shop/web-0 with some resets: records, a heartbeat, a tick. */
function secondOf(second: number, resets: number, item: number): Uint8Array[] {
  const at = (part: number): number => Math.floor((bootS + second + part) * 1e9);
  const appendedMs = (unixS + second + 1) * 1000;
  const batch = { ...batchOf(item, resets, (of) => reset({ ts: at((of - item) / resets) })), clockOffset: firstOffset };
  return [
    ...(resets > 0 ? [rawOf({ seq: 2 + 2 * second, batch }, { appendedMs })] : []),
    rawOf({ seq: 3 + 2 * second, heartbeat: { bootNs: at(1), clockOffset: firstOffset, nextItem: item + resets } }, { appendedMs }),
    tickOf(second + 1, appendedMs),
  ];
}

/** A stream whose seconds have so many resets each. */
function streamOf(...resets: readonly number[]): Uint8Array[] {
  const identity = { netns: [netnsOf(4101)], pods: [podOf('web-0', 4101)], nodeCgroups: [1] };
  const keyframe = { nextItem: 0, part: 0, parts: 1, bootId: 'b', firstOffset, identity };
  const values = [rawOf({ seq: 1, keyframe }, { appendedMs: unixS * 1000 })];
  let item = 0;
  for (const [second, count] of resets.entries()) {
    values.push(...secondOf(second, count, item));
    item += count;
  }
  return values;
}

const seconds = (count: number, resets: number): number[] => Array.from({ length: count }, () => resets);
/** Resets for 10 s, then nothing for so long that all is over. */
const storm = streamOf(...seconds(10, 3), ...seconds(40, 0));
const one = ruleSetOf([testRule()]);

interface Document {
  readonly event: {
    readonly id: string;
    readonly kind: string;
    readonly action: string;
    readonly reason?: string;
    readonly start?: string;
  };
  readonly rule?: { readonly id: string };
}

const findingsOf = (lines: readonly string[]): Document[] =>
  lines.map((line) => JSON.parse(line) as Document).filter(({ event }) => event.kind === 'alert');

test('a rule finds what the records say, names the events it is about, and says when it is over', async () => {
  const { lines } = await new TestPartition({ rules: one }).feed(...storm);
  const [opened, resolved, ...more] = findingsOf(lines);
  expect(more).toEqual([]);
  expect(opened).toMatchObject({
    event: { action: 'anomaly-opened', start: `${new Date(unixS * 1000).toISOString().slice(0, 19)}.000000000Z` },
    kubernetes: { namespace: 'shop', pod: { name: 'web-0' } },
  });
  expect(resolved.event).toMatchObject({ action: 'anomaly-resolved', reason: 'CONDITION_ENDED', start: opened.event.start });
  const ids = new Set(lines.map((line) => (JSON.parse(line) as Document).event.id));
  const { samples } = (opened as unknown as { jitterscope: { anomaly: { samples: string[] } } }).jitterscope.anomaly;
  expect(samples).toHaveLength(5);
  expect(samples.filter((id) => !ids.has(id))).toEqual([]);
});

test('a snapshot at any message goes on as the whole does, findings and all', async () => {
  const rules = ruleSetOf([testRule(), testRule({ id: 'slow', forS: 6, signals: testRule().signals })]);
  const whole = await new TestPartition({ rules }).feed(...storm);
  expect(findingsOf(whole.lines)).toHaveLength(4);
  for (let cut = 0; cut <= storm.length; cut += 3) {
    const before = await new TestPartition({ rules }).feed(...storm.slice(0, cut));
    const blocks: Uint8Array[] = [];
    for await (const block of before.state.blocks()) blocks.push(block);
    const after = new TestPartition({ rules });
    after.state.restore(JSON.parse(JSON.stringify(before.state.snapshot())) as ReturnType<typeof before.state.snapshot>, blocks);
    await after.feed(...storm.slice(cut));
    expect([...before.lines, ...after.lines]).toEqual(whole.lines);
  }
});

test('a rule that is gone at a restart ends its finding, before anything else of the next message', async () => {
  const before = await new TestPartition({ rules: one }).feed(...storm.slice(0, 26));
  expect(findingsOf(before.lines)).toHaveLength(1);
  const blocks: Uint8Array[] = [];
  for await (const block of before.state.blocks()) blocks.push(block);
  const after = new TestPartition({ rules: ruleSetOf([]) });
  after.state.restore(before.state.snapshot(), blocks);
  await after.feed(...storm.slice(26));
  expect(findingsOf(after.lines).map(({ event }) => event)).toMatchObject([{ action: 'anomaly-resolved', reason: 'RULE_CHANGED' }]);
  expect(after.origins[0]).toEqual({ rawOffset: 26, ordinal: 1 });
});

async function* messagesOf(values: readonly Uint8Array[]): AsyncGenerator<Message> {
  for (const [offset, value] of values.entries()) yield { offset, value };
}

test.each([
  ['before it began', -8, undefined],
  ['while it was pending', 1, 'pending'],
  ['while it fired', 6, 'firing'],
  ['when it was over', 45, 'idle'],
])('what a rule made of a Pod %s is told from the raw messages', async (_, second, state) => {
  const quiet = streamOf(...seconds(9, 0), ...seconds(10, 3), ...seconds(40, 0));
  const options = {
    rules: one,
    cluster: 'default',
    partition: 0,
    events,
    series: seriesOptions,
    maxHeldBytes: 2 ** 20,
    maxBatchBytes: 2 ** 18,
  };
  const of = { rule: 'some-resets', entity: 'shop/web-0', atS: unixS + 9 + second };
  const past = await explainPast(messagesOf(quiet), of, options);
  expect(past.fromMs).toBe(unixS * 1000);
  expect(past.explanation?.state).toBe(state);
  if (past.explanation === undefined) return;
  expect(past.explanation).toMatchObject({ entity: 'shop/web-0', rule: { id: 'some-resets' } });
  // The second that was asked for, or the one that was evaluated with it.
  const atS = Date.parse(past.explanation.at ?? '') / 1000 - of.atS;
  expect(atS).toBeGreaterThanOrEqual(0);
  expect(atS).toBeLessThanOrEqual(2);
});

interface Running {
  readonly bus: EmbeddedLog;
  readonly aggregator: Aggregator;
}

/** An aggregator over a log that takes what is appended, with a checkpoint only when it is made to. */
async function start(dir: string, rules: RuleSet, checkpoints: CheckpointStore = fileCheckpoints(join(dir, 'state'))): Promise<Running> {
  const bus = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    commitMs: 1,
    topics: [
      { name: topics.raw, partitions: 1, maxBytes: 2 ** 26, retain: 'checkpoint' },
      { name: topics.events, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
      { name: topics.metrics, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
      { name: topics.deadLetters, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
    ],
  });
  const aggregator = await startAggregator({
    bus,
    checkpoints,
    cluster: 'default',
    events,
    rules,
    series: seriesOptions,
    maxHeldBytes: 2 ** 20,
    maxBatchBytes: 2 ** 18,
    lingerMs: 1,
    checkpointMs: 3_600_000,
    log: createLog('silent'),
  });
  return { bus, aggregator };
}

async function append({ bus, aggregator }: Running, values: readonly Uint8Array[]): Promise<void> {
  await bus.append(topics.raw, 0, values);
  const { next } = await bus.offsets(topics.raw, 0);
  await eventually('all is processed', () => aggregator.partitions().get(0)?.rawOffset === next && !aggregator.pending());
}

async function findings(bus: EmbeddedLog): Promise<Document[]> {
  const lines: string[] = [];
  const { earliest, next } = await bus.offsets(topics.events, 0);
  if (earliest === next) return [];
  for await (const { messages } of bus.read(topics.events, 0, earliest, { until: next })) {
    for (const { value } of messages) {
      const view = decodeEventBatch(value);
      for (let row = 0; row < view.count; row++) lines.push(Buffer.from(view.line(row)).toString());
    }
  }
  return findingsOf(lines);
}

test('other rules take effect behind a checkpoint: what did not change goes on, what is gone ends, also over a restart', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-rules-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const kept = testRule({ id: 'kept' });
  const gone = testRule({ id: 'gone' });
  const added = testRule({ id: 'added', version: 'sha256:1' });
  const first = await start(dir, ruleSetOf([kept, gone]));
  await append(first, storm.slice(0, 20));
  expect((await findings(first.bus)).map(({ rule }) => rule?.id).sort()).toEqual(['gone', 'kept']);
  await first.aggregator.replaceRules(ruleSetOf([kept, added]));
  await append(first, storm.slice(20, 35));
  const told = await findings(first.bus);
  expect(told.slice(2).map(({ event, rule }) => [rule?.id, event.action, event.reason])).toEqual([
    ['gone', 'anomaly-resolved', 'RULE_CHANGED'],
    ['added', 'anomaly-opened', undefined],
  ]);
  await first.aggregator.close();
  await first.bus.close();

  const second = await start(dir, ruleSetOf([kept, added]));
  await append(second, storm.slice(35));
  const all = await findings(second.bus);
  await second.aggregator.close();
  await second.bus.close();
  const ofKept = all.filter(({ rule }) => rule?.id === 'kept');
  expect(ofKept.map(({ event }) => event.action)).toEqual(['anomaly-opened', 'anomaly-resolved']);
  expect(ofKept[1].event.id).toBe(ofKept[0].event.id.replace('-1', '-2'));
  expect(new Set(all.map(({ event }) => event.id)).size).toBe(all.length);
  expect(all.filter(({ rule }) => rule?.id === 'added').map(({ event }) => event.action)).toEqual(['anomaly-opened', 'anomaly-resolved']);
});

test('rules that are replaced while a partition looks for its checkpoint reach it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-rules-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const files = fileCheckpoints(join(dir, 'state'));
  let asked = false;
  let find: () => void = () => undefined;
  const found = new Promise<void>((resolve) => (find = resolve));
  const running = await start(dir, ruleSetOf([]), {
    save: (...checkpoint) => files.save(...checkpoint),
    async load(partition) {
      asked = true;
      await found;
      return await files.load(partition);
    },
  });
  onTestFinished(async () => {
    await running.aggregator.close();
    await running.bus.close();
  });
  await eventually('the partition looks for its checkpoint', () => asked);
  await running.aggregator.replaceRules(one);
  find();
  await append(running, storm);
  expect((await findings(running.bus)).map(({ event }) => event.action)).toEqual(['anomaly-opened', 'anomaly-resolved']);
});

test.each([
  ['127.0.0.1', { daddr: [127, 0, 0, 1], family: 2 }],
  ['127.9.0.1', { daddr: [127, 9, 0, 1], family: 2 }],
])('the far end of loopback is the entity itself: %s', async (ip, far) => {
  const values = streamOf(...seconds(10, 0), ...seconds(5, 0));
  let item = 0;
  for (let second = 0; second < 10; second++) {
    const ts = (bootS + 20 + second) * 1e9;
    const batch = { ...batchOf(item, 3, (of) => reset({ ts: ts + of, ...far })), clockOffset: firstOffset };
    values.push(rawOf({ seq: 100 + second, batch }, { appendedMs: (unixS + 20 + second) * 1000 }));
    item += 3;
  }
  const { lines } = await new TestPartition({ rules: one }).feed(...values);
  const [opened] = findingsOf(lines) as unknown as { jitterscope: { peers: unknown[] } }[];
  expect(opened.jitterscope.peers).toEqual([
    { name: 'shop/web-0', ip, count: 12, kubernetes: { namespace: 'shop', pod: { name: 'web-0', uid: 'u-web-0' } } },
  ]);
});
