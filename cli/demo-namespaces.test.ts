import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isForeign, lockDemo, mark } from './demo-namespaces.ts';

test("a namespace is the demo's only while it is the one that the demo made", () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-demo-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const folders = { netns: join(dir, 'netns'), marks: join(dir, 'marks') };
  mkdirSync(folders.netns);
  const path = join(folders.netns, 'demo-web');
  expect(isForeign('demo-web', folders), 'there is none').toBe(false);
  writeFileSync(path, '');
  expect(isForeign('demo-web', folders), 'somebody made one').toBe(true);
  mark('demo-web', folders);
  expect(isForeign('demo-web', folders), 'the demo made it').toBe(false);
  // The old one still exists, so that the new one cannot have its inode.
  renameSync(path, join(dir, 'old'));
  writeFileSync(path, '');
  expect(isForeign('demo-web', folders), 'somebody made another one').toBe(true);
});

test('one demo at a time: the second one names the first, and the next may begin', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-demo-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const folders = { netns: dir, marks: join(dir, 'marks') };
  const first = await lockDemo(folders);
  await expect(lockDemo(folders)).rejects.toMatchObject({
    code: 'DEMO_RUNS',
    message: expect.stringContaining(`another demo runs on this machine: process ${process.pid}: `),
  });
  await first.release();
  await (await lockDemo(folders)).release();
});
