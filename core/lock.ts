import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { nativeOrUndefined } from '../native/index.ts';
import { AppError, errorTable, messageOf } from './app-error.ts';
import { type ProcessIdentity, processIdentity } from './process-identity.ts';
import { isOutOfSpace } from './system-error.ts';

const lockError = errorTable({
  DATA_DIR_LOCKED: {
    message: 'the data folder {dir} is in use by process {pid}: {command}',
    retryable: true,
    remedy: 'Stop that process, or give this one a folder of its own with --data-dir.',
    exitCode: 75,
  },
  DATA_DIR_UNUSABLE: {
    message: 'the data folder {dir} cannot be used: {cause}',
    retryable: false,
    remedy: 'Name a folder that can be made and written, with --data-dir.',
    exitCode: 78,
  },
  DATA_DIR_FULL: {
    message: 'no space is left in the data folder {dir}: {cause}',
    retryable: true,
    remedy: 'Free space on its file system, or name a folder on another one with --data-dir.',
    exitCode: 75,
  },
});

/** How long a start may take to write its name; a claim that is older was left by a process that died. */
const CLAIM_MS = 2_000;
const CLAIM_RETRY_MS = 20;

/** A data folder that this process holds. */
export interface DataDirLock {
  release(): Promise<void>;
}

/**
 * Takes a data folder for this process alone, creating it. Rejects with DATA_DIR_LOCKED, which names the holder,
 * DATA_DIR_FULL or DATA_DIR_UNUSABLE.
 * Held by flock(2) on `LOCK` where the addon loads: the kernel lets go of it whatever way the process ends. Without
 * the addon, by the process id and start time that `LOCK` holds; either kind respects the other.
 */
export async function lockDataDir(dir: string): Promise<DataDirLock> {
  try {
    return await take(dir, `${dir}/LOCK`);
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    throw lockError(isOutOfSpace(thrown) ? 'DATA_DIR_FULL' : 'DATA_DIR_UNUSABLE', { dir, cause: messageOf(thrown) }, thrown);
  }
}

async function take(dir: string, path: string): Promise<DataDirLock> {
  await makeFolder(dir);
  await (await open(path, 'a')).close();
  const native = nativeOrUndefined();
  if (native === undefined) return await claimed(path, () => takeByName(dir, path));
  const flock = native.lockFile(path);
  if (flock === undefined) throw locked(dir, await holderOf(path));
  try {
    await claimed(path, () => takeByName(dir, path));
  } catch (error) {
    flock.close();
    throw error;
  }
  return {
    release: async () => {
      await clear(path);
      flock.close();
    },
  };
}

/** As mkdir -p -m 700. Not mkdir's own recursion: in Node 20 it never returns where a file system makes no folders, as /proc. */
async function makeFolder(dir: string): Promise<void> {
  const make = async (): Promise<boolean> => {
    try {
      await mkdir(dir, { mode: 0o700 });
      return true;
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
      if (code === 'EEXIST' && (await stat(dir)).isDirectory()) return true;
      if (code === 'ENOENT') return false;
      throw thrown;
    }
  };
  if (await make()) return;
  const parent = dirname(dir);
  if (parent !== dir) await makeFolder(parent);
  await mkdir(dir, { mode: 0o700 });
}

async function takeByName(dir: string, path: string): Promise<DataDirLock> {
  const holder = await holderOf(path);
  if (holder !== undefined && isRunning(holder)) throw locked(dir, holder);
  await writeFile(path, `${JSON.stringify(processIdentity(process.pid))}\n`);
  return { release: () => clear(path) };
}

/** The name of a process that has ended holds nothing: a disk that refuses must not make its end a failure. */
async function clear(path: string): Promise<void> {
  await writeFile(path, '').catch(() => undefined);
}

/** Who wrote its name into the file; undefined when nobody did, or when it cannot be read. */
async function holderOf(path: string): Promise<ProcessIdentity | undefined> {
  try {
    const { pid, startTicks, command } = JSON.parse(await readFile(path, 'utf8')) as Partial<ProcessIdentity>;
    return typeof pid === 'number' && typeof startTicks === 'string' && typeof command === 'string'
      ? { pid, startTicks, command }
      : undefined;
  } catch {
    return undefined;
  }
}

function isRunning({ pid, startTicks }: ProcessIdentity): boolean {
  return processIdentity(pid)?.startTicks === startTicks;
}

function locked(dir: string, holder: ProcessIdentity | undefined): AppError {
  return lockError('DATA_DIR_LOCKED', {
    dir,
    pid: holder?.pid ?? 'unknown',
    command: holder?.command ?? 'it has not written its name yet',
  });
}

/** Looking and writing are two steps: a file that only one process can create keeps them together. */
async function claimed<Result>(path: string, body: () => Promise<Result>): Promise<Result> {
  const claim = `${path}.claim`;
  const givenUpAt = performance.now() + CLAIM_MS;
  for (;;) {
    try {
      await (await open(claim, 'wx')).close();
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      if (performance.now() > givenUpAt) await rm(claim, { force: true });
      else await new Promise((resolve) => setTimeout(resolve, CLAIM_RETRY_MS));
    }
  }
  try {
    return await body();
  } finally {
    await rm(claim, { force: true });
  }
}
