import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findEndpoint } from './endpoint.ts';

function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-endpoint-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function listen(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => void server.close());
}

test('auto takes the first socket that is there; files and what is missing are passed over', async () => {
  const folder = folderOf();
  const [missing, file, second, third] = ['missing', 'file', 'second.sock', 'third.sock'].map((name) => join(folder, name));
  writeFileSync(file, '');
  await listen(second);
  await listen(third);
  expect(findEndpoint('auto', [missing, file, second, third])).toMatchObject({ socket: second, problem: undefined });
});

test('without any, auto says where it looked, and what to do', () => {
  const missing = join(folderOf(), 'missing');
  const { socket, problem, remedy } = findEndpoint('auto', [missing]);
  expect(socket).toBeUndefined();
  expect(problem).toContain(missing);
  expect(remedy).toContain('collector.cri.socket');
});

test('a configured path is the only one that is looked at', async () => {
  const folder = folderOf();
  await listen(join(folder, 'other.sock'));
  writeFileSync(join(folder, 'file'), '');
  const other = [join(folder, 'other.sock')];
  expect(findEndpoint(join(folder, 'file'), other)).toMatchObject({ socket: undefined, problem: `${join(folder, 'file')} is no socket` });
  expect(findEndpoint(join(folder, 'missing'), other).problem).toMatch(/missing is not there \(ENOENT\)$/);
  expect(findEndpoint('off', other)).toEqual({ socket: undefined, problem: undefined, remedy: '' });
});
