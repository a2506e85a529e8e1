import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readAll, text, until } from './contract.ts';
import { type Disk, localDisk } from './disk.ts';
import { type EmbeddedLog, openEmbeddedLog } from './embedded-log.ts';

let dir: string;
let log: EmbeddedLog;
let calls: { writev: number; fdatasync: number };
/** Called before a call to the disk; what it throws is the call's failure. */
let fault: (call: 'writev' | 'fdatasync' | 'truncate' | 'rename' | 'open') => void;

beforeEach(async () => {
  dir = await mkdtemp(`${tmpdir()}/jitterscope-commit-`);
  calls = { writev: 0, fdatasync: 0 };
  fault = () => undefined;
  await open({});
});

afterEach(async () => {
  await log.close();
  await rm(dir, { recursive: true });
});

test('appends made together become one write and one fdatasync', async () => {
  await log.append('t', 0, [text('first')]);
  const before = { ...calls };
  await Promise.all(Array.from({ length: 3000 }, (_, index) => log.append('t', 0, [text(`m${index}`)])));
  expect(calls.writev - before.writev).toBe(1);
  expect(calls.fdatasync - before.fdatasync).toBe(1);
  expect((await readAll(log, 't', 0, 1, 3001)).values).toEqual(Array.from({ length: 3000 }, (_, index) => `m${index}`));
});

test('writes of a partition are at least commitMs apart', async () => {
  await log.close();
  await open({ commitMs: 50 });
  const started = performance.now();
  let commits = 0;
  while (performance.now() - started < 500) {
    await log.append('t', 0, [text('x')]);
    commits++;
  }
  const elapsed = performance.now() - started;
  expect(log.stats()[0].commits).toBe(commits);
  // A timer may fire a millisecond early, and the first write waits for nobody.
  expect(commits).toBeLessThanOrEqual(elapsed / 49 + 2);
});

test('commits of a group are gathered into one replaced file', async () => {
  const before = calls.fdatasync;
  await log.append(
    't',
    0,
    Array.from({ length: 100 }, () => text('x')),
  );
  await Promise.all(Array.from({ length: 100 }, (_, index) => log.commit('g', 't', 0, { offset: index, metadata: `${index}` })));
  expect(await log.committed('g', 't', 0)).toEqual({ offset: 99, metadata: '99' });
  expect(calls.fdatasync - before).toBe(2);
});

test('a commit may go back, and one that is no offset of the log is refused', async () => {
  await log.append('t', 0, [text('x'), text('y')]);
  await log.commit('g', 't', 0, { offset: 2, metadata: '' });
  await log.commit('g', 't', 0, { offset: 1, metadata: '' });
  expect((await log.committed('g', 't', 0))?.offset).toBe(1);
  for (const offset of [3, -1, 0.5, Number.NaN]) {
    await expect(log.commit('g', 't', 0, { offset, metadata: '' })).rejects.toMatchObject({ code: 'BUS_OFFSET' });
  }
});

test.each([
  ['ENOSPC', 'writev', 'BUS_DISK_FULL', true],
  ['ENOSPC', 'fdatasync', 'BUS_DISK_FULL', true],
  ['EDQUOT', 'writev', 'BUS_DISK_FULL', true],
  ['EIO', 'writev', 'BUS_IO', false],
  ['EIO', 'fdatasync', 'BUS_IO', false],
] as const)(
  '%s of %s rejects that group with %s, leaves nothing behind, and the next append works',
  async (errno, call, code, retryable) => {
    await log.append('t', 0, [text('before')]);
    fault = failing(call, errno);
    const group = [log.append('t', 0, [text('lost 1')]), log.append('t', 0, [text('lost 2')])];
    for (const result of await Promise.allSettled(group)) expect(result).toMatchObject({ status: 'rejected', reason: { code, retryable } });
    fault = () => undefined;
    expect(await log.append('t', 0, [text('after')])).toBe(1);
    expect((await readAll(log, 't', 0, 0, 2)).values).toEqual(['before', 'after']);
    await log.close();
    await open({});
    expect(await readAll(log, 't', 0, 0, 2)).toMatchObject({ values: ['before', 'after'], holes: [] });
  },
);

test('while torn bytes cannot be cut, appends are refused; then they are cut first', async () => {
  await log.append('t', 0, [text('before')]);
  let written = false;
  fault = (call) => {
    if (call === 'writev' && !written) {
      written = true;
      return;
    }
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  await expect(log.append('t', 0, [text('written, never durable')])).rejects.toMatchObject({ code: 'BUS_IO' });
  await expect(log.append('t', 0, [text('refused')])).rejects.toMatchObject({ code: 'BUS_IO' });
  fault = () => undefined;
  await log.append('t', 0, [text('after')]);
  expect((await readAll(log, 't', 0, 0, 2)).values).toEqual(['before', 'after']);
});

test('a segment that cannot be created refuses the append, and the next one works', async () => {
  await log.close();
  await open({ segmentBytes: 100 });
  await log.append('t', 0, [new Uint8Array(200)]);
  fault = failing('open', 'ENOSPC');
  await expect(log.append('t', 0, [text('x')])).rejects.toMatchObject({ code: 'BUS_DISK_FULL' });
  fault = () => undefined;
  expect(await log.append('t', 0, [text('y')])).toBe(1);
  expect((await readAll(log, 't', 0, 1, 2)).values).toEqual(['y']);
});

test('a commit that cannot be written is rejected and does not count', async () => {
  await log.append('t', 0, [text('x')]);
  await log.commit('g', 't', 0, { offset: 0, metadata: 'old' });
  fault = failing('rename', 'ENOSPC');
  await expect(log.commit('g', 't', 0, { offset: 1, metadata: 'new' })).rejects.toMatchObject({ code: 'BUS_DISK_FULL', retryable: true });
  expect(await log.committed('g', 't', 0)).toEqual({ offset: 0, metadata: 'old' });
});

test('short writes are continued where they ended', async () => {
  await log.close();
  await open({ shortWrites: true });
  const values = Array.from({ length: 20 }, (_, index) => text(`message ${index} `.repeat(index)));
  await log.append('t', 0, values);
  expect((await readAll(log, 't', 0, 0, 20)).values).toEqual(values.map((value) => Buffer.from(value).toString()));
});

test('what may wait is bounded: beyond it appends are refused at once', async () => {
  await log.close();
  await open({ maxPendingBytes: 10_000 });
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => log.append('t', 0, [new Uint8Array(1000)])));
  const refused = results.filter(({ status }) => status === 'rejected');
  expect(refused.length).toBe(11);
  expect(refused[0]).toMatchObject({ reason: { code: 'BUS_BUSY', retryable: true } });
  expect(await log.append('t', 0, [new Uint8Array(20_000)])).toBe(9);
});

test('close writes what waits, ends readers, and refuses what comes after', async () => {
  await log.append('t', 0, [text('0')]);
  let seen = 0;
  const reading = (async () => {
    for await (const fetch of log.read('t', 0, 0, {})) seen += fetch.messages.length;
  })();
  await until(() => seen === 1);
  const pending = log.append('t', 0, [text('1')]);
  await log.close();
  expect(await pending).toBe(1);
  await reading;
  await expect(log.append('t', 0, [text('2')])).rejects.toMatchObject({ code: 'BUS_CLOSED' });
  await expect(log.consume({ group: 'g', topic: 't', handle: async () => undefined })).rejects.toMatchObject({ code: 'BUS_CLOSED' });
});

test('a start beyond the end is refused with both numbers', async () => {
  await log.append('t', 0, [text('0')]);
  await expect(readAll(log, 't', 0, 5, 6)).rejects.toMatchObject({ code: 'BUS_OFFSET', details: { found: 5, next: 1 } });
});

test('the cap is at most 80 % of what is free', async () => {
  await log.close();
  const { bavail, bsize } = await statfs(dir);
  await open({ maxBytes: Number.MAX_SAFE_INTEGER });
  expect(log.stats()[0].maxBytes).toBeLessThan(bavail * bsize * 0.9);
  expect(log.stats()[0].maxBytes).toBeGreaterThan(bavail * bsize * 0.7);
});

test.each([
  [{ name: 'a/b' }, 'BUS_TOPIC_NAME'],
  [{ name: 'groups' }, 'BUS_TOPIC_NAME'],
  [{ name: '..' }, 'BUS_TOPIC_NAME'],
  [{ partitions: 0 }, 'BUS_TOPIC_SPEC'],
  [{ maxBytes: -1 }, 'BUS_TOPIC_SPEC'],
])('a topic of %j is refused with %s', async (change, code) => {
  const topics = [{ name: 't', partitions: 1, maxBytes: 1e6, retain: 'oldest', ...change }] as const;
  await expect(openEmbeddedLog({ dir: `${dir}/other`, topics })).rejects.toMatchObject({ code });
});

interface Settings {
  readonly commitMs?: number;
  readonly segmentBytes?: number;
  readonly maxPendingBytes?: number;
  readonly maxBytes?: number;
  readonly shortWrites?: boolean;
}

async function open({ shortWrites = false, maxBytes = 64 * 1024 * 1024, ...sizes }: Settings): Promise<void> {
  const guarded =
    <Arguments extends unknown[], Result>(call: Parameters<typeof fault>[0], run: (...given: Arguments) => Promise<Result>) =>
    async (...given: Arguments): Promise<Result> => {
      fault(call);
      return run(...given);
    };
  const disk: Disk = {
    ...localDisk,
    open: guarded('open', localDisk.open),
    truncate: guarded('truncate', localDisk.truncate),
    rename: guarded('rename', localDisk.rename),
    writev: guarded('writev', (fd, buffers, position) => {
      calls.writev++;
      const first = buffers[0].subarray(0, Math.max(1, buffers[0].byteLength >> 1));
      return localDisk.writev(fd, shortWrites ? [first] : buffers, position);
    }),
    fdatasync: guarded('fdatasync', (fd) => {
      calls.fdatasync++;
      return localDisk.fdatasync(fd);
    }),
  };
  log = await openEmbeddedLog({ dir, topics: [{ name: 't', partitions: 1, maxBytes, retain: 'oldest' }], commitMs: 1, disk, ...sizes });
}

function failing(at: string, code: string): typeof fault {
  return (call) => {
    if (call === at) throw Object.assign(new Error(`${code}: test`), { code });
  };
}
