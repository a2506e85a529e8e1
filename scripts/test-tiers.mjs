// What each tier of tests needs, and running one. A tier's result: `{ passed, failed, skipped }`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize, relative, resolve } from 'node:path';
import { addonBuilt, filesUnder } from './setup-build.mjs';
import { hasCommand, missingNeeds, remedyFor } from './setup-system.mjs';

/** In the order in which they run. */
export const tierNames = ['unit', 'kernel', 'promise', 'servers', 'loki', 'sanitize', 'matrix'];

/** Run only when named, by --tier or REQUIRE_TIERS; otherwise skipped for this reason. */
export const tiersOnRequest = {
  matrix: { what: 'it boots virtual machines for some minutes', command: 'npm test -- --tier matrix' },
};

/** Not made of test files that a filter could choose among. */
export const tiersInOnePiece = ['sanitize', 'matrix'];

const testFolders = ['schema', 'proto', 'bpf', 'native', 'services', 'core', 'cli', 'test', 'bench'];

/** What the native tests and programs lack here: `{ what, command }`, or undefined when the addon is built. */
function nativeObstacle(root) {
  if (addonBuilt(root)) return undefined;
  const missing = missingNeeds('base');
  if (missing.length === 0) return { what: 'the native addon does not build', command: 'npm run build' };
  return { what: `system packages ${missing.map((need) => need.name).join(' ')}`, command: remedyFor(missing) };
}

function kernelObstacle(root) {
  if (process.getuid?.() !== 0) return { what: 'root', command: 'sudo npm test -- --tier kernel' };
  if (!existsSync('/sys/kernel/btf/vmlinux'))
    return { what: 'a kernel with BTF (/sys/kernel/btf/vmlinux)', command: 'boot a kernel built with CONFIG_DEBUG_INFO_BTF=y' };
  const missing = missingNeeds('test').filter((need) => need.command && !hasCommand(need.command));
  if (missing.length > 0) return { what: `system packages ${missing.map((need) => need.name).join(' ')}`, command: remedyFor(missing) };
  return nativeObstacle(root);
}

function promiseObstacle(root) {
  if (!existsSync(join(root, 'dist', 'cli', 'main.js'))) return { what: 'the compiled program', command: 'npm run build' };
  return nativeObstacle(root);
}

function matrixObstacle(root) {
  if (process.arch !== 'x64' || !hasCommand('apt-get'))
    return { what: 'Debian 12 on x86-64, for its kernels', command: 'run it there: npm test -- --tier matrix' };
  if (process.getuid?.() !== 0) return { what: 'root', command: 'sudo npm test -- --tier matrix' };
  return nativeObstacle(root);
}

function sanitizeObstacle() {
  const missing = missingNeeds('base');
  if (missing.length === 0) return undefined;
  return { what: `system packages ${missing.map((need) => need.name).join(' ')}`, command: remedyFor(missing) };
}

/** Why a tier, or what needs the addon (`native`), cannot run here: `{ what, command }`, or undefined when it can. */
export function obstacleOf(tier, root) {
  if (tier === 'native') return nativeObstacle(root);
  if (tier === 'kernel') return kernelObstacle(root);
  if (tier === 'promise' || tier === 'servers' || tier === 'loki') return promiseObstacle(root);
  if (tier === 'sanitize') return sanitizeObstacle();
  if (tier === 'matrix') return matrixObstacle(root);
  return undefined;
}

/** Unit test files that load the addon, directly or through what they import. */
export function testsOfAddon(root) {
  const reaches = new Map();
  const visit = (file) => {
    if (reaches.has(file)) return reaches.get(file);
    reaches.set(file, false);
    const found = file === 'native/index.ts' || importsOf(root, file).some(visit);
    reaches.set(file, found);
    return found;
  };
  return filesUnder(root, testFolders, /\.test\.ts$/).filter(visit);
}

function importsOf(root, file) {
  const text = existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : '';
  const imports = text.matchAll(/^\s*(?:import|export)\s+(?!type\b)[^'"]*?['"](\.[^'"]+\.ts)['"]|\bimport\(\s*['"](\.[^'"]+\.ts)['"]/gm);
  return [...imports].map((match) => normalize(join(dirname(file), match[1] ?? match[2])));
}

const filesOfTier = {
  kernel: /(^|[./])kernel\.test\.ts$/,
  promise: /\.promise\.test\.ts$/,
  servers: /\.servers\.test\.ts$/,
  loki: /\.loki\.test\.ts$/,
  unit: /\.test\.ts$/,
};

/** Runs a tier of vitest; `leftOut` names files to leave out. */
export function runVitest(root, tier, filters, leftOut) {
  if (filesUnder(root, testFolders, filesOfTier[tier]).length === 0) return { passed: 0, failed: 0, skipped: 0 };
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-test-'));
  try {
    const output = join(folder, 'result.json');
    const args = ['run', '--project', tier, '--passWithNoTests', '--reporter=default', '--reporter=json', `--outputFile.json=${output}`];
    const env = leftOut.length > 0 ? { ...process.env, TESTS_LEFT_OUT: leftOut.join(' ') } : process.env;
    const command = join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const { status } = spawnSync(process.execPath, [command, ...args, ...filters], {
      cwd: root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    tellFlaky(output);
    return countsOf(output, status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of a result of vitest's JSON reporter: what tests that passed at a second try had failed with. `retry x1` alone tells no defect. */
export function tellFlaky(output) {
  if (!existsSync(output)) return;
  for (const { name, assertionResults } of JSON.parse(readFileSync(output, 'utf8')).testResults) {
    for (const { status, fullName, failureMessages = [] } of assertionResults) {
      if (status !== 'passed' || failureMessages.length === 0) continue;
      process.stdout.write(`FLAKY ${name} > ${fullName}\n${failureMessages.join('\n').replaceAll(/^/gm, '  ')}\n`);
    }
  }
}

/** Counts in a result of vitest's JSON reporter; no result at all is one failure. `status`: vitest's exit code. */
export function countsOf(output, status) {
  if (!existsSync(output)) return { passed: 0, failed: 1, skipped: 0 };
  const result = JSON.parse(readFileSync(output, 'utf8'));
  // A file that does not even load has no tests to count: it is one failure.
  const broken = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((one) => one.status === 'failed'),
  );
  const failed = result.numFailedTests + broken.length;
  return {
    passed: result.numPassedTests,
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}

/** Runs the script of a tier that is not vitest alone: counts its closing line, or the run as one test. */
export function runScript(root, tier) {
  const script = join(root, 'scripts', `test-${tier}.mjs`);
  const { status, stdout } = spawnSync(process.execPath, [script], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  process.stdout.write(stdout ?? '');
  const counts = /(\d+) passed, (\d+) failed, \d+ skipped\s*$/.exec(stdout ?? '');
  const passed = counts ? Number(counts[1]) : Number(status === 0);
  const failed = counts ? Number(counts[2]) : Number(status !== 0);
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed, skipped: 0 };
}

/** A path as the filters of vitest want it: relative to the root. */
export function filterFrom(root, path) {
  return existsSync(path) ? relative(root, resolve(path)) : path;
}
