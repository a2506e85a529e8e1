import { expect, test } from 'vitest';
import type { BpfObject } from '../../native/addon.ts';
import { counterKeyBytes, counterKeyOffsets } from '../../schema/record.gen.ts';
import { ProbeCounters } from './probe-counters.ts';
import type { ProbeHost } from './probe-host.ts';
import { CounterSamples } from './sampling/counter-samples.ts';

/** A counter map with one counter for each namespace. */
function mapOf() {
  const counted = new Map<number, number>();
  const object = {
    readMap: (name: string) =>
      name !== 'counters'
        ? Buffer.alloc(0)
        : Buffer.concat(
            [...counted].map(([net, value]) => {
              const bytes = Buffer.alloc(counterKeyBytes + 8);
              bytes.writeBigUInt64LE(BigInt(net), counterKeyOffsets.net);
              bytes.writeUInt16LE(1, counterKeyOffsets.metric);
              bytes.writeBigUInt64LE(BigInt(value), counterKeyBytes);
              return bytes;
            }),
          ),
    mapDelete: (map: string, key: Buffer) => map === 'counters' && counted.delete(Number(key.readBigUInt64LE(counterKeyOffsets.net))),
  } as unknown as BpfObject;
  const host = { base: () => object, loaded: () => [{ probe: { number: 1 } }] } as unknown as ProbeHost;
  return { counted, counters: new ProbeCounters(host) };
}

const netsOf = (counters: readonly { net: number; value: number }[]) => counters.map(({ net, value }) => [net, value]);

test('counters of a namespace that nobody knows are retired once they rest, those of known ones and of the full map never', () => {
  const { counted, counters } = mapOf();
  counted.set(0, 1).set(7, 2).set(8, 3);
  const known = new Set([7]);
  const sweep = () => {
    counters.read();
    return netsOf(counters.sweep(known));
  };
  expect([sweep(), sweep()]).toEqual([[], []]);
  counted.set(8, 4);
  expect([sweep(), sweep(), sweep()]).toEqual([[], [], [[8, 4]]]);
  expect([...counted.keys()]).toEqual([0, 7]);
  expect(counters.read().sum(1)).toBe(7);
  expect([sweep(), sweep(), sweep(), sweep()]).toEqual([[], [], [], []]);
});

test('what is counted after the end is added to what was counted before, and told once more', () => {
  const { counted, counters } = mapOf();
  counted.set(8, 5);
  counters.read();
  expect(netsOf(counters.retire([8]))).toEqual([[8, 5]]);
  counted.set(8, 2);
  expect(netsOf(counters.read().live())).toEqual([[8, 7]]);
  expect(netsOf(counters.retire([8]))).toEqual([[8, 7]]);
  expect(counted.size).toBe(0);
});

test('only counters that changed are told, unless all are wanted', () => {
  const samples = new CounterSamples();
  const counter = (net: number, value: number) => ({ net, metric: 1, bucket: 0, label: 0, value });
  expect(netsOf(samples.changed([counter(1, 5), counter(2, 6)], false))).toEqual([
    [1, 5],
    [2, 6],
  ]);
  expect(netsOf(samples.changed([counter(1, 5), counter(2, 7)], false))).toEqual([[2, 7]]);
  expect(netsOf(samples.changed([counter(1, 5), counter(2, 7)], false))).toEqual([]);
  expect(samples.changed([counter(1, 5), counter(2, 7)], true)).toHaveLength(2);
});
