import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../core/bus/bus.ts';
import type { CollectorBody } from '../../proto/collect.ts';
import { processInput } from './pipeline.ts';
import { decodeRaw } from './raw-input.ts';
import { ruleSetOf } from './rules/language/load-rules.ts';
import { testRule } from './rules/test-rule.ts';
import { rawStream } from './test-raw-stream.ts';
import { batchOf, identityFault, netnsOf, rawOf, reset, TestPartition } from './test-stream.ts';

/** Feeds messages in fetches of these sizes, in turn. */
async function runIn(sizes: readonly number[], values: readonly Uint8Array[], maxBatchBytes: number): Promise<TestPartition> {
  const partition = new TestPartition({ maxBatchBytes });
  for (let first = 0, turn = 0; first < values.length; turn++) {
    const size = sizes[turn % sizes.length];
    const messages = values.slice(first, first + size).map((value, index): Message => ({ offset: first + index, value }));
    first += messages.length;
    await partition.fetch({ topic: 'raw', partition: 0, messages, holes: [], next: first });
    if (turn % 3 === 0) partition.flush();
  }
  partition.flush();
  return partition;
}

test('the same messages in other fetches give the same lines and the same state', async () => {
  const values = rawStream(200);
  const reference = await runIn([values.length], values, 256 * 1024);
  expect(reference.lines.length).toBeGreaterThan(300);
  expect(identityFault(reference.state)).toBeUndefined();
  expect(reference.numbers).toEqual(reference.lines.map((_, index) => index));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 }),
      fc.constantFrom(1, 3000, 256 * 1024),
      async (sizes, maxBatchBytes) => {
        const other = await runIn(sizes, values, maxBatchBytes);
        expect(other.lines).toEqual(reference.lines);
        expect(other.numbers).toEqual(reference.numbers);
        expect(other.state.snapshot()).toEqual(reference.state.snapshot());
      },
    ),
    { numRuns: 30 },
  );
});

test('a snapshot at any message goes on as the whole does', async () => {
  const values = rawStream(60);
  const whole = await runIn([1000], values, 256 * 1024);
  for (let cut = 0; cut <= values.length; cut++) {
    const before = new TestPartition();
    await before.feed(...values.slice(0, cut));
    const after = new TestPartition();
    const blocks: Uint8Array[] = [];
    for await (const block of before.state.blocks()) blocks.push(block);
    after.state.restore(JSON.parse(JSON.stringify(before.state.snapshot())) as ReturnType<typeof before.state.snapshot>, blocks);
    await after.feed(...values.slice(cut));
    expect([...before.lines, ...after.lines]).toEqual(whole.lines);
    expect(after.state.snapshot()).toEqual(whole.state.snapshot());
  }
});

test('a batch of events tells the day on which the gateway appended what they come from, and holds one day', async () => {
  const midnightMs = 20_779 * 86_400_000;
  const at = (appendedMs: number, seq: number) => rawOf({ seq, batch: batchOf(2 * (seq - 2), 2) }, { appendedMs });
  const partition = new TestPartition();
  const keyframe = rawOf({ seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101)] } } }, { appendedMs: midnightMs - 2000 });
  await partition.feed(keyframe, at(midnightMs - 1000, 2), at(midnightMs - 1, 3), at(midnightMs, 4), at(midnightMs - 1, 5));
  expect(partition.appendedDays).toEqual([20_778, 20_778, 20_778, 20_778, 20_779, 20_779, 20_778, 20_778]);
  expect(partition.numbers).toEqual(partition.lines.map((_, index) => index));
});

test('an empty fetch moves the position, and what was read is not read again', async () => {
  const partition = new TestPartition();
  await partition.fetch({ topic: 'raw', partition: 0, messages: [], holes: [{ from: 0, to: 7, reason: 'damaged' }], next: 7 });
  expect(partition.state.rawOffset).toBe(7);
  expect(partition.state.unreadable).toEqual({ damaged: 7 });
  const old = rawOf({ seq: 1, batch: batchOf(0, 1) });
  await partition.fetch({
    topic: 'raw',
    partition: 0,
    messages: [{ offset: 5, value: old }],
    holes: [{ from: 3, to: 6, reason: 'damaged' }],
    next: 8,
  });
  expect(partition.state.rawOffset).toBe(8);
  expect(partition.state.unreadable).toEqual({ damaged: 7 });
  expect(partition.state.dispositions.itemsIn).toBe(0);
});

test('holes are counted by reason, from where reading had come to', async () => {
  const partition = new TestPartition();
  partition.state.rawOffset = 10;
  const holes = [
    { from: 0, to: 12, reason: 'retention' },
    { from: 14, to: 15, reason: 'damaged' },
    { from: 16, to: 18, reason: 'damaged' },
  ] as const;
  await partition.fetch({ topic: 'raw', partition: 0, messages: [], holes, next: 18 });
  expect(partition.state.unreadable).toEqual({ retention: 2, damaged: 3 });
});

test('an identity that comes again does not undo a later one', async () => {
  const first: CollectorBody = { seq: 2, identity: { netns: [netnsOf(4101, { names: ['old'] })] } };
  const partition = await new TestPartition().feed(
    rawOf({ seq: 1, keyframe: { nextItem: 0 } }),
    rawOf(first),
    rawOf({ seq: 3, identity: { netns: [netnsOf(4101, { names: ['new'] })] } }),
    rawOf(first),
    rawOf({ seq: 4, batch: batchOf(0, 1) }),
  );
  expect(partition.parsed[0].jitterscope.netns.name).toBe('new');
});

test('output that is there already is made again silently, to the event', async () => {
  const values = rawStream(80);
  const whole = await runIn([1000], values, 256 * 1024);
  const target = new TestPartition({ silentUntil: { rawOffset: 9, ordinal: 8192, nextEvent: 5 } });
  await target.feed(...values);
  expect(target.state.dispositions).toEqual(whole.state.dispositions);
  // The topic's own running numbers go on.
  expect(target.numbers[0]).toBe(5);
  expect(whole.lines.slice(-target.lines.length)).toEqual(target.lines);
  expect(target.numbers).toEqual(target.lines.map((_, index) => 5 + index));
});

test('a message is taken in pieces, however many records and findings are in it', async () => {
  const netns = Array.from({ length: 300 }, (_, at) => netnsOf(5000 + at));
  const partition = new TestPartition({ rules: ruleSetOf([testRule({ settleS: 0, maxActive: 1000 })]) });
  const firstOffset = { seconds: 1_790_000_000, nanos: 0 };
  const keyframe = { nextItem: 0, part: 0, parts: 1, bootId: 'b', firstOffset, identity: { netns, nodeCgroups: [1] } };
  await partition.feed(rawOf({ seq: 1, keyframe }));
  // Each namespace has its finding in one and the same second, which the last records move the clock beyond.
  const records = batchOf(0, 2000, (item) => reset({ net: 5000 + (item % 300), ts: 1e12 + (item < 1900 ? item * 1e5 : 9e9) }));
  const input = decodeRaw({ offset: 1, value: rawOf({ seq: 2, batch: { ...records, clockOffset: firstOffset } }) }, 0);
  if (input.kind === 'refused') throw new Error('it is refused');
  const { dispositions } = partition.state;
  const pieces: number[] = [];
  let before = 0;
  const work = processInput(input, partition.steps);
  for (let done = false; !done; ) {
    done = work.next().done === true;
    pieces.push(dispositions.events + dispositions.findings - before);
    before = dispositions.events + dispositions.findings;
  }
  expect(dispositions).toMatchObject({ events: 2000, findings: 300 });
  expect(Math.max(...pieces)).toBeLessThanOrEqual(64);
});

test('who looks at the state while a message is taken in sees it behind the whole message', async () => {
  const partition = new TestPartition();
  let taken = 0;
  partition.state.rules.record = () => {
    // Longer than a turn: others get theirs at the end of each piece.
    if (taken++ % 64 === 0) for (const beganMs = performance.now(); performance.now() < beganMs + 15; );
  };
  const look = (): Promise<number> => partition.state.messages.between(() => taken);
  expect(await look()).toBe(0);
  const identity = { netns: [netnsOf(4101)], nodeCgroups: [1] };
  const feeding = partition.feed(rawOf({ seq: 1, keyframe: { nextItem: 0, identity } }), rawOf({ seq: 2, batch: batchOf(0, 300) }));
  while (taken === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(taken).toBeLessThan(300);
  const failing = partition.state.messages.between(() => {
    throw new Error('it cannot be explained');
  });
  const refused = expect(failing).rejects.toThrow('it cannot be explained');
  expect(await look()).toBe(300);
  await refused;
  await feeding;
  expect(await look()).toBe(300);
});
