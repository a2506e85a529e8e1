// The kernel tests of the probes on Debian's kernels, each in a virtual machine without KVM, and what only such a machine
// may be used for (test/vm). Kernels are kept in .cache/vm. The last line is the sum: `N passed, N failed, N skipped`.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelSeries, prepareKernel } from '../test/vm/debian-kernels.mjs';
import { runInMachine } from '../test/vm/virtual-machine.mjs';
import { canInstall, installNeeds, missingNeeds, remedyFor } from './setup-system.mjs';
import { seconds, tail } from './step.mjs';
import { countsOf, tellFlaky } from './test-tiers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(root, '.cache', 'vm');

/** A machine is off after three to six minutes, on two busy processors; one that hangs is ended. */
const limitMs = 900_000;
const tests = ['bpf/tcpreset/', 'bpf/netns/', 'test/vm/'];

/** What the machine runs: the tests as they are, with this Node, from this checkout. */
function job() {
  const vitest = 'node_modules/vitest/vitest.mjs run --project kernel --project matrix';
  const reporters = '--reporter=verbose --reporter=json --outputFile.json=/out/result.json';
  return `
export PATH='${process.env.PATH}:/usr/sbin:/sbin' HOME=/tmp LANG=C.UTF-8 CI=true NO_COLOR=1 REQUIRE_TIERS=kernel
cd '${root}' && exec '${process.execPath}' ${vitest} ${tests.join(' ')} ${reporters}`;
}

function tellLog(file) {
  if (existsSync(file)) process.stdout.write(`${tail(readFileSync(file, 'utf8'), 200)}\n`);
}

/** Runs the tests on a kernel; a machine that never came to them is tried a second time. Resolves with the counts. */
async function testOn(kernel) {
  const out = mkdtempSync(join(tmpdir(), 'jitterscope-matrix-'));
  try {
    let ended = await runInMachine({ kernel, job: job(), out, limitMs });
    if (ended.bootSeconds === undefined) {
      process.stdout.write(`matrix: ${kernel.release}: not booted within ${seconds(ended.ms)}: once more\n`);
      ended = await runInMachine({ kernel, job: job(), out, limitMs });
    }
    tellFlaky(join(out, 'result.json'));
    const counts = countsOf(join(out, 'result.json'), ended.status);
    const booted = ended.bootSeconds === undefined ? 'not booted' : `booted in ${seconds(ended.bootSeconds * 1000)}`;
    const tested = `${counts.passed} passed, ${counts.failed} failed`;
    process.stdout.write(`matrix: ${kernel.release}: ${tested}, ${booted}, off after ${seconds(ended.ms)}\n`);
    if (counts.failed > 0) for (const log of ['console.log', 'job.log']) tellLog(join(out, log));
    return counts;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** Installs what is missing. Throws when that is not possible. */
function setUpMachines() {
  const needed = () => missingNeeds('matrix');
  let missing = needed();
  if (missing.length > 0 && canInstall()) missing = installNeeds(missing, needed);
  if (missing.length > 0) throw new Error(`system packages are missing: ${remedyFor(missing)}`);
}

async function main() {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  try {
    setUpMachines();
    const kernels = kernelSeries.map((series) => prepareKernel(series, cache));
    const results = await Promise.all(kernels.map(testOn));
    for (const counts of results) for (const key of Object.keys(sum)) sum[key] += counts[key];
  } catch (thrown) {
    process.stdout.write(`matrix: ${thrown.message}\n${thrown.output ?? ''}`);
    sum.failed += 1;
  }
  process.stdout.write(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`);
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}

// Exit handlers end the machine; a signal alone would leave it running.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
process.exitCode = await main();
