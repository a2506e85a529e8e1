import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { maxSocketPathBytes } from '../core/control.ts';
import { shortSocketPath } from './socket-path.ts';

let runtime = '';
beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), 'js-'));
  vi.stubEnv('XDG_RUNTIME_DIR', runtime);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(runtime, { recursive: true });
});

const name = 'control.sock';
const pathOf = (bytes: number): string => `/${'d'.repeat(bytes - name.length - 2)}/${name}`;

test('a path that the kernel takes whole stays where it is', () => {
  expect(shortSocketPath(pathOf(107))).toBe(pathOf(107));
  expect(shortSocketPath('control.sock')).toBe(resolve('control.sock'));
});

test('a longer one moves to a folder for its owner alone, always the same one', () => {
  const short = shortSocketPath(pathOf(108));
  expect(Buffer.byteLength(short)).toBeLessThanOrEqual(maxSocketPathBytes);
  expect(short.startsWith(`${runtime}/jitterscope-`)).toBe(true);
  expect(short.endsWith(`/${name}`)).toBe(true);
  expect(statSync(dirname(short)).mode & 0o777).toBe(0o700);
  expect(shortSocketPath(pathOf(108))).toBe(short);
});

test('sockets of other folders, and other sockets, have other paths', () => {
  const paths = [pathOf(108), pathOf(109), pathOf(108).replace('control', 'collect')].map(shortSocketPath);
  expect(new Set(paths).size).toBe(3);
});

test('the length counts in bytes', () => {
  const path = `/${'ü'.repeat(60)}/${name}`;
  expect(path.length).toBeLessThan(107);
  expect(shortSocketPath(path)).not.toBe(path);
});

test.each<[string, RegExp, (folder: string) => void]>([
  ['a link', /is not a folder/, (folder) => symlinkSync(runtime, folder)],
  ['a file', /is not a folder/, (folder) => writeFileSync(folder, '')],
  [
    'open to others',
    /others may use it \(mode 755/,
    (folder) => {
      mkdirSync(folder);
      chmodSync(folder, 0o755);
    },
  ],
])('a folder that is %s is refused', (_, says, make) => {
  const folder = dirname(shortSocketPath(pathOf(108)));
  rmSync(folder, { recursive: true });
  make(folder);
  expect(() => shortSocketPath(pathOf(108))).toThrow(says);
  expect(() => shortSocketPath(pathOf(108))).toThrow(expect.objectContaining({ code: 'SOCKET_FOLDER', exitCode: 78 }));
});

test.skipIf(process.getuid?.() !== 0)('a folder of another user is refused', () => {
  const folder = dirname(shortSocketPath(pathOf(108)));
  chownSync(folder, 12_345, 12_345);
  expect(() => shortSocketPath(pathOf(108))).toThrow(/belongs to the user 12345/);
});
