import { expect, test } from 'vitest';
import { decodeEventBatch, joinEventBatches } from '../../schema/event-batch.ts';
import type { Batch, Sink } from './sink.ts';
import { encodeEvents, idIn, idOf, viewOf } from './test-events.ts';

/** A store under test. */
export interface SinkUnderTest {
  /** Opens a sink on the store; the one before is closed. */
  open(): Promise<Sink>;
  /** Ids of the events that the store holds of a partition, in its order. */
  stored(partition: number): Promise<readonly string[]>;
  /** Removes the store. */
  destroy(): Promise<void>;
  /** Makes the store refuse this event for good from now on; absent where a store refuses none. */
  refuse?(number: number): void;
}

const ids = (first: number, count: number, partition = 0) => Array.from({ length: count }, (_, index) => idIn(partition, first + index));
const all = (partition: number, first: number, count: number): Batch => ({
  partition,
  view: viewOf(first, count, partition),
  items: Uint32Array.from({ length: count }, (_, row) => row),
});

/** What every sink must do. */
export function sinkContract(name: string, make: () => Promise<SinkUnderTest>): void {
  const contract = (promise: string, check: (under: SinkUnderTest, sink: Sink, signal: AbortSignal) => Promise<void>) =>
    test(`${name} ${promise}`, async () => {
      const under = await make();
      try {
        const sink = await under.open();
        await check(under, sink, new AbortController().signal);
        await sink.close();
      } finally {
        await under.destroy();
      }
    });

  contract('stores each event once, in order per partition', async (under, sink, signal) => {
    for (let batch = 0; batch < 5; batch++) {
      expect(await sink.deliver(all(0, batch * 10, 10), signal)).toEqual({});
      expect(await sink.deliver(all(3, batch * 7, 7), signal)).toEqual({});
    }
    expect(await under.stored(0)).toEqual(ids(0, 50));
    expect(await under.stored(3)).toEqual(ids(0, 35, 3));
    expect(await under.stored(1)).toEqual([]);
  });

  contract('takes partitions at the same time', async (under, sink, signal) => {
    await Promise.all(
      [0, 1, 2, 3].map(async (partition) => {
        for (let batch = 0; batch < 5; batch++) await sink.deliver(all(partition, batch * 10, 10), signal);
      }),
    );
    for (const partition of [0, 1, 2, 3]) expect(await under.stored(partition)).toEqual(ids(0, 50, partition));
  });

  contract('stores the named items only', async (under, sink, signal) => {
    await sink.deliver({ partition: 0, view: viewOf(0, 10), items: Uint32Array.of(1, 2, 5, 9) }, signal);
    expect(await under.stored(0)).toEqual([1, 2, 5, 9].map(idOf));
  });

  contract('takes several batches as one', async (under, sink, signal) => {
    const view = joinEventBatches(
      [
        [0, 4],
        [4, 1],
        [5, 6],
      ].map(([first, count]) => decodeEventBatch(encodeEvents(first, count))),
    );
    await sink.deliver({ partition: 0, view, items: Uint32Array.from({ length: 9 }, (_, index) => index + 2) }, signal);
    expect(await under.stored(0)).toEqual(ids(2, 9));
  });

  contract('takes no items, and many', async (under, sink, signal) => {
    expect(await sink.deliver({ partition: 0, view: viewOf(0, 1), items: new Uint32Array(0) }, signal)).toEqual({});
    expect(await under.stored(0)).toEqual([]);
    await sink.deliver(all(0, 0, 20_000), signal);
    expect(await under.stored(0)).toEqual(ids(0, 20_000));
  });

  contract('goes on after it was opened anew, and says where', async (under, sink, signal) => {
    await sink.deliver(all(0, 0, 10), signal);
    await sink.close();
    const again = await under.open();
    if (again.delivered) expect(again.delivered(0)).toEqual({ rawOffset: 2, ordinal: 1, eventId: idOf(9) });
    expect(again.delivered?.(1)).toBeUndefined();
    await again.deliver(all(0, 10, 10), signal);
    if (again.delivered) expect(again.delivered(0)).toEqual({ rawOffset: 4, ordinal: 3, eventId: idOf(19) });
    await again.close();
    expect(await under.stored(0)).toEqual(ids(0, 20));
  });

  contract('stores nothing for an aborted signal, and rejects with its reason', async (under, sink, signal) => {
    const reason = new Error('closing');
    await expect(sink.deliver(all(0, 0, 10), AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await under.stored(0)).toEqual([]);
    await sink.deliver(all(0, 0, 10), signal);
    expect(await under.stored(0)).toEqual(ids(0, 10));
  });

  contract('finds what it holds, where it can be asked', async (_under, sink, signal) => {
    if (sink.find === undefined) return;
    await sink.deliver({ partition: 0, view: viewOf(0, 10), items: Uint32Array.of(1, 2, 5, 9) }, signal);
    expect([...((await sink.find(all(0, 0, 10), signal)) ?? [])].sort()).toEqual([1, 2, 5, 9].map(idOf));
  });

  contract('names what the store refuses, and stores the rest', async (under, sink, signal) => {
    if (under.refuse === undefined) return;
    under.refuse(3);
    const { rejected } = await sink.deliver(all(0, 0, 10), signal);
    expect(rejected?.map(({ item }) => item)).toEqual([3]);
    expect(await under.stored(0)).toEqual(ids(0, 10).filter((id) => id !== idOf(3)));
  });

  contract('is usable when checked, and may be closed twice', async (_under, sink, signal) => {
    await sink.check(signal);
    await sink.close();
    await sink.close();
  });
}
