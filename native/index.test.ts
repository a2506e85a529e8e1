import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-index-'));
afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

test('an addon that is not built is said so, with how to build it', async () => {
  vi.stubEnv('JITTERSCOPE_NATIVE', join(folder, 'none.node'));
  vi.resetModules();
  const { loadNative, nativeOrUndefined } = await import('./index.ts');
  expect(loadNative).toThrow(
    expect.objectContaining({ code: 'NATIVE_NOT_BUILT', exitCode: 69, remedy: expect.stringContaining('npm run build') }),
  );
  expect(nativeOrUndefined()).toBeUndefined();
});

test('a file that is no addon is said so, with what the loader found', async () => {
  const path = join(folder, 'broken.node');
  writeFileSync(path, 'not an addon');
  vi.stubEnv('JITTERSCOPE_NATIVE', path);
  const { loadNative } = await import('./index.ts');
  expect(loadNative).toThrow(expect.objectContaining({ code: 'NATIVE_NOT_LOADABLE', message: expect.stringContaining(path) }));
});

test('a BPF object that is not built is said so', async () => {
  const { readBpfObject } = await import('./index.ts');
  expect(() => readBpfObject('none')).toThrow(
    expect.objectContaining({ code: 'NATIVE_OBJECT_NOT_BUILT', message: expect.stringContaining('none.bpf.o') }),
  );
});

test('the addon loads once', async () => {
  const { loadNative, nativeOrUndefined } = await import('./index.ts');
  expect(nativeOrUndefined()).toBe(loadNative());
  expect(loadNative().libbpfVersion()).toMatch(/^\d+\.\d+/);
});
