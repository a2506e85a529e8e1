import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { nativeOrUndefined } from '../native/index.ts';
import { until } from './bus/contract.ts';
import { lockDataDir } from './lock.ts';
import { processIdentity } from './process-identity.ts';

const addon = vi.hoisted(() => ({ used: true }));
vi.mock('../native/index.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../native/index.ts')>();
  return { ...original, nativeOrUndefined: () => (addon.used ? original.nativeOrUndefined() : undefined) };
});

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(`${tmpdir()}/jitterscope-lock-`);
});

afterEach(() => rm(dir, { recursive: true }));

const kinds = nativeOrUndefined() === undefined ? [false] : [true, false];

describe.each(kinds)('with the addon: %s', (used) => {
  beforeEach(() => {
    addon.used = used;
  });

  test('a folder is held by one, and is free again after release', async () => {
    const lock = await lockDataDir(`${dir}/new/folder`);
    const held = { code: 'DATA_DIR_LOCKED', details: { pid: process.pid }, exitCode: 75 };
    await expect(lockDataDir(`${dir}/new/folder`)).rejects.toMatchObject(held);
    await lock.release();
    await (await lockDataDir(`${dir}/new/folder`)).release();
    expect(await readdir(`${dir}/new/folder`)).toEqual(['LOCK']);
  });

  test('the error names the holder with its command line; a holder that ended holds nothing', async () => {
    const holder = spawn('sleep', ['1000']);
    try {
      await until(() => processIdentity(holder.pid ?? 0)?.command === 'sleep 1000');
      await writeFile(`${dir}/LOCK`, JSON.stringify(processIdentity(holder.pid ?? 0)));
      await expect(lockDataDir(dir)).rejects.toThrow(`is in use by process ${holder.pid}: sleep 1000`);
    } finally {
      holder.kill('SIGKILL');
    }
    await until(() => processIdentity(holder.pid ?? 0) === undefined);
    const lock = await lockDataDir(dir);
    expect(JSON.parse(await readFile(`${dir}/LOCK`, 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
  });

  test('a process that has the id of a dead holder is not taken for it', async () => {
    await writeFile(`${dir}/LOCK`, JSON.stringify({ ...processIdentity(process.ppid), startTicks: '1' }));
    await (await lockDataDir(dir)).release();
  });

  test.each(['', 'garbage', '{"pid":"1"}', 'null'])('a LOCK that holds %j holds nobody', async (content) => {
    await writeFile(`${dir}/LOCK`, content);
    await (await lockDataDir(dir)).release();
  });

  test('a claim that a dying process left behind is passed after a while', async () => {
    await writeFile(`${dir}/LOCK.claim`, '');
    await (await lockDataDir(dir)).release();
    expect(await readdir(dir)).toEqual(['LOCK']);
  });

  test('of many that try at once one gets it', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 10 }, () => lockDataDir(dir)));
    const won = tries.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(won).toHaveLength(1);
    await won[0].release();
  });
});

test.skipIf(kinds.length === 1)('a holder with the addon and one without respect each other', async () => {
  for (const first of kinds) {
    addon.used = first;
    const lock = await lockDataDir(dir);
    addon.used = !first;
    await expect(lockDataDir(dir)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await lock.release();
    await (await lockDataDir(dir)).release();
  }
});

test('the folder is made for its owner alone, with the folders above it', async () => {
  const before = process.umask(0);
  try {
    await (await lockDataDir(`${dir}/above/data`)).release();
  } finally {
    process.umask(before);
  }
  expect((await stat(`${dir}/above/data`)).mode & 0o777).toBe(0o700);
});

// Node 20's recursive mkdir never returns from /proc.
test.each(['/proc/jitterscope', '/proc/jitterscope/below', '/dev/null', '/dev/null/below'])(
  '%s, which cannot be a folder, is refused',
  async (path) => {
    await expect(lockDataDir(path)).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE', details: { dir: path }, exitCode: 78 });
  },
);
