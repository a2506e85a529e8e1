import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Runs code with what scripts/ci-parts.mjs and scripts/ci-processes.mjs export; `found` is the value of its last line on stderr. */
function runCode(code: string): { stdout: string; found: unknown } {
  const file = (name: string): string => fileURLToPath(new URL(`../scripts/${name}.mjs`, import.meta.url));
  const whole = `import { CiParts, countsIn } from '${file('ci-parts')}';
    import { endProcesses, nameRun, processesOf } from '${file('ci-processes')}';
    const shell = (title, script, more) => ({ title, command: ['sh', '-c', script], ...more });
    const tell = (value) => process.stderr.write(JSON.stringify(value));
    ${code}`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', whole], { encoding: 'utf8' });
  try {
    return { stdout, found: JSON.parse(stderr) };
  } catch {
    throw new Error(stderr);
  }
}

test('what an output says last of its tests counts, and an exit code is a failure whatever it says', () => {
  const outputs = [
    ['1 passed, 0 failed, 0 skipped\nx\n20 passed, 3 failed, 4 skipped\n', 1],
    ['20 passed, 0 failed, 4 skipped\n', 1],
    ['20 passed, 0 failed, 4 skipped\n', null],
    ['up to date\n', 0],
    ['not found\n', 127],
    ['tests: 5 passed, 0 failed, 0 skipped\n', 0],
    ['tests: 5 passed, 0 failed, 0 skipped\n', 0, true],
    ['5 passed, 0 failed, 0 skipped\n', 0, true],
  ];
  const { found } = runCode(`tell(${JSON.stringify(outputs)}.map((given) => Object.values(countsIn(...given)).join(' ')))`);
  expect(found).toEqual(['20 3 4', '20 1 4', '20 1 4', '0 0 0', '0 1 0', '0 0 0', '0 1 0', '5 0 0']);
});

test('streams run side by side, each output is shown whole, and a part that fails hides no other', () => {
  const { stdout, found } = runCode(`
    const parts = new CiParts();
    const line = (name) => \`for i in 1 2 3; do echo \${name}; sleep 0.1; done; echo 2 passed, 0 failed, 0 skipped\`;
    const first = parts.stream([shell('a', line('a') + '; exit 3'), shell('b', line('b'))]);
    await Promise.all([first, parts.stream([shell('c', line('c')), shell('d', 'nice', { nice: 7, after: [first] })])]);
    parts.close();
    tell([...parts.results].map(([title, { passed, failed }]) => [title, passed, failed]));`);
  expect(found).toEqual([
    ['a', 2, 1],
    ['c', 2, 0],
    ['b', 2, 0],
    ['d', 0, 0],
  ]);
  for (const name of ['a', 'b', 'c'])
    expect(stdout).toContain(`== ${name}\n${`${name}\n`.repeat(3)}2 passed, 0 failed, 0 skipped\n== ${name}: `);
  expect(stdout).toContain('== a: begins\n== c: begins\n');
  expect(stdout).toContain(`== d\n${getPriority() + 7}\n`);
});

test('a part that was interrupted has failed, and none begins behind it', () => {
  const { found } = runCode(`
    const parts = new CiParts();
    const run = nameRun();
    const all = parts.stream([shell('a', 'sleep 60'), shell('b', 'true')]);
    while (processesOf(run).length < 1) await new Promise((resolve) => setTimeout(resolve, 10));
    parts.interrupt();
    await endProcesses(run);
    await all;
    parts.close();
    tell([...parts.results].map(([title, { failed }]) => [title, failed]));`);
  expect(found).toEqual([['a', 1]]);
});

test('all processes of a run are ended, also those that left their session or do not listen, and no others', async () => {
  const other = spawn('sleep', ['60'], { env: { ...process.env, JITTERSCOPE_CI_RUN: 'another' } });
  const { found } = runCode(`
    import { spawn } from 'node:child_process';
    const run = nameRun();
    const deaf = "process.on('SIGTERM', () => {}); process.stdout.write('deaf'); setInterval(() => {}, 1000)";
    const listening = spawn(process.execPath, ['-e', deaf], { stdio: ['ignore', 'pipe', 'ignore'] });
    spawn('setsid', ['--fork', 'sleep', '60'], { stdio: 'ignore' });
    await new Promise((resolve) => listening.stdout.once('data', resolve));
    while (processesOf(run).length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    tell([await endProcesses(run, 500) >= 2, processesOf(run).filter((pid) => pid !== listening.pid)]);
    process.exit();`);
  expect(found).toEqual([true, []]);
  expect([other.exitCode, other.signalCode]).toEqual([null, null]);
  other.kill();
  await once(other, 'exit');
});
