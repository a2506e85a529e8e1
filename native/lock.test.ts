import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { addonPath, loadNative } from './index.ts';

const native = loadNative();
const folder = mkdtempSync(join(tmpdir(), 'jitterscope-lock-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('one holder at a time; close gives it back, once', () => {
  const path = join(folder, 'LOCK');
  const lock = native.lockFile(path);
  expect(lock).toBeDefined();
  expect(native.lockFile(path)).toBeUndefined();
  lock?.close();
  lock?.close();
  const again = native.lockFile(path);
  expect(again).toBeDefined();
  again?.close();
});

test('another process holds it until it is killed', async () => {
  const path = join(folder, 'OTHER');
  const code = `require(process.argv[1]).lockFile(process.argv[2]); console.log('held'); setInterval(() => {}, 1000)`;
  const holder = spawn(process.execPath, ['-e', code, addonPath(), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(holder.stdout, 'data');
    expect(native.lockFile(path)).toBeUndefined();
  } finally {
    holder.kill('SIGKILL');
  }
  const lock = await vi.waitUntil(() => native.lockFile(path), { timeout: 30_000 });
  lock.close();
});

test.each([
  ['a folder that is not there', join(folder, 'none', 'LOCK'), 'ENOENT'],
  ['a folder', folder, 'EISDIR'],
])('%s cannot be locked, and the error says so', (_, path, errnoName) => {
  expect(() => native.lockFile(path)).toThrow(
    expect.objectContaining({ code: 'NATIVE_LOCK', errnoName, hint: expect.stringMatching(/.+/) }),
  );
});
