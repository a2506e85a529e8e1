import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { RawMessage } from '../../../proto/bus.ts';
import { rawOf, TestPartition, tickOf } from '../test-stream.ts';
import { loadRules } from './language/load-rules.ts';

const unixS = 1_790_000_000;
const shipped = loadRules([fileURLToPath(new URL('../../../rules', import.meta.url))]);

/** A tick that tells how full queues are, in percent. */
function tickWith(second: number, queues: Readonly<Record<string, number>>): Uint8Array {
  const figures = Object.entries(queues).map(([queue, depthBytes]) => ({ queue, depthBytes, capacityBytes: 100 }));
  const pipeline = { queues: figures, deadLetters: [], lostEvents: [], stateLost: false };
  return RawMessage.encode({ appended: { seconds: unixS + second, nanos: 0 }, tick: { number: second, pipeline } }).finish();
}

function actionsOf({ lines }: TestPartition): string[] {
  const documents = lines.map((line) => JSON.parse(line) as { event: { action: string }; rule: { id: string } });
  return documents.map(({ event, rule }) => `${rule.id} ${event.action}`);
}

test('a queue that is no longer told is not full any more, also behind a restart', async () => {
  const ticks = Array.from({ length: 400 }, (_, second) =>
    tickWith(second, second < 200 ? { 'events/elasticsearch': 95, raw: 0 } : { raw: 0 }),
  );
  const whole = await new TestPartition({ rules: shipped }).feed(...ticks);
  expect(actionsOf(whole)).toEqual(['pipeline-watchdog anomaly-opened', 'pipeline-watchdog anomaly-resolved']);
  for (const cut of [199, 200, 201]) {
    const before = await new TestPartition({ rules: shipped }).feed(...ticks.slice(0, cut));
    const blocks: Uint8Array[] = [];
    for await (const block of before.state.blocks()) blocks.push(block);
    const after = new TestPartition({ rules: shipped });
    after.state.restore(before.state.snapshot(), blocks);
    await after.feed(...ticks.slice(cut));
    expect([...before.lines, ...after.lines]).toEqual(whole.lines);
  }
});

test('ticks that tell nothing leave a queue as full as it was', async () => {
  const ticks = Array.from({ length: 400 }, (_, second) =>
    second < 200 ? tickWith(second, { raw: 95 }) : tickOf(second, (unixS + second) * 1000),
  );
  const partition = await new TestPartition({ rules: shipped }).feed(...ticks);
  expect(actionsOf(partition)).toEqual(['pipeline-watchdog anomaly-opened']);
});

test('an outage of the gateway makes no node silent, a silence does', async () => {
  const beat = (second: number): Uint8Array =>
    rawOf({ seq: second + 2, heartbeat: { bootNs: (1000 + second) * 1e9, nextItem: 0 } }, { appendedMs: (unixS + second) * 1000 });
  const seconds = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);
  const both = (second: number): Uint8Array[] => [beat(second), tickOf(second, (unixS + second) * 1000)];
  const partition = new TestPartition({ rules: shipped });
  await partition.feed(...seconds(0, 30).flatMap(both), tickOf(31, (unixS + 630) * 1000), ...seconds(631, 700).flatMap(both));
  expect(actionsOf(partition)).toEqual([]);
  await partition.feed(...seconds(700, 900).map((second) => tickOf(second, (unixS + second) * 1000)));
  expect(actionsOf(partition)).toContain('node-silent anomaly-opened');
});
