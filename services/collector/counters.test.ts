import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BpfObject } from '../../native/addon.ts';
import { metrics } from '../../schema/record.gen.ts';
import { type Counter, CounterTotals, deleteCounters, readCounters } from './counters.ts';

/** A counter map as the addon hands it over. */
class TestMap {
  readonly entries = new Map<string, bigint>();

  put({ net, metric, bucket, label, value }: Counter): void {
    const key = Buffer.alloc(16);
    key.writeBigUInt64LE(BigInt(net), 0);
    key.writeUInt16LE(metric, 8);
    key.writeUInt16LE(bucket, 10);
    key.writeUInt32LE(label, 12);
    this.entries.set(key.toString('hex'), BigInt(value));
  }

  get object(): BpfObject {
    return {
      readMap: () =>
        Buffer.concat(
          [...this.entries].map(([key, value]) => {
            const bytes = Buffer.alloc(24);
            bytes.write(key, 'hex');
            bytes.writeBigUInt64LE(value, 16);
            return bytes;
          }),
        ),
      mapDelete: (_: string, key: Uint8Array) => this.entries.delete(Buffer.from(key).toString('hex')),
    } as unknown as BpfObject;
  }
}

const counter = (net: number, metric: number, bucket: number, value: number, label = 0): Counter => ({ net, metric, bucket, label, value });

test('what the kernel counted is read as it is, and a namespace is removed whole', () => {
  const map = new TestMap();
  const all = [counter(4101, 1, 3, 7), counter(2 ** 52 + 1, 1, 65_535, Number.MAX_SAFE_INTEGER, 2 ** 32 - 1), counter(4101, 2, 1, 1, 9)];
  for (const one of all) map.put(one);
  expect(readCounters(map.object)).toEqual(all);
  deleteCounters(map.object, all, 4101);
  expect(readCounters(map.object)).toEqual([all[1]]);
});

test('half an entry is none', () => {
  expect(readCounters({ readMap: () => Buffer.alloc(24 + 23) } as unknown as BpfObject)).toHaveLength(1);
});

test('totals keep what namespaces counted that are gone', () => {
  const totals = new CounterTotals();
  totals.update([counter(1, 1, 3, 5), counter(2, 1, 3, 7), counter(1, 1, 4, 1)], 0);
  expect([totals.sum(1), totals.sum(1, 3), totals.sum(2)]).toEqual([13, 12, 0]);
  totals.retire(1);
  expect(totals.sum(1)).toBe(13);
  totals.update([counter(2, 1, 3, 8)], 0);
  expect([totals.sum(1), totals.sum(1, 3)]).toEqual([14, 13]);
  totals.update([counter(2, 1, 3, 8), counter(3, 1, 3, 2)], 0);
  totals.retire(3);
  totals.retire(3);
  totals.update([counter(2, 1, 3, 8)], 0);
  expect(totals.sum(1)).toBe(16);
  expect(totals.live()).toEqual([counter(2, 1, 3, 8)]);
});

test('a namespace that is gone tells its last counts, and what a late timer counts is added to them', () => {
  const totals = new CounterTotals();
  totals.update([counter(1, 1, 3, 5), counter(2, 1, 3, 7)], 0);
  expect(totals.retire(1)).toEqual([counter(1, 1, 3, 5)]);
  totals.update([counter(1, 1, 3, 2), counter(2, 1, 3, 7)], 0);
  expect(totals.live()).toEqual([counter(1, 1, 3, 7), counter(2, 1, 3, 7)]);
  expect(totals.sum(1)).toBe(14);
  expect(totals.retire(1)).toEqual([counter(1, 1, 3, 7)]);
  expect(totals.sum(1)).toBe(14);
});

test('more namespaces that are gone than can be kept lose their names, and nothing else', () => {
  const totals = new CounterTotals();
  for (let net = 1; net <= 10_000; net++) {
    totals.update([counter(net, 1, 3, 1)], 0);
    totals.retire(net);
  }
  expect(totals.sum(1)).toBe(10_000);
  expect(totals.all().length).toBeLessThan(8_200);
});

test('whatever comes and goes, sums and losses never go back', () => {
  const step = fc.record({
    net: fc.integer({ min: 1, max: 4 }),
    bucket: fc.integer({ min: 1, max: 2 }),
    more: fc.nat({ max: 9 }),
    dies: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const totals = new CounterTotals();
      const live = new Map<string, Counter>();
      const told = new Map<number, number>();
      let counted = 0;
      let before = 0;
      for (const { net, bucket, more, dies } of steps) {
        const key = `${net}/${bucket}`;
        live.set(key, counter(net, metrics.RING_FULL, bucket, (live.get(key)?.value ?? 0) + more));
        counted += more;
        totals.update([...live.values()], 0);
        if (dies) {
          totals.retire(net);
          for (const [at, one] of [...live]) if (one.net === net) live.delete(at);
        }
        const sum = totals.sum(metrics.RING_FULL);
        expect(sum).toBe(counted);
        expect(sum).toBeGreaterThanOrEqual(before);
        before = sum;
        for (const probe of [1, 2]) {
          expect(totals.kernelLosses(probe)).toBeGreaterThanOrEqual(told.get(probe) ?? 0);
          told.set(probe, totals.kernelLosses(probe));
        }
      }
      expect((told.get(1) ?? 0) + (told.get(2) ?? 0)).toBe(counted);
    }),
  );
});
