import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FleetItems, readLedger } from './fleet-ledger.ts';
import { patiently } from './patiently.ts';

const program = fileURLToPath(new URL('../../dist/test/support/collector-fleet-main.js', import.meta.url));

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Fake collectors, and the load that they make. */
export interface FleetOptions {
  /** Of spools and ledger. */
  readonly folder: string;
  /** Host and port. */
  readonly gatewayAddress: string;
  readonly nodes: number;
  /** Number of the first synthetic node. */
  readonly firstNode: number;
  /** Of all nodes together. */
  readonly recordsPerSecond: number;
  readonly seed: number;
  /** Whether the nodes' time goes on as the clock does, and not by 0.1 ms a record. */
  readonly timeFlows?: boolean;
  /** When the nodes have been up for 7,000 s, Unix ms: the time of their first records. */
  readonly bootMs: number;
}

/** Fake collectors in one process that can be killed: the next one goes on from their spools. */
export class CollectorFleet {
  readonly #options: FleetOptions;
  #child: ChildProcess | undefined;
  #said = '';
  #lives = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
  }

  /** Begins a session on each node: sends what earlier ones left, and makes load. */
  async start(): Promise<void> {
    const options: FleetOptions = { ...this.#options, seed: this.#options.seed + this.#lives++ };
    const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    this.#said = '';
    child.stdin?.on('error', () => undefined);
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    running.add(child);
    child.once('exit', () => running.delete(child));
    await this.#says('working', 60_000);
  }

  /** kill -9 */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Ends the load; resolves when all is acked, with how many messages stay in the spools. */
  async end(): Promise<number> {
    this.#child?.stdin?.end();
    await this.#says('left', 150_000);
    return Number(/left (\d+)/.exec(this.#said)?.[1]);
  }

  /** What the fleet spooled in all its lives. */
  items(): FleetItems {
    return readLedger(join(this.#options.folder, 'ledger'));
  }

  async #says(word: string, limitMs: number): Promise<void> {
    await patiently(`the fleet says "${word}"`, limitMs, () => {
      if (this.#said.includes(`${word}`)) return true;
      if (this.#child?.exitCode !== null) throw new Error(`the fleet ended: ${this.#said.slice(-2_000)}`);
      return false;
    });
  }
}
