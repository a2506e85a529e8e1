// `bash .ci/run`: everything, first what needs the machine for itself, then streams side by side: what waits (servers, network
// namespaces, outages) first, and what computes in the time between. The last line is the sum: `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CiParts } from './ci-parts.mjs';
import { endProcesses, nameRun } from './ci-processes.mjs';
import { setUp } from './setup.mjs';
import { seconds } from './step.mjs';
import { inWords } from './test.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const entry = join(root, 'scripts', 'main.cjs');
/** The other versions of Node that everything runs on. */
const otherNodes = ['22.23.3', '24.21.0'];
/** What a runtime could change: all units, and the promises that go through every hop. */
const everyHop = ['kill-9', 'replay-identical', 'live-kill', 'demo'].map((name) => `test/${name}.promise.test.ts`);
/** The full size of a promise is proven once, on this Node; there it is the runtime that differs. */
const smallSizes = {
  JITTERSCOPE_PROMISE_RECORDS: '100000',
  JITTERSCOPE_REPLAY_RECORDS: '20000',
  JITTERSCOPE_HOSTILE_CASES: '20000',
  JITTERSCOPE_FUZZ_CASES: '1000',
  JITTERSCOPE_TIMELINES: '100',
};
/** `nice` of what only computes: it yields to what waits, and still gets on, as its tests have limits of time, too. */
const yielding = 5;
/** `nice` of Loki's build, which nothing waits for but the last tier. */
const building = 15;

const major = (version) => version.split('.')[0];
const script = (...args) => [process.execPath, entry, ...args];

function tier(name, more = {}) {
  return {
    title: `npm test -- --tier ${name}`,
    command: script('test', '--tier', name),
    env: { REQUIRE_TIERS: name },
    isTests: true,
    ...more,
  };
}

function nodeFolder(version) {
  return join(root, '.cache', `node-${major(version)}`);
}

function binFolder(version) {
  return join(nodeFolder(version), 'node_modules', `node-linux-${process.arch}`, 'bin');
}

/** Installs another Node where it is not there yet. */
function installNode(version) {
  const node = join(binFolder(version), 'node');
  if (existsSync(node) && spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim() === `v${version}`) return [];
  const options = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
  const args = ['install', '--prefix', nodeFolder(version), ...options, `node-linux-${process.arch}@${version}`];
  return [{ title: `Node ${major(version)}, install`, command: ['npm', ...args] }];
}

/** A tier of tests on another Node, with the addon that was built for this one. */
function onNode(version, name, files, more) {
  return {
    title: `Node ${major(version)}, npm test -- --tier ${name}`,
    command: [join(binFolder(version), 'node'), entry, 'test', '--tier', name, ...files],
    env: { ...smallSizes, REQUIRE_TIERS: name, PATH: `${binFolder(version)}${delimiter}${process.env.PATH}` },
    isTests: true,
    ...more,
  };
}

/** Installs what tiers need: packages have one installer at a time. What is missing afterwards, the tiers that need it tell. */
async function prepare(parts) {
  const began = Date.now();
  try {
    for (const name of ['test', 'servers', 'matrix']) await setUp({ tier: name });
    return true;
  } catch (thrown) {
    process.stdout.write(`set-up: ${thrown.stack}\n`);
    parts.results.set('set-up', { passed: 0, failed: 1, skipped: 0, ms: Date.now() - began });
    return false;
  }
}

/** Runs everything; resolves when it has ended. */
async function runAll(parts) {
  const nodes = parts.stream(otherNodes.flatMap(installNode));
  // Built from source for a quarter of an hour of CPU time where it is not kept: beside the tests, which it lets go first.
  const loki = parts.stream([{ title: 'Loki, install', command: script('servers', 'loki', '--install'), nice: building }]);
  // Emulated machines compute all the time, and their tests have limits: alone they take two minutes, beside others fifteen.
  await parts.stream([tier('matrix')]);
  await Promise.all([
    nodes,
    loki,
    // Both have labs with Pods, of which a machine has one at a time.
    parts.stream([tier('kernel'), tier('promise')]),
    parts.stream([tier('servers'), tier('loki', { after: [loki] })]),
    parts.stream([
      tier('unit', { nice: yielding }),
      tier('sanitize', { nice: yielding }),
      { title: 'npm run check', command: script('check'), nice: yielding, isTests: true },
      ...otherNodes.map((version) => onNode(version, 'unit', [], { nice: yielding, after: [nodes] })),
      ...otherNodes.map((version) => onNode(version, 'promise', everyHop, { after: [nodes] })),
    ]),
  ]);
}

/** Ends what still runs, and removes what labs of tests that were killed left. Resolves with how many processes there were. */
async function cleanUp(run) {
  const ended = await endProcesses(run);
  const leftovers = join(root, 'dist', 'test', 'lab', 'leftovers.js');
  if (!existsSync(leftovers)) return ended;
  try {
    const { removeLeftovers } = await import(leftovers);
    removeLeftovers();
  } catch (thrown) {
    process.stdout.write(`${thrown.message}\n`);
  }
  return ended;
}

/** Adds up what became of the parts, and tells it. Resolves with the exit code. */
function tell(results, ms) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const lines = [...results].map(([title, counts]) => {
    for (const key of Object.keys(sum)) sum[key] += counts[key];
    return `${title}: ${inWords(counts)} (${seconds(counts.ms)})`;
  });
  if (sum.passed === 0 && sum.failed === 0) sum.failed = 1;
  process.stdout.write(`\n${lines.join('\n')}\nall of it: ${seconds(ms)}\n${inWords(sum)}\n`);
  return sum.failed > 0 ? 1 : 0;
}

/** Command line. Resolves with the exit code. */
export async function main() {
  const began = Date.now();
  Object.assign(process.env, { CI: 'true', NO_COLOR: '1' });
  const run = nameRun();
  const parts = new CiParts();
  let interrupted = false;
  const ending = new Promise((resolve) => {
    const end = () => {
      interrupted = true;
      parts.interrupt();
      resolve();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, end);
  });
  try {
    const all = prepare(parts).then((isReady) => isReady && runAll(parts));
    await Promise.race([all, ending]);
    const left = await cleanUp(run);
    await all;
    if (!interrupted && left > 0) process.stdout.write(`ended ${left} processes that were left behind\n`);
  } finally {
    parts.close();
  }
  const code = tell(parts.results, Date.now() - began);
  return interrupted ? 130 : code;
}
