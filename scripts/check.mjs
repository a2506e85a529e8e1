// `npm run check`: everything about the sources that needs no running program. One line per step; the last line is the sum.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';
import { seconds, tail } from './step.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');

const steps = [
  { title: 'format and lint (biome)', args: [join(modules, '@biomejs', 'biome', 'bin', 'biome'), 'check', '.'] },
  { title: 'lint with types, import boundaries (eslint)', args: [join(modules, 'eslint', 'bin', 'eslint.js'), '.'] },
  { title: 'types (tsc)', args: [join(modules, 'typescript', 'bin', 'tsc'), '-p', '.', '--noEmit', '--incremental', 'false'] },
  { title: 'dead code (knip)', args: [join(modules, 'knip', 'bin', 'knip.js'), '--no-progress', '--no-config-hints'] },
  { title: 'generated files', args: [join(root, 'scripts', 'main.cjs'), 'gen', '--check'] },
  // The step before has compiled the program.
  { title: 'rules (jitterscope rules check)', args: [join(root, 'dist', 'cli', 'main.js'), 'rules', 'check'] },
  { title: 'tests of the rules (jitterscope rules test)', args: [join(root, 'dist', 'cli', 'main.js'), 'rules', 'test'] },
  {
    title: 'house rules',
    args: [join(modules, 'vitest', 'vitest.mjs'), 'run', '--project', 'unit', '--reporter=dot', 'test/house-rules.test.ts'],
  },
];

/** Command line. Resolves with the exit code. */
export async function main() {
  const found = await setUp({ only: 'packages' });
  if (!found.packages) return 1;
  let failed = 0;
  for (const { title, args } of steps) {
    const started = Date.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
    const ok = status === 0;
    process.stdout.write(`check: ${title} ... ${ok ? 'ok' : 'FAILED'} ${seconds(Date.now() - started)}\n`);
    if (!ok) process.stdout.write(`${tail(`${stdout}${stderr}`, 100)}\n`);
    failed += Number(!ok);
  }
  process.stdout.write(`${steps.length - failed} passed, ${failed} failed, 0 skipped\n`);
  return failed > 0 ? 1 : 0;
}
