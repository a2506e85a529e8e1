import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { errorTable } from '../core/app-error.ts';
import { askControl } from '../core/control.ts';
import { sleep } from '../core/retry.ts';
import { faults, stopFaults } from './demo-faults.ts';
import { client, lockDemo, makeNamespaces, removeNamespaces, web } from './demo-namespaces.ts';
import { linesOfFiles } from './demo-replay.ts';
import { DemoReport } from './demo-report.ts';
import { interrupted, interruptedExitCode, untilInterrupted } from './interruption.ts';
import { replay } from './replay.ts';
import { shortSocketPath } from './socket-path.ts';

const demoError = errorTable({
  DEMO_CAPTURE_MISSING: {
    message: 'the shipped capture {file} is missing',
    retryable: false,
    remedy: 'Run it from a whole checkout.',
    exitCode: 69,
  },
  DEMO_AGENT: {
    message: 'the jitterscope that the demo started does not answer: {cause}',
    retryable: false,
    remedy: '`npx jitterscope doctor` says what is missing.',
    exitCode: 69,
  },
});

/** The collector looks at namespaces each second; their counters are read every 2 s. */
const settleMs = 3_000;
/** Within so long after the faults began their findings are there, also on a busy machine. */
const patienceMs = 90_000;
const agentPatienceMs = 60_000;

/**
 * `jitterscope demo`: breaks five things between two namespaces, and shows what jitterscope finds. Without root it
 * replays a recording of the same. Resolves with the exit code: 1 when a fault was not found.
 */
export async function demo(dataDir: string): Promise<number> {
  return process.getuid?.() === 0 ? liveDemo(dataDir) : replayDemo();
}

async function liveDemo(dataDir: string): Promise<number> {
  const stop = new AbortController();
  untilInterrupted().addEventListener('abort', () => stop.abort(), { once: true });
  const lock = await lockDemo();
  let own: Awaited<ReturnType<typeof startOwn>> | undefined;
  try {
    own = (await isRunning(dataDir)) ? undefined : await startOwn(stop.signal);
    return await breakThings(shortSocketPath(join(own?.dataDir ?? dataDir, 'control.sock')), stop);
  } catch (thrown) {
    if (!interrupted.aborted) throw thrown;
    return interruptedExitCode();
  } finally {
    await own?.stop();
    await lock.release();
  }
}

async function breakThings(socketPath: string, stop: AbortController): Promise<number> {
  const report = new DemoReport(faults, say);
  makeNamespaces();
  let watching = Promise.resolve();
  try {
    say(`made the network namespaces ${client} and ${web}, joined by a veth pair`);
    watching = watch(socketPath, report, stop.signal);
    await sleep(settleMs, stop.signal);
    for (const fault of faults) {
      await fault.start();
      say(`${pc.bold('broken')} ${fault.what}`);
    }
    say('now the kernel sees it; each finding takes some seconds, because a rule wants to be sure');
    await Promise.race([report.complete, sleep(patienceMs, stop.signal), watching]);
  } catch (thrown) {
    if (!stop.signal.aborted) throw thrown;
  } finally {
    stopFaults();
    removeNamespaces();
    say('mended everything and removed the namespaces');
    stop.abort();
    // What it had read by then is told before the sum.
    await watching.catch(() => undefined);
  }
  return interrupted.aborted ? interruptedExitCode() : report.close();
}

/** Reads what the running jitterscope tells until the signal aborts; rejects when it ends before. */
async function watch(socketPath: string, report: DemoReport, signal: AbortSignal): Promise<void> {
  for await (const line of askControl(socketPath, 'tap', {}, signal)) report.take(String(line));
}

/** Without root there is nothing to break: a recording of the same goes through the same hops. */
async function replayDemo(): Promise<number> {
  const file = shippedCapture();
  say('without root no namespaces can be made: this replays a recorded demo through the same pipeline');
  for (const { what } of faults) say(`${pc.bold('broken')} ${what}`);
  const report = new DemoReport(faults, say);
  const dataDir = mkdtempSync(join(tmpdir(), 'jitterscope-demo-'));
  try {
    const exitCode = await replay({ file, dataDir, quiet: true, json: true, set: ['metrics.listen="off"'] });
    for (const line of linesOfFiles(dataDir)) report.take(line);
    return report.close() || exitCode;
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function shippedCapture(): string {
  const name = join('examples', 'captures', 'demo.jscap.gz');
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  const file = join(folder, name);
  if (!existsSync(file)) throw demoError('DEMO_CAPTURE_MISSING', { file });
  return file;
}

async function isRunning(dataDir: string): Promise<boolean> {
  try {
    for await (const status of askControl(shortSocketPath(join(dataDir, 'control.sock')), 'status')) return status !== undefined;
  } catch {
    // Nobody answers.
  }
  return false;
}

/** No jitterscope runs on the data folder: one of the demo's own watches. What it prints is left out: the report tells it. */
async function startOwn(signal: AbortSignal): Promise<{ readonly dataDir: string; stop(): Promise<void> }> {
  say('no jitterscope is running here, so the demo starts one for itself');
  const dataDir = mkdtempSync(join(tmpdir(), 'jitterscope-demo-'));
  const program = join(dirname(fileURLToPath(import.meta.url)), 'demo-agent.js');
  const args = [program, 'run', '--data-dir', dataDir, '--set', 'metrics.listen="off"'];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    const until = performance.now() + agentPatienceMs;
    while (!(await isRunning(dataDir))) {
      if (child.exitCode !== null) throw demoError('DEMO_AGENT', { cause: `it ended with exit code ${child.exitCode}` });
      if (performance.now() > until) throw demoError('DEMO_AGENT', { cause: `no answer within ${agentPatienceMs / 1000} s` });
      await sleep(200, signal);
    }
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return { dataDir, stop };
}

function say(text: string): void {
  process.stdout.write(`${pc.dim('demo')} ${text}\n`);
}
