import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { temporaryFolder } from './support/data-folder.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = temporaryFolder();
afterAll(() => folder.remove());

/** A copy of the project's own files, with what is installed. */
function copyOfProject(): string {
  const copy = folder.fresh('project');
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  for (const file of files.split('\0').filter(Boolean)) cpSync(join(root, file), join(copy, file), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

function run(project: string, command: string, ...args: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: project, encoding: 'utf8', env: { ...process.env, CI: '' } });
  return { status, text: `${stdout}${stderr}` };
}

test('what `npm run new` makes compiles, and its tests pass, before anybody has changed a line', () => {
  const project = copyOfProject();
  const made = (kind: string, name: string) => run(project, process.execPath, 'scripts/main.cjs', 'new', kind, name);
  for (const [kind, name] of [
    ['probe', 'sockerror'],
    ['source', 'someevents'],
    ['sink', 'webhook'],
    ['command', 'queue-depth'],
    ['rule', 'connect-slow'],
  ] as const) {
    const { status, text } = made(kind, name);
    expect([status, text]).toEqual([0, expect.stringContaining('What is left:')]);
  }

  // A number of the probe's and one of its counter are the next free ones.
  const record = run(project, process.execPath, 'scripts/gen-record.mjs');
  expect(record.text).toContain('wrote schema/record.gen.ts');
  expect(readFileSync(join(project, 'schema/record.gen.ts'), 'utf8')).toMatch(/SOCKERROR: \d+/);
  const types = run(project, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', '.');
  expect(types.text).toBe('');
  const vitest = join(dirname(fileURLToPath(import.meta.resolve('vitest/package.json'))), 'vitest.mjs');
  const words = ['services/sinks/webhook', 'services/sinks/sinks.test.ts', 'services/collector/sources/someevents'];
  const tests = run(project, process.execPath, vitest, 'run', '--project', 'unit', ...words);
  expect([tests.status, tests.text]).toEqual([0, expect.stringContaining('3 passed')]);
  for (const [command, answer] of [
    ['check', 'ok 1 rule'],
    ['test', 'ok 5 passed, 0 failed'],
  ] as const) {
    const rule = run(project, process.execPath, join(root, 'dist/cli/main.js'), 'rules', command, 'rules/connect-slow.yaml');
    expect([rule.status, rule.text]).toEqual([0, expect.stringContaining(answer)]);
  }
});

test.each([
  [['probe', 'Sock-Error'], 'found Sock-Error, expected lower-case letters and digits'],
  [['sink', 'file'], 'services/sinks/file/README.md is there already'],
  [['plugin', 'x'], 'found plugin, expected one of probe, source, sink, rule, command'],
  [['rule'], 'found no name, expected kebab-case'],
])('%j changes nothing, and says what was expected', (words, answer) => {
  const { status, text } = run(root, process.execPath, 'scripts/main.cjs', 'new', ...words);
  expect([status, text]).toEqual([2, expect.stringContaining(answer)]);
});
