import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { syntheticNetns, syntheticRecords } from '../bench/synthetic-records.ts';
import { loadNative } from '../native/index.ts';
import { type CollectorBody, CollectorMessage } from '../proto/collect.ts';
import { rawOf, TestPartition } from '../services/aggregator/test-stream.ts';
import { Batcher, type SealedBatch } from '../services/collector/batcher.ts';
import { temporaryFolder } from './support/data-folder.ts';

const records = 20_000;
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Records of a file through the addon's reader, the collector's batcher and the aggregator: the events' lines. */
async function linesOf(file: string, chunkBytes: number, batchBytes: number): Promise<readonly string[]> {
  const messages: CollectorBody[] = [{ keyframe: { nextItem: 0, parts: 1, identity: { netns: syntheticNetns() } } }];
  const seal = (batch: SealedBatch): void => void messages.push({ batch });
  const batcher = new Batcher(batchBytes, { seconds: 1_800_000_000, nanos: 0 }, seal, () => undefined);
  const reader = loadNative().startReplay(file, { drainMs: 1, chunkBytes, maxChunks: 4 }, (chunk) => batcher.add(chunk));
  await reader.ended;
  batcher.flush();
  expect(reader.stats()).toMatchObject({ records, malformed: 0 });
  const partition = new TestPartition();
  // What the spool and the wire do with a message: encode, and decode again.
  const bodies = messages.map((body, index) => CollectorMessage.decode(CollectorMessage.encode({ ...body, seq: index + 1 }).finish()));
  await partition.feed(...bodies.map((body) => rawOf(body)));
  return partition.lines;
}

test('chunks of any size in batches of any size give the same lines, byte for byte', async () => {
  const file = join(folder.path, 'records.bin');
  writeFileSync(file, syntheticRecords(records, 1e14, 2_000));
  const lines = await linesOf(file, 256 * 1024, 256 * 1024);
  expect(lines).toHaveLength(records);
  for (const [chunkBytes, batchBytes] of [
    [256, 64 * 1024],
    [4_096, 1_000],
    [64 * 1024, 1024 * 1024],
  ]) {
    expect(await linesOf(file, chunkBytes, batchBytes)).toEqual(lines);
  }
});
