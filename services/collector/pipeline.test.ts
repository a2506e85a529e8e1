import { expect, test } from 'vitest';
import { createLog, LogLimiter } from '../../core/log.ts';
import type { BpfObject } from '../../native/addon.ts';
import type { CollectorBody } from '../../proto/collect.ts';
import { counterKeyBytes, counterKeyOffsets, metrics } from '../../schema/record.gen.ts';
import { writeRecords } from '../../schema/record-writer.ts';
import { collectorConfig } from './config.ts';
import { KernelPlaces } from './kernel-places.ts';
import { emptyCollectorMetrics } from './metrics.ts';
import { CollectorPipeline, type PipelineParts } from './pipeline.ts';

const offset = { seconds: 1, nanos: 0 };

/** A node of which the test decides what it counts, which namespaces go, and which messages find room. */
function nodeOf() {
  const state = {
    counted: 0,
    /** Added to the counter with each read of the map. */
    morePerRead: 0,
    readable: true,
    gone: [] as number[],
    live: [] as { cookie: number; inode: number; path: string }[],
    /** Descriptors of namespaces. */
    held: 0,
    /** Times that somebody was asked who an unknown one is. */
    asked: 0,
    /** Batches that the spool has no room for, from now on. */
    batchesToRefuse: 0,
    shipped: [] as CollectorBody[],
    chunk: (_: Buffer): void => undefined,
  };
  const object = {
    readMap: (name: string) => {
      if (!state.readable) throw new Error('the map cannot be read');
      if (name !== 'counters') return Buffer.alloc(0);
      const bytes = Buffer.alloc(counterKeyBytes + 8);
      bytes.writeBigUInt64LE(7n, counterKeyOffsets.net);
      bytes.writeUInt16LE(metrics.RING_FULL, counterKeyOffsets.metric);
      bytes.writeUInt16LE(1, counterKeyOffsets.bucket);
      bytes.writeBigUInt64LE(BigInt(state.counted), counterKeyBytes);
      state.counted += state.morePerRead;
      return bytes;
    },
    mapDelete: () => true,
  } as unknown as BpfObject;
  let writes: Promise<void> = Promise.resolve();
  const parts = {
    clock: { offset, firstOffset: offset, bootNs: () => 1, wallNs: () => 1n, stepped: () => false, update: () => undefined },
    identity: {
      look: () => ({ told: undefined, gone: state.gone.splice(0) }),
      cookies: () => [7],
      cgroupsOf: () => undefined,
      cgroups: () => [],
      all: () => ({ netns: [], pods: [], nodeCgroups: [] }),
      live: () => state.live,
      unknown: () => state.asked++,
    },
    host: {
      open: (onChunk: (chunk: Buffer) => void) => {
        state.chunk = onChunk;
      },
      running: () => [{ probe: { number: 1 }, object }],
      loaded: () => [{ probe: { number: 1 }, object }],
      base: () => object,
      stop: () => Promise.resolve(),
      close: () => undefined,
    },
    orders: { start: () => ({ attached: ['all'] }), follow: () => undefined, close: () => undefined, gaps: () => [] },
    places: new KernelPlaces([], { stext: undefined, nameOf: () => '', readStack: () => undefined, deleteStack: () => undefined }),
    enums: [],
    config: collectorConfig.parse({}),
    lifeSigns: { downtime: () => undefined, write: () => undefined },
    metrics: emptyCollectorMetrics(),
    log: createLog('silent'),
    limiter: new LogLimiter(),
    sampling: {
      native: {
        openNetns: (path: string) => {
          state.held++;
          const cookie = Number(path);
          return { inode: cookie, cookie, readProcNet: () => [], dump: () => Buffer.alloc(0), close: () => state.held-- };
        },
      },
      baselines: { of: () => undefined, write: () => undefined },
      cgroups: () => [],
    },
    ship: (body: CollectorBody) => {
      // As the shipper does: whether there is room is known later.
      writes = writes.then(() => {
        if (body.batch && state.batchesToRefuse-- > 0) pipeline.refused(body);
        else state.shipped.push(body);
      });
    },
    written: () => writes,
  } as unknown as PipelineParts;
  const pipeline = new CollectorPipeline(parts);
  return { state, pipeline };
}

const lossesOf = (shipped: readonly CollectorBody[]) => shipped.flatMap(({ batch }) => batch?.kernelLosses ?? []).map(({ count }) => count);

test('what the last refused batch held is told once there is room', async () => {
  const { state, pipeline } = nodeOf();
  pipeline.start([{} as never]);
  state.batchesToRefuse = 1;
  state.counted = 3;
  state.chunk(Buffer.from(writeRecords([{ net: 7 }, { net: 7 }])));
  await pipeline.stop();
  const last = state.shipped.at(-1)?.batch;
  expect(last).toMatchObject({ firstItem: 2, count: 0, skipped: [{ firstItem: 0, count: 2, reason: 'disk_full' }] });
  expect(lossesOf(state.shipped)).toEqual([3]);
});

test('a counter map that cannot be read stops neither keyframes nor the end', async () => {
  const { state, pipeline } = nodeOf();
  state.readable = false;
  pipeline.start([{} as never]);
  await pipeline.stop();
  expect(state.shipped.filter(({ keyframe }) => keyframe)).toHaveLength(1);
  expect(state.shipped.filter(({ heartbeat }) => heartbeat).length).toBeGreaterThan(0);
});

test('kernel losses are told as totals', async () => {
  const { state, pipeline } = nodeOf();
  pipeline.start([{} as never]);
  state.counted = 5;
  await pipeline.stop();
  expect(lossesOf(state.shipped)).toEqual([5]);
});

test('a namespace that goes keeps in the totals what was read with the counters that are deleted', () => {
  const { state, pipeline } = nodeOf();
  pipeline.start([{} as never]);
  state.counted = 10;
  state.morePerRead = 1;
  state.gone = [7];
  pipeline.lookNow();
  // One read: had there been a second one, its value would be deleted and not kept.
  expect(state.counted).toBe(11);
});

test('a namespace that goes is let go even when its counters cannot be read', async () => {
  const { state, pipeline } = nodeOf();
  state.live = [{ cookie: 8, inode: 8, path: '8' }];
  pipeline.start([{} as never]);
  expect(state.held).toBe(1);
  state.live = [];
  state.gone = [8];
  state.readable = false;
  pipeline.lookNow();
  expect(state.held).toBe(0);
  await pipeline.stop();
});

test('records of who stays unknown do not keep the runtime busy', async () => {
  const { state, pipeline } = nodeOf();
  pipeline.start([{} as never]);
  const chunk = Buffer.from(writeRecords([{ net: 99 }]));
  for (let i = 0; i < 500; i++) state.chunk(chunk);
  expect(state.asked).toBeGreaterThan(0);
  expect(state.asked).toBeLessThan(100);
  await pipeline.stop();
});
