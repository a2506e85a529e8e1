import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** Options of node, as the program's first line has them. */
const nodeOptions = (): string[] => readFileSync(program, 'utf8').split('\n', 1)[0].split(' ').slice(3);
const keptOutput = 256 * 1024;

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A jitterscope of its own process, as people start it. Ended with the test process at the latest. */
export class JitterscopeProcess {
  readonly pid: number;
  /** The end of what it printed. */
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  #running = true;
  readonly #child: ChildProcess;

  /** @param wrapper a command that runs the rest of its arguments: setpriv, nsenter */
  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}, wrapper: readonly string[] = []) {
    const [command, ...rest] = [...wrapper, process.execPath, ...nodeOptions(), program, ...args];
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...environment },
    });
    running.add(child);
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout = (this.stdout + text).slice(-keptOutput);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-keptOutput);
    });
    this.ended = once(child, 'close').then(() => {
      running.delete(child);
      this.#running = false;
      return { code: child.exitCode, signal: child.signalCode };
    });
  }

  get running(): boolean {
    return this.#running;
  }

  /** kill -9; resolves when the process is gone. */
  async killHard(): Promise<Ended> {
    this.#child.kill('SIGKILL');
    return this.ended;
  }

  /** Asks it to drain and end. Throws when Node.js warned of something meanwhile (a leak, something deprecated). */
  async stop(): Promise<Ended> {
    this.#child.kill('SIGTERM');
    const ended = await this.ended;
    const warning = /^\(node:\d+\) .*Warning: .*$/m.exec(this.stderr);
    if (warning !== null) throw new Error(warning[0]);
    return ended;
  }

  /** Waits for its own end; throws, with what it said, when that takes too long. */
  async finish(limitMs: number): Promise<Ended> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), limitMs);
    const ended = await this.ended;
    clearTimeout(timer);
    if (ended.signal === 'SIGKILL')
      throw new Error(`killed after ${limitMs} ms in vain: ${this.stdout.slice(-500)} ${this.stderr.slice(-2000)}`);
    return ended;
  }
}

/** Runs a command to its end; throws with its output when its exit code is not 0. */
export async function runJitterscope(args: readonly string[], limitMs: number): Promise<JitterscopeProcess> {
  const started = new JitterscopeProcess(args);
  const { code } = await started.finish(limitMs);
  if (code !== 0)
    throw new Error(`jitterscope ${args.join(' ')} ended with ${code}: ${started.stdout.slice(-500)} ${started.stderr.slice(-2000)}`);
  return started;
}
