import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLog, LogLimiter } from '../core/log.ts';
import { loadNative } from '../native/index.ts';
import { CollectorMessage } from '../proto/collect.ts';
import { emptyCollectorMetrics } from '../services/collector/metrics.ts';
import { Sampler } from '../services/collector/sampling/sampler.ts';
import { Baselines } from '../services/collector/sources/baselines.ts';

const namespaces = Number(process.env.BENCH_NAMESPACES ?? 300);
const socketsEach = 20;
const idleSeconds = 5;
const cycles = Number(process.env.BENCH_CYCLES ?? 8);
/** Benches run compiled, below dist/: what is not TypeScript stays where it is. */
const sourceFolder = new URL(import.meta.url.includes('/dist/') ? '../../bench/' : './', import.meta.url);
const prefix = `jsb-${process.pid}-`;

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });

/** The cost of all sources over so many namespaces of so many sockets, as shares of a core. Needs root. */
async function run(): Promise<void> {
  const native = loadNative();
  const names = Array.from({ length: namespaces }, (_, i) => `${prefix}${i}`);
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-bench-'));
  const holders: ChildProcess[] = [];
  try {
    for (const name of names) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    holders.push(...(await holdSockets(names, folder)));
    const live = names
      .map((name) => `/run/netns/${name}`)
      .map((path) => ({ path, inode: statSync(path).ino, cookie: Number(native.netnsCookie(path)) }));
    const metrics = emptyCollectorMetrics();
    let bytes = 0;
    let messages = 0;
    const sampler = new Sampler({
      native,
      baselines: new Baselines(join(folder, 'baselines.json'), 'bench'),
      metrics,
      log: createLog('silent'),
      limiter: new LogLimiter(),
      intervalMs: 2_000,
      bootNs: () => Number(native.clocks().bootNs),
      // Encoding is part of the work.
      ship: (body) => {
        bytes += CollectorMessage.encode({ ...body, seq: 1 }).finish().length;
        messages++;
      },
      counters: () => [],
      cgroups: () => [],
    });
    const idle = await shareOf(idleSeconds * 1e3);
    sampler.follow(live);
    sampler.start();
    while (metrics.sampling.cycles < 4) await sleep(100);
    const [beganMs, cpu, bytesBefore, messagesBefore, cyclesBefore] = [
      performance.now(),
      process.cpuUsage(),
      bytes,
      messages,
      metrics.sampling.cycles,
    ];
    metrics.sampling.longestSliceSeconds = 0;
    while (metrics.sampling.cycles < cyclesBefore + cycles) await sleep(100);
    const seconds = (performance.now() - beganMs) / 1e3;
    const used = process.cpuUsage(cpu);
    const done = metrics.sampling.cycles - cyclesBefore;
    const row = (name: string, value: string): void => void process.stdout.write(`${name.padEnd(44)} ${value}\n`);
    row(`sources, ${metrics.sampling.netns} namespaces x ${socketsEach} sockets`, `${metrics.sampling.targets} targets`);
    const share = (used.user + used.system) / 1e4 / seconds;
    const parts = `${share.toFixed(2)} % with the ${idle.toFixed(2)} % of a process that only waits`;
    row('share of a core, user and kernel', `${(share - idle).toFixed(2)} % (must: 2 %); ${parts}`);
    const cpuMs = (used.user + used.system) / 1e3 - idle * seconds * 10;
    row('CPU a cycle', `${(cpuMs / done).toFixed(0)} ms, ${((cpuMs / done / namespaces) * 1e3).toFixed(0)} µs a namespace`);
    row(
      'interval',
      `${metrics.sampling.intervalSeconds.toFixed(1)} s (must: at most 10 s), ${(metrics.sampling.cycleSeconds * 1e3).toFixed(0)} ms of work a cycle`,
    );
    row('longest slice', `${(metrics.sampling.longestSliceSeconds * 1e3).toFixed(1)} ms (must: about 10 ms)`);
    row(
      'samples',
      `${((bytes - bytesBefore) / done / 1024).toFixed(0)} KiB in ${((messages - messagesBefore) / done).toFixed(1)} messages a cycle`,
    );
    row('failures', String(metrics.sampling.failures));
    sampler.stop();
  } finally {
    for (const child of holders) child.stdin?.end();
    await Promise.all(holders.filter(({ exitCode }) => exitCode === null).map((child) => once(child, 'exit')));
    for (const name of names) spawnQuiet('ip', ['netns', 'delete', name]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Share of a core that this process takes while it only waits, in percent. */
async function shareOf(ms: number): Promise<number> {
  const [beganMs, cpu] = [performance.now(), process.cpuUsage()];
  while (performance.now() < beganMs + ms) await sleep(100);
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 10 / (performance.now() - beganMs);
}

/** Programs that hold the sockets, each those of some of the namespaces: few descriptors are allowed to one. */
async function holdSockets(names: readonly string[], folder: string): Promise<ChildProcess[]> {
  const program = join(folder, 'hold-sockets');
  execFileSync('cc', ['-O1', '-o', program, fileURLToPath(new URL('hold-sockets.c', sourceFolder))]);
  const holders: ChildProcess[] = [];
  for (let i = 0; i < names.length; i += 30) {
    const paths = names.slice(i, i + 30).map((name) => `/run/netns/${name}`);
    const child = spawn(program, [String(socketsEach), ...paths], { stdio: ['pipe', 'pipe', 'inherit'] });
    holders.push(child);
    await once(child.stdout, 'data');
  }
  return holders;
}

function spawnQuiet(command: string, args: string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // It was not made.
  }
}

await run();
