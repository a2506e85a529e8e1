import fc from 'fast-check';
import { expect, test } from 'vitest';
import { recordFlags, recordOffsets } from '../../schema/record.gen.ts';
import { type RecordFields, writeRecords } from '../../schema/record-writer.ts';
import { Batcher, type SealedBatch } from './batcher.ts';

function chunkOf(count: number, net = 1, tail = 0): Buffer {
  return Buffer.from(writeRecords(Array.from({ length: count }, () => ({ net, tail: new Uint8Array(tail) }))));
}

function batcherOf(maxBytes: number, unknownNet: (batcher: Batcher) => void = () => undefined) {
  const sealed: SealedBatch[] = [];
  const batcher: Batcher = new Batcher(
    maxBytes,
    { seconds: 7, nanos: 8 },
    (batch) => sealed.push(batch),
    () => unknownNet(batcher),
  );
  batcher.setKnown([1, 2]);
  return { batcher, sealed };
}

const ranges = (sealed: readonly SealedBatch[]) => sealed.map(({ firstItem, count }) => [firstItem, count]);

test('chunks are gathered up to the size and numbered in the order they came', () => {
  const { batcher, sealed } = batcherOf(1024);
  batcher.add(chunkOf(3));
  batcher.add(chunkOf(4));
  expect(sealed).toEqual([]);
  expect(batcher.nextItem).toBe(7);
  batcher.add(chunkOf(2));
  expect(ranges(sealed)).toEqual([[0, 7]]);
  batcher.add(chunkOf(6));
  expect(ranges(sealed)).toEqual([
    [0, 7],
    [7, 8],
  ]);
  expect(batcher.pending).toBe(false);
});

test('a chunk larger than a batch is one of its own', () => {
  const { batcher, sealed } = batcherOf(256);
  batcher.add(chunkOf(1));
  batcher.add(chunkOf(9));
  expect(ranges(sealed)).toEqual([
    [0, 1],
    [1, 9],
  ]);
});

test('nothing waits, nothing is sealed; the linger is the caller’s', () => {
  const { batcher, sealed } = batcherOf(1024);
  batcher.flush();
  expect(sealed).toEqual([]);
  batcher.add(chunkOf(1));
  batcher.flush();
  batcher.flush();
  expect(ranges(sealed)).toEqual([[0, 1]]);
});

test('losses and skipped ranges go out with the next batch, also without items, once', () => {
  const { batcher, sealed } = batcherOf(1024);
  batcher.kernelLost(1, 0);
  batcher.skip(5, 0, 'spool_full');
  expect(batcher.pending).toBe(false);
  batcher.kernelLost(1, 3);
  batcher.skip(5, 2, 'disk_full');
  batcher.flush();
  batcher.kernelLost(1, 3);
  batcher.add(chunkOf(1));
  batcher.flush();
  expect(sealed).toEqual([
    expect.objectContaining({
      firstItem: 0,
      count: 0,
      kernelLosses: [{ probe: 1, count: 3, reason: 'ring_full' }],
      skipped: [{ firstItem: 5, count: 2, reason: 'disk_full' }],
    }),
    expect.objectContaining({ firstItem: 0, count: 1, kernelLosses: [], skipped: [] }),
  ]);
});

test('kernel losses are the session’s totals: each probe once a batch, and all of them again when asked for', () => {
  const { batcher, sealed } = batcherOf(1024);
  batcher.tellKernelLossesAgain();
  expect(batcher.pending).toBe(false);
  for (const [probe, total] of [
    [1, 3],
    [2, 9],
    [1, 5],
    [1, 4],
  ] as const)
    batcher.kernelLost(probe, total);
  batcher.flush();
  batcher.kernelLost(2, 10);
  batcher.flush();
  batcher.tellKernelLossesAgain();
  batcher.flush();
  const told = sealed.map(({ kernelLosses }) => (kernelLosses ?? []).map(({ probe, count }) => [probe, count]));
  expect(told).toEqual([
    [
      [1, 5],
      [2, 9],
    ],
    [[2, 10]],
    [
      [1, 5],
      [2, 10],
    ],
  ]);
});

test('a disk that stays full makes no batch larger: refused neighbours are one range', () => {
  const { batcher, sealed } = batcherOf(1024);
  // As the collector does: what a refused batch told is told again with the next one.
  for (let round = 0; round < 500; round++) {
    batcher.add(chunkOf(2));
    batcher.flush();
    const refused = sealed[round];
    batcher.skip(refused.firstItem, refused.count, 'disk_full');
    for (const range of refused.skipped ?? []) batcher.skip(range.firstItem ?? 0, range.count ?? 0, range.reason ?? '');
  }
  batcher.flush();
  expect(Math.max(...sealed.map(({ skipped }) => skipped?.length ?? 0))).toBe(1);
  expect(sealed.at(-1)?.skipped).toEqual([{ firstItem: 0, count: 1000, reason: 'disk_full' }]);
});

test('each batch has the clock offset of when it was sealed', () => {
  const { batcher, sealed } = batcherOf(128);
  batcher.add(chunkOf(1));
  batcher.clockOffset = { seconds: -1, nanos: 5 };
  batcher.add(chunkOf(1));
  expect(sealed.map(({ clockOffset }) => clockOffset)).toEqual([
    { seconds: 7, nanos: 8 },
    { seconds: -1, nanos: 5 },
  ]);
});

test('a namespace nobody knows is announced before its records are numbered', () => {
  const seen: number[] = [];
  const { batcher, sealed } = batcherOf(10_000, (b) => {
    seen.push(b.nextItem);
    // As the collector does: what is gathered belongs to what was known.
    b.flush();
    b.setKnown([1, 2, 2 ** 32 + 1]);
  });
  batcher.add(chunkOf(2));
  batcher.add(Buffer.concat([chunkOf(1), chunkOf(1, 2 ** 32 + 1)]));
  batcher.add(chunkOf(1, 2 ** 32 + 1));
  expect(seen).toEqual([2]);
  batcher.flush();
  expect(ranges(sealed)).toEqual([
    [0, 2],
    [2, 3],
  ]);
});

test('cookies are told apart by all of their bits', () => {
  let unknown = 0;
  const { batcher } = batcherOf(1e6, () => unknown++);
  batcher.setKnown([2 ** 32 + 5, 2 ** 52]);
  batcher.add(chunkOf(1, 2 ** 32 + 5));
  batcher.add(chunkOf(1, 2 ** 52));
  expect(unknown).toBe(0);
  batcher.add(chunkOf(1, 5));
  expect(unknown).toBe(1);
});

test('whatever the chunks, the batches hold their bytes in order, and the numbers have no hole', () => {
  const chunk = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.constantFrom(0, 64, 128), fc.nat({ max: 3 }));
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 40 }), fc.integer({ min: 1, max: 3000 }), (chunks, maxBytes) => {
      const { batcher, sealed } = batcherOf(maxBytes);
      const all = chunks.map(([count, tail, net]) => chunkOf(count, net, tail));
      for (const one of all) batcher.add(one);
      batcher.flush();
      expect(Buffer.concat(sealed.map(({ records }) => records ?? Buffer.alloc(0))).equals(Buffer.concat(all))).toBe(true);
      let next = 0;
      for (const { firstItem, count } of sealed) {
        expect(firstItem).toBe(next);
        next += count;
      }
      expect(next).toBe(chunks.reduce((sum, [count]) => sum + count, 0));
      expect(batcher.nextItem).toBe(next);
      const largest = Math.max(maxBytes, ...all.map((one) => one.length));
      for (const { records } of sealed) expect(records?.length).toBeLessThanOrEqual(largest);
    }),
  );
});

test('places in code that the stream has not named are announced before their records are numbered, by probe and flag', () => {
  const asked: [number, number][] = [];
  const announced: number[] = [];
  const named = new Set<number>();
  const siteAt = new Uint8Array(256);
  siteAt[3] = recordOffsets.v + 4;
  const batcher: Batcher = new Batcher(
    1e6,
    { seconds: 0, nanos: 0 },
    () => undefined,
    () => undefined,
    {
      places: {
        siteAt,
        see: (site, stack) => {
          asked.push([site, stack]);
          return named.has(site);
        },
      },
      unnamed: () => {
        announced.push(batcher.nextItem);
        for (const [site] of asked) named.add(site);
      },
    },
  );
  batcher.setKnown([1]);
  const drop = (site: number, stack?: number) => ({
    net: 1,
    probe: 3,
    v: [0, site],
    ...(stack === undefined ? {} : { stack, flags: recordFlags.STACK }),
  });
  batcher.add(
    Buffer.from(
      writeRecords([
        { net: 1, probe: 1, v: [0, 9] },
        { net: 1, probe: 0x0103, v: [0, 9] },
      ]),
    ),
  );
  expect(asked).toEqual([]);
  batcher.add(Buffer.from(writeRecords([drop(0xffff_fff0), drop(7, 4000)])));
  batcher.add(Buffer.from(writeRecords([drop(7, 4000)])));
  expect(asked).toEqual([
    [0xffff_fff0, -1],
    [7, 4000],
    [7, 4000],
  ]);
  expect(announced).toEqual([2]);
});

test('in the node’s own namespace a record of a cgroup that nobody knows is announced, elsewhere it is not', () => {
  let unknown = 0;
  const host = 2 ** 33 + 5;
  const { batcher } = batcherOf(1e6, () => unknown++);
  const add = (fields: RecordFields) => batcher.add(Buffer.from(writeRecords([{ flags: recordFlags.CGROUP, ...fields }])));
  batcher.setKnown([host, 7]);
  add({ net: host, cgroup: 99 });
  expect(unknown, 'nobody asks for cgroups yet').toBe(0);
  batcher.setKnownCgroups(host, [1, 2 ** 40 + 3]);
  add({ net: host, cgroup: 1 });
  add({ net: host, cgroup: 2 ** 40 + 3 });
  add({ net: host, cgroup: 99, flags: 0 });
  add({ net: 7, cgroup: 99 });
  expect(unknown).toBe(0);
  add({ net: host, cgroup: 99 });
  expect(unknown).toBe(1);
});

test('nobody is asked who a namespace is that the kernel could not tell', () => {
  let asked = 0;
  const { batcher } = batcherOf(1 << 20, () => asked++);
  batcher.add(chunkOf(3, 0));
  expect(asked).toBe(0);
  batcher.add(chunkOf(1, 3));
  expect(asked).toBe(1);
});
