import { expect, test } from 'vitest';
import type { Hole } from '../../core/bus/bus.ts';
import { CollectorMessage, type RecordBatch } from '../../proto/collect.ts';
import { HoleDeclarer } from './hole-declarer.ts';
import { emptyCollectorMetrics } from './metrics.ts';
import { SendWindow } from './send-window.ts';

function declarerOf() {
  const metrics = emptyCollectorMetrics();
  const window = new SendWindow(1e6, metrics);
  const reasons: string[] = [];
  const declarer = new HoleDeclarer(window, metrics, (reason) => reasons.push(reason));
  /** What goes out of a message at an offset, behind the given holes. */
  const sent = (offset: number, body: Partial<CollectorMessage>, holes: readonly Hole[] = []) => {
    declarer.fetched({ topic: 'spool', partition: 0, messages: [], next: offset, holes });
    const value = CollectorMessage.encode({ seq: offset + 1, ...body }).finish();
    return skippedOf(declarer.prepared({ offset, value }));
  };
  return { declarer, window, metrics, reasons, sent };
}

function skippedOf(bytes: Buffer | undefined) {
  const skipped = bytes === undefined ? [] : (CollectorMessage.decode(bytes).batch?.skipped ?? []);
  return skipped.map(({ firstItem, count, reason }) => [firstItem, count, reason]);
}

const batch = (firstItem: number, count: number, skipped: RecordBatch['skipped'] = []) => ({ batch: { firstItem, count, skipped } });
const hole = (from: number, to: number, reason: Hole['reason']): Hole => ({ from, to, reason });

test('a batch behind a hole names its items and its reason, wherever in the fetch the hole lies', () => {
  const { sent, metrics, reasons } = declarerOf();
  expect(sent(0, batch(0, 10), [hole(1, 2, 'damaged')])).toEqual([]);
  expect(sent(2, batch(20, 10))).toEqual([[10, 10, 'spool_damaged']]);
  expect(sent(9, batch(90, 1), [hole(3, 9, 'retention')])).toEqual([[30, 60, 'spool_full']]);
  expect(metrics.skippedItems).toBe(70);
  expect(reasons).toEqual(['spool_damaged', 'spool_full']);
});

test('items that the spool refused are told by the collector alone, and none is told twice', () => {
  const { sent, metrics } = declarerOf();
  expect(sent(0, batch(0, 10))).toEqual([]);
  // Items 10 to 19 were refused while the batch behind them was on its way.
  expect(sent(1, batch(20, 10))).toEqual([]);
  expect(sent(2, batch(30, 1, [{ firstItem: 10, count: 10, reason: 'disk_full' }]))).toEqual([[10, 10, 'disk_full']]);
  // Refused and damaged in one hole: the refused ones are told again by the collector, and left out.
  expect(sent(4, batch(51, 1), [hole(3, 4, 'damaged')])).toEqual([[31, 20, 'spool_damaged']]);
  expect(
    sent(
      5,
      batch(60, 1, [
        { firstItem: 41, count: 10, reason: 'disk_full' },
        { firstItem: 52, count: 8, reason: 'disk_full' },
      ]),
    ),
  ).toEqual([[52, 8, 'disk_full']]);
  expect(metrics.skippedItems).toBe(20);
});

test('a message that is sent again counts its hole once', () => {
  const { sent, declarer, window, metrics } = declarerOf();
  const damaged = [hole(0, 1, 'damaged')];
  expect(sent(1, batch(5, 5), damaged)).toEqual([[0, 5, 'spool_damaged']]);
  window.restart();
  declarer.restart();
  expect(sent(1, batch(5, 5), damaged)).toEqual([[0, 5, 'spool_damaged']]);
  expect(metrics.skippedItems).toBe(5);
});

test('bytes that are no message are a hole', () => {
  const { declarer, sent } = declarerOf();
  expect(sent(0, batch(0, 1))).toEqual([]);
  expect(declarer.prepared({ offset: 1, value: Buffer.from([0xff, 0xff, 0xff]) })).toBeUndefined();
  expect(sent(2, batch(3, 1))).toEqual([[1, 2, 'spool_damaged']]);
});

test('the end of a session is closed where a heartbeat tells that items are missing', () => {
  const { declarer, sent } = declarerOf();
  sent(0, batch(0, 10));
  expect(declarer.closing(2)).toBeUndefined();
  sent(2, { heartbeat: { nextItem: 30 } }, [hole(1, 2, 'damaged')]);
  const closing = declarer.closing(4);
  expect(skippedOf(closing)).toEqual([[10, 20, 'spool_damaged']]);
  expect(CollectorMessage.decode(closing ?? Buffer.alloc(0))).toMatchObject({ seq: 4, batch: { firstItem: 30 } });
  expect(declarer.closing(5)).toBeUndefined();
});
