import { expect, test } from 'vitest';
import type { CollectorBody } from '../../proto/collect.ts';
import { batchOf, identityFault, netnsOf, rawOf, reset, sessionOne, TestPartition, tickOf } from './test-stream.ts';

const second = 1e9;
const known: CollectorBody = { seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101)] } } };

/** A batch of records of a namespace that nobody knows yet, at seconds of boot time. */
function unknown(first: number, ...seconds: number[]): CollectorBody {
  return { seq: 100 + first, batch: batchOf(first, seconds.length, (item) => reset({ net: 5000, ts: seconds[item - first] * second })) };
}

function sources(partition: TestPartition): string[] {
  return partition.parsed.map(({ event, jitterscope }) => `${event.id.split('-')[1]} ${jitterscope.identity.source}`);
}

test('a record waits for its namespace, and goes on as soon as that is told', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known), rawOf(unknown(0, 5, 5)));
  expect(partition.state.dispositions).toMatchObject({ itemsIn: 2, events: 0, held: 2 });
  expect(identityFault(partition.state)).toBeUndefined();
  await partition.feed(rawOf({ seq: 200, identity: { netns: [netnsOf(5000)] } }));
  expect(sources(partition)).toEqual(['0 netns', '1 netns']);
  expect(partition.state.dispositions).toMatchObject({ events: 2, held: 0, unidentified: 0 });
  expect(partition.state.heldBytes).toBe(0);
});

test('another namespace that becomes known releases nothing', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known), rawOf(unknown(0, 5)), rawOf({ seq: 200, identity: { netns: [netnsOf(5001)] } }));
  expect(partition.state.dispositions.held).toBe(1);
});

test('when the stream is three seconds further it goes on as unknown, counted, in the order it came', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known), rawOf(unknown(0, 5, 5.5)), rawOf({ seq: 200, heartbeat: { bootNs: 7.999 * second, nextItem: 2 } }));
  expect(partition.lines).toEqual([]);
  await partition.feed(rawOf({ seq: 201, heartbeat: { bootNs: 8 * second, nextItem: 2 } }));
  expect(sources(partition)).toEqual(['0 unknown']);
  await partition.feed(rawOf({ seq: 202, batch: batchOf(2, 1, () => reset({ ts: 8.5 * second })) }));
  expect(sources(partition)).toEqual(['0 unknown', '1 unknown', '2 netns']);
  expect(partition.state.dispositions).toMatchObject({ events: 3, held: 0, unidentified: 2 });
});

test('records that CPUs hand over out of order are released at their own time', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known), rawOf(unknown(0, 6, 5, 6)), rawOf({ seq: 200, heartbeat: { bootNs: 8.5 * second, nextItem: 3 } }));
  expect(sources(partition)).toEqual(['1 unknown']);
});

test('a record from the future does not hold back those behind it', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known), rawOf(unknown(0, 1e6, 5, 6)));
  expect(sources(partition)).toEqual(['1 unknown', '2 unknown']);
  expect(partition.state.dispositions.held).toBe(1);
});

test('a node that stands still for three seconds of the partition’s clock keeps nothing', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known, { appendedMs: 10_000 }), rawOf(unknown(0, 5), { appendedMs: 10_000 }), tickOf(1, 12_999));
  expect(partition.state.dispositions.held).toBe(1);
  await partition.feed(tickOf(2, 13_000));
  expect(sources(partition)).toEqual(['0 unknown']);
});

test('a tick of another node’s time releases nothing of a node that goes on', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known, { appendedMs: 10_000 }), rawOf(unknown(0, 5), { appendedMs: 10_000 }));
  for (let ms = 11_000; ms < 30_000; ms += 1000) {
    await partition.feed(rawOf({ seq: ms, heartbeat: { bootNs: 5 * second, nextItem: 1 } }, { appendedMs: ms }), tickOf(ms, ms));
  }
  expect(partition.state.dispositions.held).toBe(1);
});

test('beyond the cap the first go on as unknown', async () => {
  const partition = new TestPartition({ maxHeldBytes: 10 * (128 + 96) });
  const seconds = Array.from({ length: 25 }, () => 5);
  await partition.feed(rawOf(known), rawOf(unknown(0, ...seconds)));
  expect(partition.state.dispositions).toMatchObject({ held: 10, events: 15, unidentified: 15 });
  expect(partition.ids).toEqual(Array.from({ length: 15 }, (_, item) => item));
  expect(partition.state.heldBytes).toBeLessThanOrEqual(10 * (128 + 96));
  expect(identityFault(partition.state)).toBeUndefined();
});

test('the cap is the partition’s: many sessions do not have it each', async () => {
  const partition = new TestPartition({ maxHeldBytes: 10 * (128 + 96) });
  for (let n = 0; n < 5; n++) {
    await partition.feed(rawOf(unknown(0, 5, 5, 5, 5), { node: `node${n}`, session: n.toString(16).padStart(32, '0') }));
    expect(partition.state.heldBytes).toBeLessThanOrEqual(10 * (128 + 96));
    expect(identityFault(partition.state)).toBeUndefined();
  }
});

test('a held record keeps the clock offset of its own batch', async () => {
  const partition = new TestPartition();
  const later = { ...batchOf(1, 1, () => reset({ ts: 6 * second })), clockOffset: { seconds: 1_800_000_000, nanos: 0 } };
  await partition.feed(
    rawOf(known),
    rawOf(unknown(0, 5)),
    rawOf({ seq: 150, batch: later }),
    rawOf({ seq: 200, identity: { netns: [netnsOf(5000)] } }),
  );
  const [second_, first] = partition.parsed;
  expect([first.event.id.endsWith('-0'), first['@timestamp'].slice(0, 4)]).toEqual([true, '2026']);
  expect(second_['@timestamp'].slice(0, 4)).toBe('2027');
});

test('a held record of an unknown probe is rejected once, when it is released', async () => {
  const partition = new TestPartition();
  await partition.feed(rawOf(known), rawOf({ seq: 2, batch: batchOf(0, 1, () => reset({ net: 5000, probe: 999 })) }), tickOf(1, 3_600_000));
  expect(partition.state.dispositions).toMatchObject({ itemsIn: 1, events: 0, held: 0, rejected: { unknown_probe: 1 } });
  expect(identityFault(partition.state)).toBeUndefined();
});

test('sessions hold apart: what one learns is nothing to another', async () => {
  const partition = new TestPartition();
  const other = '02'.repeat(16);
  await partition.feed(
    rawOf(unknown(0, 5), { session: sessionOne }),
    rawOf(unknown(0, 5), { session: other }),
    rawOf({ seq: 200, identity: { netns: [netnsOf(5000)] } }, { session: other }),
  );
  expect(partition.state.dispositions).toMatchObject({ held: 1, events: 1 });
});
