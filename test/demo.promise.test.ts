import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const namespace = '/run/netns/demo-web';
const able = process.getuid?.() === 0 && spawnSync('ip', ['-V']).status === 0 && !existsSync(namespace);

test.skipIf(!able)('the demo leaves a namespace of its name that somebody else made, and says so', () => {
  execFileSync('ip', ['netns', 'add', 'demo-web']);
  onTestFinished(() => void execFileSync('ip', ['netns', 'del', 'demo-web']));
  const { status, stderr } = spawnSync(process.execPath, [program, 'demo'], { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } });
  expect(stderr).toContain('a network namespace demo-web that the demo did not make');
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(status).toBe(78);
  expect(existsSync(namespace)).toBe(true);
});
