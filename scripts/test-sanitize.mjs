// Runs the tests of native/ against the addon built with AddressSanitizer and UndefinedBehaviorSanitizer. Any report of
// theirs, in whichever process of the tests, is a failure. Leaks are not looked for: Node leaves its own at exit.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative } from './build-native.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The sanitizers' run-time library has to be in the process before the addon. */
function preloadedLibrary() {
  const { stdout } = spawnSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = (stdout ?? '').trim();
  if (!isAbsolute(path) || !existsSync(path)) throw new Error('libasan is missing: install Debian package gcc');
  return path;
}

function environment(reports) {
  const log = join(reports, 'report');
  return {
    ...process.env,
    JITTERSCOPE_NATIVE: join(root, 'build', 'sanitize', 'jitterscope.node'),
    LD_PRELOAD: preloadedLibrary(),
    ASAN_OPTIONS: `detect_leaks=0:log_path=${log}`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${log}`,
  };
}

/** Counts of one run of vitest: `{ passed, failed }`. */
function runTests(project, reports) {
  const output = join(reports, `result-${project}.json`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', '--project', project, 'native/', '--reporter=dot', '--reporter=json', `--outputFile.json=${output}`];
  const { status } = spawnSync(process.execPath, args, { cwd: root, env: environment(reports), stdio: ['ignore', 'inherit', 'inherit'] });
  if (!existsSync(output)) return { passed: 0, failed: 1 };
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(output, 'utf8'));
  return { passed: numPassedTests, failed: numFailedTests === 0 && status !== 0 ? 1 : numFailedTests };
}

function reportsIn(folder) {
  const files = readdirSync(folder).filter((name) => name.startsWith('report.'));
  return files.map((name) => readFileSync(join(folder, name), 'utf8'));
}

async function main() {
  const reports = mkdtempSync(join(tmpdir(), 'jitterscope-sanitize-'));
  try {
    await buildNative({ sanitize: true });
    const projects = ['unit'];
    if (process.getuid() === 0 && existsSync('/sys/kernel/btf/vmlinux')) projects.push('kernel');
    else process.stdout.write('sanitize: without root or BTF only the tests that need no kernel\n');
    const counts = projects.map((project) => runTests(project, reports));
    const found = reportsIn(reports);
    for (const report of found) process.stdout.write(`sanitize: REPORT\n${report}\n`);
    const passed = counts.reduce((sum, count) => sum + count.passed, 0);
    const failed = counts.reduce((sum, count) => sum + count.failed, 0) + found.length;
    process.stdout.write(`${passed} passed, ${failed} failed, 0 skipped\n`);
    return failed === 0 ? 0 : 1;
  } catch (thrown) {
    process.stdout.write(`sanitize: ${thrown.message}\n${thrown.output ?? ''}0 passed, 1 failed, 0 skipped\n`);
    return 1;
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

process.exitCode = await main();
