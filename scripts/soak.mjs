// `npm run soak -- [--duration 20m] [--record FILE]`: healthy, noisy traffic between namespaces that come and go, watched by
// a jitterscope. No finding of warning or above may be about it. Needs root. `--kills`: see soak-kills.mjs.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { setUp } from './setup.mjs';
import { soakKills } from './soak-kills.mjs';
import { SoakPods } from './soak-pods.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const lab = (name) => join(root, 'test', 'lab', name);
const servers = 3;
const startMs = 2_000;
/** Between two restarts of a server. */
const restartEveryMs = 10_000;
/** Traffic that is over, and windows that are still open, are seen so long after. */
const settleMs = 6_000;
const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000 };
let stopped = false;

/** Command line. Resolves with the exit code: 1 when there was a finding, 2 for wrong options. */
export async function main(args) {
  const options = readOptions(args);
  if (options === undefined) return 2;
  if (options.kills !== undefined) return soakKills(options.kills);
  if (process.getuid?.() !== 0) return refuse('it needs root: sudo npm run soak');
  const { typescript, native } = await setUp();
  if (!typescript || !native) return refuse('jitterscope is not built: npm run build');
  process.once('SIGINT', () => (stopped = true));
  process.once('SIGTERM', () => (stopped = true));

  const dataDir = mkdtempSync(join(tmpdir(), 'jitterscope-soak-'));
  const prefix = `soak-${process.pid}-`;
  const pods = new SoakPods(prefix);
  try {
    const agent = await startAgent(dataDir, options.record);
    const counts = await makeTraffic(pods, options.durationMs);
    await sleep(settleMs);
    agent.child.kill('SIGTERM');
    await agent.ended;
    say(
      `traffic: ${Object.entries(counts)
        .map(([what, count]) => `${count} ${what}`)
        .join(', ')}`,
    );
    return judge(findings(dataDir), prefix);
  } finally {
    pods.remove();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const known = {
  duration: { type: 'string', default: '20m' },
  record: { type: 'string' },
  kills: { type: 'boolean', default: false },
  rounds: { type: 'string', default: '10' },
  kafka: { type: 'string', default: '3.9.2' },
};

function readOptions(args) {
  try {
    const { values } = parseArgs({ args, options: known });
    if (values.kills) return { kills: readKills(values) };
    const [, number, unit] = /^(\d+)([smh])$/.exec(values.duration) ?? [];
    if (number === undefined) throw new Error(`found --duration ${values.duration}, expected a duration such as 90s or 20m`);
    return { durationMs: Number(number) * unitsMs[unit], record: values.record };
  } catch (error) {
    say(error.message);
    return undefined;
  }
}

function readKills({ rounds, kafka }) {
  if (!/^[1-9]\d{0,3}$/.test(rounds)) throw new Error(`found --rounds ${rounds}, expected a whole number of at least 1`);
  if (!/^\d+\.\d+\.\d+$/.test(kafka)) throw new Error(`found --kafka ${kafka}, expected a version such as 3.9.2`);
  return { rounds: Number(rounds), version: kafka };
}

function refuse(why) {
  say(why);
  return 1;
}

/** Starts a jitterscope and waits until it watches. */
async function startAgent(dataDir, record) {
  const recording = record === undefined ? [] : ['--record', record];
  const args = [
    join(root, 'dist', 'cli', 'main.js'),
    'run',
    '--data-dir',
    dataDir,
    '--set',
    'metrics.listen="off"',
    '--set',
    'node.name=soak',
    ...recording,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NO_COLOR: '1' } });
  process.once('exit', () => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => text.includes('Waiting for events') && resolve());
    child.once('exit', (code) => reject(new Error(`jitterscope ended with exit code ${code}`)));
  });
  return { child, ended };
}

/** Clients, and servers that are replaced one after the other. Resolves with what the clients did. */
async function makeTraffic(pods, durationMs) {
  const ready = [];
  const clients = [pods.start(pods.add('client'), lab('soak-client.mjs')), pods.start(pods.add('client'), lab('soak-client.mjs'))];
  await Promise.all(clients.map((client) => client.line()));
  const tell = (starting) => {
    const line = JSON.stringify({ ready: ready.map(({ pod }) => pod.address), starting: starting.map(({ address }) => address) });
    for (const { child } of clients) child.stdin.write(`${line}\n`);
  };
  const startServer = async () => {
    const pod = pods.add('web');
    const server = pods.start(pod, lab('soak-server.mjs'), String(startMs));
    tell([pod]);
    await server.line();
    ready.push({ pod, server });
    tell([]);
  };
  const stopOldest = async (graceful) => {
    const { pod, server } = ready.shift();
    tell([]);
    // Of three servers one goes before its clients know.
    if (graceful) await sleep(1_000);
    server.child.kill('SIGTERM');
    await server.ended;
    pods.end(pod.name);
  };

  for (let i = 0; i < servers; i++) await startServer();
  const end = performance.now() + durationMs;
  for (let restarts = 1; performance.now() < end && !stopped; restarts++) {
    const left = Math.min(restartEveryMs, end - performance.now());
    for (const until = performance.now() + left; performance.now() < until && !stopped; ) await sleep(200);
    if (performance.now() >= end || stopped) break;
    await startServer();
    await stopOldest(restarts % 3 !== 0);
  }
  for (const { child } of clients) child.stdin.end();
  const done = await Promise.all(clients.map((client) => client.line()));
  const counts = {};
  for (const one of done) for (const [what, count] of Object.entries(one)) counts[what] = (counts[what] ?? 0) + count;
  return counts;
}

/** Findings that were opened, from the event files. */
function findings(dataDir) {
  const folder = join(dataDir, 'events');
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => /\.ndjson(\.gz)?$/.test(name)) : [];
  return files.sort().flatMap((name) => {
    const bytes = readFileSync(join(folder, name));
    const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
    const alerts = text.split('\n').filter((line) => line.includes('"kind":"alert"'));
    return alerts.map((line) => JSON.parse(line)).filter(({ event }) => event.action !== 'anomaly-resolved');
  });
}

/** What else runs on this machine may be in trouble: that is shown, and no failure of the soak. */
function judge(found, prefix) {
  const own = found.filter(({ jitterscope }) => jitterscope.netns?.name?.startsWith(prefix));
  const elsewhere = found.length - own.length;
  for (const { message, log, rule } of own) say(`${log.level} ${rule.id}: ${message}`);
  const loud = own.filter(({ log }) => log.level !== 'info').length;
  say(`${loud} findings of warning or above, ${own.length - loud} of info; ${elsewhere} about others of this machine`);
  return loud === 0 ? 0 : 1;
}

function say(line) {
  process.stdout.write(`soak: ${line}\n`);
}
