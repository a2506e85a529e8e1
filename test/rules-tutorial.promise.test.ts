import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { findingsIn } from './support/findings.ts';
import { LiveRun } from './support/live-run.ts';
import { patiently } from './support/patiently.ts';

const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const page = readFileSync(fileURLToPath(new URL('../docs/rules.md', import.meta.url)), 'utf8');
const [withMistake = '', tests = ''] = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => yaml);
const rule = withMistake.replace('params.attempt\n', 'params.attempts\n');

/** A folder as the reader of docs/rules.md has it, with my-rules/old-port-used.yaml. */
function readersFolder(text: string): { readonly path: string; remove(): void } {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, 'my-rules'));
  writeFileSync(join(folder.path, 'my-rules', 'old-port-used.yaml'), text);
  onTestFinished(() => folder.remove());
  return folder;
}

function rules(command: string, folder: string): { readonly status: number | null; readonly stdout: string } {
  const env = { ...process.env, NO_COLOR: '1' };
  return spawnSync(process.execPath, [program, 'rules', command, 'my-rules'], { cwd: folder, encoding: 'utf8', env });
}

test('the mistake in the tutorial is told as the tutorial says', () => {
  const { status, stdout } = rules('check', readersFolder(withMistake).path);
  expect(page).toContain(`\`\`\`\n${stdout}\`\`\``);
  expect(status).toBe(1);
});

test('the rule of the tutorial is right, and passes its tests', () => {
  const { path } = readersFolder(rule + tests);
  expect(rules('check', path)).toMatchObject({ status: 0, stdout: 'ok 1 rule\n' });
  expect(rules('test', path)).toMatchObject({ status: 0, stdout: expect.stringContaining('ok 3 passed, 0 failed') });
});

kernelTest('the rule of the tutorial fires on this machine', async () => {
  const { path } = readersFolder(rule);
  const dataDir = join(path, 'data');
  const run = await LiveRun.start(dataDir, [`rules.directory=${join(path, 'my-rules')}`]);
  onTestFinished(async () => void (await run.process.killHard()));
  for (let i = 0; i < 6; i++) spawnSync('bash', ['-c', 'echo > /dev/tcp/127.0.0.1/2323'], { stdio: 'ignore' });
  const found = () => findingsIn(dataDir).find((finding) => finding.rule.id === 'old-port-used');
  await patiently('the rule has its finding', 60_000, () => found() !== undefined);
  // A busy machine takes longer than the rule waits: it is told of those that there were then.
  expect(found()?.message.replace(/2323 [56] times/, '2323 6 times')).toBe(
    `${hostname()} tried the old port 2323 6 times within a minute, mostly at ${hostname()}`,
  );
  const explained = execFileSync(process.execPath, [
    program,
    'rules',
    'explain',
    'old-port-used',
    '--entity',
    hostname(),
    '--data-dir',
    dataDir,
  ]);
  expect(explained.toString()).toMatch(/warning +true +attempts >= params\.attempts/);
});
