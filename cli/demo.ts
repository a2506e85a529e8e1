import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { errorTable } from '../core/app-error.ts';
import { askControl } from '../core/control.ts';
import { sleep } from '../core/retry.ts';
import { client, makeNamespaces, removeNamespaces, web } from './demo-namespaces.ts';
import { replay } from './replay.ts';
import { shortSocketPath } from './socket-path.ts';

const demoError = errorTable({
  DEMO_CAPTURE_MISSING: {
    message: 'the shipped capture {file} is missing',
    retryable: false,
    remedy: 'Run it from a whole checkout.',
    exitCode: 69,
  },
});

const targets = ['198.51.100.2', '2001:db8::2'];
const closedPort = 81;
const rounds = 5;

/** `jitterscope demo`: connects to a closed port over both families between two namespaces. Resolves with the exit code. */
export async function demo(dataDir: string): Promise<number> {
  if (process.getuid?.() !== 0) return replayDemo();
  const own = (await isRunning(dataDir)) ? undefined : startOwn();
  try {
    await breakThings();
  } finally {
    await own?.stop();
  }
  return 0;
}

async function breakThings(): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  makeNamespaces();
  try {
    say(`made the network namespaces ${client} and ${web}, joined by a veth pair`);
    await sleep(2_500, stop.signal);
    for (let round = 0; round < rounds; round++) {
      for (const target of targets) {
        say(`${client} connects to port ${closedPort} of ${web} (${target}), where nothing listens`);
        connectFrom(client, target, closedPort);
        await sleep(400, stop.signal);
      }
    }
    await sleep(1_500, stop.signal);
    say(`done: ${rounds * targets.length} connects were refused; each shows as reset-sent in ${web} and reset-received in ${client}`);
  } catch (thrown) {
    if (!stop.signal.aborted) throw thrown;
  } finally {
    removeNamespaces();
    say('removed the namespaces');
  }
}

/** Without root there is nothing to break: a capture of the same thing goes through the same hops. */
async function replayDemo(): Promise<number> {
  const file = shippedCapture();
  say('without root no namespaces can be made: this replays a recorded demo through the same pipeline');
  const dataDir = mkdtempSync(join(tmpdir(), 'jitterscope-demo-'));
  try {
    return await replay({ file, dataDir, set: ['metrics.listen="off"'] });
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function shippedCapture(): string {
  const name = join('examples', 'captures', 'refused-connects.jscap.gz');
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

/** No jitterscope runs on the data folder: one of the demo's own shows what happens. */
function startOwn(): { stop(): Promise<void> } {
  say('no jitterscope is running here, so the demo starts one for itself');
  const dataDir = mkdtempSync(join(tmpdir(), 'jitterscope-demo-'));
  const main = join(dirname(fileURLToPath(import.meta.url)), 'main.js');
  const child = spawn(process.execPath, [main, 'run', '--data-dir', dataDir, '--set', 'metrics.listen="off"'], { stdio: 'inherit' });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    async stop() {
      child.kill('SIGTERM');
      await exited;
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function connectFrom(netns: string, host: string, port: number): void {
  const script = `require('net').connect(${port}, '${host}').on('error', () => process.exit(0)).setTimeout(3000, () => process.exit(0))`;
  execFileSync('nsenter', [`--net=/run/netns/${netns}`, process.execPath, '-e', script]);
}

function say(text: string): void {
  process.stdout.write(`${pc.bold('demo')} ${text}\n`);
}
