import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedLog, openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { topics } from '../../proto/bus.ts';
import type { CheckpointStore } from './checkpoint.ts';
import { type PartitionSnapshot, snapshotVersion } from './partition-state.ts';
import { topicCheckpoints } from './topic-checkpoints.ts';

let folder: string;
let bus: EmbeddedLog;
let store: CheckpointStore;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'jitterscope-topic-checkpoints-'));
  bus = await openEmbeddedLog({
    dir: folder,
    commitMs: 1,
    topics: [{ name: topics.state, partitions: 2, maxBytes: 256 * 1024 * 1024, retain: 'checkpoint' }],
  });
  store = topicCheckpoints(bus);
});

afterEach(async () => {
  await bus.close();
  rmSync(folder, { recursive: true });
});

const snapshotAt = (rawOffset: number) => ({ version: snapshotVersion, rawOffset }) as PartitionSnapshot;

async function* blocksOf(...sizes: number[]): AsyncGenerator<Uint8Array> {
  // One buffer for all of them, as the engine has it.
  const buffer = new Uint8Array(3_000_000);
  for (const [index, size] of sizes.entries()) yield buffer.fill(index + 1, 0, size).subarray(0, size);
}

test('what was saved last is loaded, with blocks of any size, by partition', async () => {
  expect(await store.load(0)).toEqual({ snapshot: undefined, blocks: [], damaged: [] });
  await store.save(0, snapshotAt(5), blocksOf(1, 3_000_000, 7));
  await store.save(1, snapshotAt(99));
  await store.save(0, snapshotAt(8), blocksOf(2_500_000, 1_048_576));
  const { snapshot, blocks, damaged } = await store.load(0);
  expect(snapshot?.rawOffset).toBe(8);
  expect(blocks.map((block) => [block.length, block[0], block.at(-1)])).toEqual([
    [2_500_000, 1, 1],
    [1_048_576, 2, 2],
  ]);
  expect(damaged).toEqual([]);
  expect((await store.load(1)).snapshot?.rawOffset).toBe(99);
});

test('of two that save at once each is whole, the one that is further counts; one that broke off does not', async () => {
  await Promise.all([store.save(0, snapshotAt(20), blocksOf(2_000_000)), store.save(0, snapshotAt(10), blocksOf(2_000_000, 5))]);
  const failing = (async function* () {
    yield new Uint8Array(2_000_000);
    throw new Error('killed');
  })();
  await expect(store.save(0, snapshotAt(30), failing)).rejects.toMatchObject({ code: 'AGGREGATOR_CHECKPOINT_FAILED' });
  const { snapshot, blocks } = await store.load(0);
  expect(snapshot?.rawOffset).toBe(20);
  expect(blocks.map(({ length }) => length)).toEqual([2_000_000]);
});

test('pieces that came twice, and messages that are none, change nothing', async () => {
  const saved: Uint8Array[] = [];
  await store.save(0, snapshotAt(4), blocksOf(2_500_000));
  const { next } = await bus.offsets(topics.state, 0);
  for await (const { messages } of bus.read(topics.state, 0, 0, { until: next }))
    for (const { value } of messages) saved.push(Uint8Array.from(value));
  // Saves that were begun and broke off.
  let begun = 0;
  const begin = (count: number) => Array.from({ length: count }, () => Buffer.from([...Buffer.alloc(16, ++begun), 0, 0, 0, 0, 0, 1, 2]));
  const between = saved.flatMap((value) => [value, ...begin(5), value]);
  await bus.append(topics.state, 1, [new Uint8Array(3), ...begin(40), ...between, ...begin(40), new Uint8Array(0)]);
  expect((await store.load(1)).snapshot?.rawOffset).toBe(4);
});
