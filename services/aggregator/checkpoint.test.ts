import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { crc32c } from '../../core/crc32c.ts';
import { fileCheckpoints } from './checkpoint.ts';
import { PartitionState } from './partition-state.ts';
import { batchOf, netnsOf, rawOf, reset, TestPartition } from './test-stream.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-checkpoint-'));
afterAll(() => rmSync(dir, { recursive: true }));
beforeEach(() => rmSync(join(dir, '0'), { recursive: true, force: true }));

/** A state with all that a state can hold. */
async function stateAt(rawOffset: number): Promise<PartitionState> {
  const partition = new TestPartition();
  await partition.feed(
    rawOf({
      seq: 1,
      keyframe: {
        nextItem: 3,
        identity: { netns: [netnsOf(4101, { toBootNs: 9e9 }), netnsOf(7)] },
        enums: [{ name: 'e', values: [{ value: 3, name: '"x"' }] }],
      },
    }),
    rawOf({
      seq: 2,
      batch: {
        ...batchOf(9, 4, (item) => reset(item % 2 ? { net: 5000 } : { probe: item === 10 ? 99 : 1 })),
        skipped: [{ firstItem: 3, count: 6, reason: 'spool_full' }],
      },
    }),
    rawOf({ seq: 2, batch: batchOf(9, 2) }),
  );
  partition.state.rawOffset = rawOffset;
  partition.state.unreadable.damaged = 4;
  partition.state.complete = false;
  return partition.state;
}

function files(): string[] {
  return readdirSync(join(dir, '0')).sort();
}

test('what is saved is loaded, the newest of it, and two are kept', async () => {
  const store = fileCheckpoints(dir);
  expect(await store.load(0)).toEqual({ snapshot: undefined, blocks: [], damaged: [] });
  for (const offset of [5, 900, 1_000, 12_345_678_901]) await store.save(0, (await stateAt(offset)).snapshot());
  expect(files()).toEqual(['00000000000000001000.ckpt', '00000000012345678901.ckpt']);
  const { snapshot } = await fileCheckpoints(dir).load(0);
  expect(snapshot).toEqual(JSON.parse(JSON.stringify((await stateAt(12_345_678_901)).snapshot())));
});

test('a state restored from its checkpoint is the state', async () => {
  const before = await stateAt(77);
  expect(before.dispositions).toMatchObject({ held: 2, gaps: 6, skipped: { spool_full: 6 }, rejected: { unknown_probe: 1 }, repeats: 2 });
  await fileCheckpoints(dir).save(0, before.snapshot());
  const after = new PartitionState();
  after.restore((await fileCheckpoints(dir).load(0)).snapshot!);
  expect(after.snapshot()).toEqual(before.snapshot());
  expect(after.expectedItems).toBe(before.expectedItems);
  expect(after.heldBytes).toBe(before.heldBytes);
});

test('the same offset can be saved again', async () => {
  const store = fileCheckpoints(dir);
  for (let n = 0; n < 3; n++) await store.save(0, (await stateAt(5)).snapshot());
  expect(files()).toEqual(['00000000000000000005.ckpt']);
});

test('damage at any byte, and any cut, is found: the older one is used and the damage told', async () => {
  const store = fileCheckpoints(dir);
  await store.save(0, (await stateAt(5)).snapshot());
  await store.save(0, (await stateAt(6)).snapshot());
  const newest = join(dir, '0', files()[1]);
  const whole = readFileSync(newest);
  const older = async (what: string) => {
    const { snapshot, damaged } = await store.load(0);
    expect(snapshot?.rawOffset, what).toBe(5);
    expect(damaged).toEqual([expect.objectContaining({ code: 'AGGREGATOR_CHECKPOINT_DAMAGED', message: expect.stringContaining(newest) })]);
  };
  for (let at = 0; at < whole.length; at += at < 64 ? 1 : 13) {
    const bytes = Buffer.from(whole);
    bytes[at] ^= 1 << (at % 8);
    writeFileSync(newest, bytes);
    await older(`byte ${at}`);
    writeFileSync(newest, whole.subarray(0, at));
    await older(`cut at ${at}`);
  }
  writeFileSync(newest, Buffer.concat([whole, Buffer.from('x')]));
  await older('a byte too many');
  writeFileSync(newest, whole);
  expect((await store.load(0)).snapshot?.rawOffset).toBe(6);
});

test('all of them damaged is told for each, and nothing is loaded', async () => {
  const store = fileCheckpoints(dir);
  await store.save(0, (await stateAt(5)).snapshot());
  await store.save(0, (await stateAt(6)).snapshot());
  for (const name of files()) writeFileSync(join(dir, '0', name), 'JSCKPT1\n');
  const { snapshot, damaged } = await store.load(0);
  expect(snapshot).toBeUndefined();
  expect(damaged).toHaveLength(2);
});

test('a checkpoint of another version is passed over', async () => {
  const store = fileCheckpoints(dir);
  await store.save(0, (await stateAt(5)).snapshot());
  const body = Buffer.from(JSON.stringify({ ...(await stateAt(6)).snapshot(), version: 99 }));
  const header = Buffer.from('JSCKPT2\n\0\0\0\0\0\0\0\0');
  header.writeUInt32LE(body.length, 8);
  header.writeUInt32LE(crc32c(body), 12);
  const end = Buffer.from([0, 0, 0, 0, 1, 0, 0, 0]);
  writeFileSync(join(dir, '0', '00000000000000000006.ckpt'), Buffer.concat([header, body, end]));
  const { snapshot, damaged } = await store.load(0);
  expect(snapshot?.rawOffset).toBe(5);
  expect(damaged[0].message).toMatch(/version 99, expected 6/);
});

test('a file that a crash left half written is no checkpoint', async () => {
  const store = fileCheckpoints(dir);
  await store.save(0, (await stateAt(5)).snapshot());
  writeFileSync(join(dir, '0', '00000000000000000006.ckpt.tmp'), 'half');
  expect((await store.load(0)).snapshot?.rawOffset).toBe(5);
});
