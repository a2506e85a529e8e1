import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CollectorBody } from '../../proto/collect.ts';
import { batchOf, identityFault, netnsOf, rawOf, reset, TestPartition, tickOf } from './test-stream.ts';

const known = { netns: [netnsOf(4101)] };
const keyframe = (nextItem: number, seq = 1): CollectorBody => ({ seq, keyframe: { nextItem, identity: known } });

async function fed(...bodies: CollectorBody[]): Promise<TestPartition> {
  const partition = new TestPartition();
  await partition.feed(...bodies.map((body) => rawOf(body)));
  expect(identityFault(partition.state)).toBeUndefined();
  return partition;
}

test('ids are the hash of node and session, and the item number', async () => {
  // SHA-256 of "node1", NUL, 16 bytes of 01; first 8 bytes.
  const { parsed } = await fed(keyframe(7), { seq: 2, batch: batchOf(7, 2) });
  expect(parsed.map(({ event }) => event.id)).toEqual(['d5ae1494e1858f84-7', 'd5ae1494e1858f84-8']);
});

test('items that come again are dropped and counted', async () => {
  const { ids, state } = await fed(
    keyframe(0),
    { seq: 2, batch: batchOf(0, 5) },
    { seq: 2, batch: batchOf(0, 5) },
    { seq: 3, batch: batchOf(5, 1) },
  );
  expect(ids).toEqual([0, 1, 2, 3, 4, 5]);
  expect(state.dispositions).toMatchObject({ itemsIn: 11, events: 6, repeats: 5, gaps: 0 });
  expect(state.expectedItems).toBe(6);
});

test('of a batch that overlaps only what is new becomes events', async () => {
  const { ids, state } = await fed(
    keyframe(0),
    { seq: 2, batch: batchOf(0, 4) },
    { seq: 3, batch: batchOf(2, 5) },
    { seq: 4, batch: batchOf(1, 3) },
  );
  expect(ids).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(state.dispositions).toMatchObject({ repeats: 2 + 3, gaps: 0 });
});

test('a gap is known to the item', async () => {
  const { ids, state } = await fed(keyframe(0), { seq: 2, batch: batchOf(0, 2) }, { seq: 4, batch: batchOf(7, 2) });
  expect(ids).toEqual([0, 1, 7, 8]);
  expect(state.dispositions).toMatchObject({ gaps: 5, skipped: {} });
  expect(state.expectedItems).toBe(9);
});

test('a declared range says why, and is not counted twice', async () => {
  const skipped = [{ firstItem: 2, count: 5, reason: 'spool_full' }];
  const batch = { ...batchOf(7, 2), skipped };
  const { state } = await fed(keyframe(0), { seq: 2, batch: batchOf(0, 2) }, { seq: 4, batch }, { seq: 4, batch });
  expect(state.dispositions).toMatchObject({ gaps: 5, skipped: { spool_full: 5 }, repeats: 2 });
});

test('a session that is read from its start owes its first items; one that begins with a keyframe does not', async () => {
  expect((await fed({ seq: 9, batch: batchOf(100, 2) })).state.dispositions.gaps).toBe(100);
  expect((await fed(keyframe(100, 8), { seq: 9, batch: batchOf(100, 2) })).state.dispositions.gaps).toBe(0);
  expect((await fed({ seq: 8, heartbeat: { nextItem: 100, bootNs: 1 } }, { seq: 9, batch: batchOf(100, 2) })).state.dispositions.gaps).toBe(
    0,
  );
});

test.each<[string, CollectorBody[]]>([
  ['a batch', []],
  ['an identity', [{ seq: 7, identity: known }]],
  [
    'two identities',
    [
      { seq: 6, identity: known },
      { seq: 7, identity: known },
    ],
  ],
  ['a heartbeat', [{ seq: 7, heartbeat: { nextItem: 100, bootNs: 1 } }]],
])('a partition that is read from its middle, at %s, claims no gap before it', async (_, before) => {
  const partition = new TestPartition();
  partition.state.complete = false;
  await partition.feed(
    ...[...before, { seq: 8, batch: batchOf(100, 2) }, { seq: 9, batch: batchOf(105, 1) }].map((body) => rawOf(body)),
    tickOf(1, 60_000),
  );
  expect(partition.state.dispositions).toMatchObject({ gaps: 3, events: 3 });
  expect(partition.state.expectedItems).toBe(6);
  expect(identityFault(partition.state)).toBeUndefined();
});

test('read from its middle, a range declared at once is a gap of that size', async () => {
  const partition = new TestPartition();
  partition.state.complete = false;
  const batch = { ...batchOf(100, 2), skipped: [{ firstItem: 90, count: 10, reason: 'spool_full' }] };
  await partition.feed(rawOf({ seq: 8, batch }), rawOf({ seq: 8, batch }), tickOf(1, 60_000));
  expect(partition.state.dispositions).toMatchObject({ gaps: 10, skipped: { spool_full: 10 } });
  expect(identityFault(partition.state)).toBeUndefined();
});

test('losses in the kernel are totals of the session: a message that is lost or comes again changes nothing', async () => {
  const losses = (count: number) => ({ kernelLosses: [{ probe: 1, count, reason: 'ring_full' }] });
  const { state } = await fed(
    keyframe(0),
    { seq: 2, batch: { firstItem: 0, count: 0, ...losses(7) } },
    { seq: 2, batch: { firstItem: 0, count: 0, ...losses(7) } },
    // seq 3, with a total of 9, never came.
    { seq: 4, batch: { ...batchOf(0, 2), ...losses(14) } },
    { seq: 4, batch: { ...batchOf(0, 2), ...losses(14) } },
  );
  expect(state.dispositions.kernelLost).toEqual({ '1:ring_full': 14 });
});

test('items at the end of what was sent are a gap when the heartbeat or keyframe behind them comes and they did not', async () => {
  const { state } = await fed(
    keyframe(0),
    { seq: 2, batch: batchOf(0, 20) },
    { seq: 4, heartbeat: { bootNs: 1e9, nextItem: 40 } },
    { seq: 6, keyframe: { nextItem: 45 } },
    { seq: 7, batch: batchOf(45, 5) },
  );
  expect(state.dispositions).toMatchObject({ itemsIn: 25, events: 25, gaps: 25, repeats: 0 });
  expect(state.expectedItems).toBe(50);
  expect(identityFault(state)).toBeUndefined();
});

test('a range declared behind a heartbeat names the reason of a gap that is counted, and is counted once', async () => {
  const batch = { ...batchOf(40, 1), skipped: [{ firstItem: 20, count: 20, reason: 'disk_full' }] };
  const { state } = await fed(
    keyframe(0),
    { seq: 2, batch: batchOf(0, 20) },
    { seq: 4, heartbeat: { bootNs: 1e9, nextItem: 40 } },
    { seq: 5, batch },
    { seq: 5, batch },
  );
  expect(state.dispositions).toMatchObject({ gaps: 20, skipped: { disk_full: 20 } });
  expect(identityFault(state)).toBeUndefined();
});

test('a declared range that reaches over the place where reading began counts all of it', async () => {
  const batch = { ...batchOf(5100, 1), skipped: [{ firstItem: 0, count: 5100, reason: 'spool_full' }] };
  const { state } = await fed({ seq: 90, heartbeat: { bootNs: 1e9, nextItem: 5000 } }, { seq: 91, batch });
  expect(state.dispositions).toMatchObject({ gaps: 5100, skipped: { spool_full: 5100 } });
  expect(state.expectedItems).toBe(5101);
});

test('records beyond the count of their batch are told', async () => {
  const { state } = await fed(keyframe(0), { seq: 2, batch: { ...batchOf(0, 20), count: 5 } });
  expect(state.dispositions).toMatchObject({ itemsIn: 5, events: 5, unnumbered: 15 });
});

test('reasons are keys of ours: a collector cannot make any number of them', async () => {
  const skipped = Array.from({ length: 500 }, (_, i) => ({ firstItem: i, count: 1, reason: `r${i}` }));
  const kernelLosses = Array.from({ length: 500 }, (_, i) => ({ probe: i, count: 1, reason: '__proto__'.repeat(1000) }));
  const hostile = { ...batchOf(500, 1), skipped: [...skipped, { firstItem: 0, count: 5, reason: '__proto__' }], kernelLosses };
  const { state } = await fed(keyframe(0), { seq: 2, batch: hostile });
  for (const counts of [state.dispositions.skipped, state.dispositions.kernelLost]) {
    expect(Object.keys(counts).length).toBeLessThanOrEqual(65);
    expect(Object.keys(counts).every((key) => key.length <= 64)).toBe(true);
  }
  expect(Object.values(state.dispositions.skipped).reduce((a, b) => a + b)).toBe(505);
  // A node tells losses of at most 256 pairs of probe and reason.
  expect(Object.values(state.dispositions.kernelLost).reduce((a, b) => a + b)).toBe(256);
});

test.each([
  ['of an unknown probe', { probe: 4321 }, { unknown_probe: 1 }],
  ['of an unknown variant', { variant: 99 }, { unknown_variant: 1 }],
])('a record %s is rejected, counted, and hurts no other', async (_, fields, rejected) => {
  const { ids, state } = await fed(keyframe(0), { seq: 2, batch: batchOf(0, 3, (item) => reset(item === 1 ? fields : {})) });
  expect(ids).toEqual([0, 2]);
  expect(state.dispositions.rejected).toEqual(rejected);
});

test('behind a record of no length nothing can be told apart: the rest of the batch is malformed', async () => {
  const batch = batchOf(0, 5);
  batch.records[2 * 128 + 11] = 9;
  const again = batchOf(0, 5);
  again.records[128 + 11] = 0;
  const { ids, state } = await fed(keyframe(0), { seq: 2, batch }, { seq: 3, batch: again }, { seq: 4, batch: batchOf(5, 1) });
  expect(ids).toEqual([0, 1, 5]);
  expect(state.dispositions).toMatchObject({ itemsIn: 11, rejected: { malformed: 3 }, repeats: 5 });
});

test('a node of many sessions forgets the oldest, and still knows how many items there were', async () => {
  const partition = new TestPartition();
  const expected = { items: 0 };
  for (let n = 0; n < 40; n++) {
    const session = n.toString(16).padStart(32, '0');
    await partition.feed(
      rawOf(keyframe(n), { session }),
      rawOf({ seq: 2, batch: batchOf(n, 3) }, { session }),
      rawOf({ seq: 3, batch: batchOf(n + 5, 1) }, { session }),
    );
    expected.items += 6;
    expect(partition.state.expectedItems).toBe(expected.items);
    expect(identityFault(partition.state)).toBeUndefined();
  }
  expect([...partition.state.sessions()]).toHaveLength(16);
  expect(partition.lines).toHaveLength(160);
});

interface Draft {
  size: number;
  lost: boolean;
  malformed: boolean;
  unknown: boolean;
  heartbeat: boolean;
}

/** A session as a collector may have sent it: some batches lost, some declared; then whole ends of it sent again. */
const stream = fc.record({
  batches: fc.array(
    fc.record<Draft>({
      size: fc.nat({ max: 6 }),
      lost: fc.boolean(),
      malformed: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      unknown: fc.boolean(),
      heartbeat: fc.boolean(),
    }),
    { maxLength: 12 },
  ),
  declare: fc.boolean(),
  resends: fc.array(fc.tuple(fc.nat({ max: 20 }), fc.nat({ max: 20 })), { maxLength: 4 }),
  start: fc.constantFrom(0, 1000),
});

function bodiesOf({ batches, declare, start }: { batches: Draft[]; declare: boolean; start: number }): CollectorBody[] {
  const bodies: CollectorBody[] = [keyframe(start)];
  let item = start;
  let lostFrom: number | undefined;
  for (const { size, lost, malformed, unknown, heartbeat } of batches) {
    const first = item;
    item += size;
    if (lost) {
      lostFrom ??= first;
      continue;
    }
    const batch = batchOf(first, size, () => reset({ net: unknown ? 5555 : 4101, ts: 5e9 + first * 1e9 }));
    if (malformed && size > 0) batch.records[11] = 77;
    const skipped =
      declare && lostFrom !== undefined && first > lostFrom ? [{ firstItem: lostFrom, count: first - lostFrom, reason: 'spool_full' }] : [];
    lostFrom = undefined;
    bodies.push({ seq: bodies.length + 1, batch: { ...batch, skipped } });
    if (heartbeat) bodies.push({ seq: bodies.length + 1, heartbeat: { bootNs: 5e9 + first * 1e9, nextItem: item } });
  }
  return bodies;
}

test('whatever is lost and sent again, every item has one disposition and the gaps are right', async () => {
  await fc.assert(
    fc.asyncProperty(stream, async (draft) => {
      const bodies = bodiesOf(draft);
      const partition = new TestPartition();
      await partition.feed(...bodies.map((body) => rawOf(body)));
      expect(identityFault(partition.state)).toBeUndefined();
      const once = { ...partition.state.dispositions, rejected: { ...partition.state.dispositions.rejected } };
      const expected = partition.state.expectedItems;
      const sentItems = bodies.reduce((sum, { batch }) => sum + (batch?.count ?? 0), 0);
      expect(once.itemsIn).toBe(sentItems);
      expect(once.repeats).toBe(0);
      // A collector that was cut off sends everything behind its last ack again.
      for (const [from, count] of draft.resends) {
        await partition.feed(
          ...bodies
            .slice(from % bodies.length)
            .slice(0, count + 1)
            .map((body) => rawOf(body)),
        );
        expect(identityFault(partition.state)).toBeUndefined();
      }
      const now = partition.state.dispositions;
      expect([now.gaps, now.skipped, partition.state.expectedItems, now.itemsIn - now.repeats]).toEqual([
        once.gaps,
        once.skipped,
        expected,
        once.itemsIn,
      ]);
      await partition.feed(tickOf(1, 3_600_000));
      expect(partition.state.dispositions.held).toBe(0);
      expect(identityFault(partition.state)).toBeUndefined();
      expect(new Set(partition.ids).size).toBe(partition.ids.length);
      expect(partition.numbers).toEqual(partition.lines.map((_, index) => index));
    }),
    { numRuns: 300 },
  );
});
