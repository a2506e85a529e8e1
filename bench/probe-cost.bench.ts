import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { probes } from '../bpf/registry.ts';
import { defaultSettings } from '../bpf/settings.ts';
import { createLog } from '../core/log.ts';
import type { BpfObject } from '../native/addon.ts';
import { loadNative } from '../native/index.ts';
import { LiveSymbols } from '../services/collector/live-symbols.ts';
import { ProbeHost } from '../services/collector/probe-host.ts';

const windowMs = 150;
const rounds = Number(process.env.JITTERSCOPE_BENCH_ROUNDS ?? 60);
const [client, server] = ['jscost-a', 'jscost-b'];
const address = { [client]: '198.51.100.1', [server]: '198.51.100.2' };
const loads = [
  { mode: 'rr', name: 'TCP request/response, 100 bytes', must: 1.05 },
  { mode: 'crr', name: 'TCP connect, one exchange, close', must: 1.1 },
] as const;

/** What one window of load did. */
interface Window {
  readonly ops: number;
  readonly cpuNs: number;
}

interface CostRow {
  readonly load: string;
  /** CPU time per operation, probes attached to probes detached. */
  readonly cpuRatio: number;
  readonly throughputRatio: number;
  readonly must: number;
  readonly rounds: number;
}

interface Attachment {
  readonly object: BpfObject;
  readonly program: string;
}

/** The load between two namespaces, both its ends on one CPU: a window at a time. */
class Load {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string, mode: string) {
    const cpu = String(cpus().length - 1);
    const args = ['-c', cpu, program, `/run/netns/${client}`, `/run/netns/${server}`, address[server], mode];
    this.#child = spawn('taskset', args, { stdio: 'pipe' });
    this.#child.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async window(): Promise<Window> {
    this.#child.stdin.write(`${windowMs}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the load program has ended');
    return JSON.parse(value) as Window;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await once(this.#child, 'close');
  }
}

/** Attached and detached in turn, each pair in the other order than the one before; medians of the paired ratios. */
async function measure(all: readonly Attachment[], program: string, { mode, name, must }: (typeof loads)[number]): Promise<CostRow> {
  const load = new Load(program, mode);
  const cpu: number[] = [];
  const throughput: number[] = [];
  const run = async (attached: boolean): Promise<Window> => {
    toggle(all, attached);
    await sleep(5);
    return load.window();
  };
  await load.window();
  for (let round = 0; round < rounds; round++) {
    const first = await run(round % 2 === 0);
    const second = await run(round % 2 !== 0);
    const [on, off] = round % 2 === 0 ? [first, second] : [second, first];
    cpu.push(on.cpuNs / on.ops / (off.cpuNs / off.ops));
    throughput.push(on.ops / off.ops);
  }
  await load.close();
  return { load: name, cpuRatio: median(cpu), throughputRatio: median(throughput), must, rounds };
}

/** Every program that the host attached, with its object. */
function attachments(host: ProbeHost): Attachment[] {
  const objects = [host.base(), ...host.running().map(({ object }) => object)].filter((object) => object !== undefined);
  return objects.flatMap((object) =>
    object
      .programs()
      .filter(({ name }) => object.attached(name))
      .map(({ name }) => ({ object, program: name })),
  );
}

function toggle(all: readonly Attachment[], on: boolean): void {
  for (const { object, program } of all) {
    if (object.attached(program) === on) continue;
    if (on) object.attach(program);
    else object.detach(program);
  }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

const ip = (...args: string[]): void => void execFileSync('ip', args);

function makeNamespaces(): void {
  for (const name of [client, server]) ip('netns', 'add', name);
  ip('link', 'add', 'veth0', 'netns', client, 'type', 'veth', 'peer', 'name', 'veth0', 'netns', server);
  for (const name of [client, server]) {
    ip('-n', name, 'address', 'add', `${address[name]}/24`, 'dev', 'veth0');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'set', 'veth0', 'up');
    const settings = ['net.ipv4.ip_local_port_range=1024 65000', 'net.ipv4.tcp_max_tw_buckets=0'];
    execFileSync('nsenter', [`--net=/run/netns/${name}`, 'sysctl', '-qw', ...settings]);
  }
}

function removeNamespaces(): void {
  for (const name of [client, server]) if (existsSync(`/run/netns/${name}`)) ip('netns', 'del', name);
}

/** `--write` keeps the figures for docs/reference/probes.md. */
async function main(): Promise<void> {
  if (process.getuid?.() !== 0) {
    process.stdout.write('probe-cost: skipped, it needs root: it attaches the probes and makes namespaces\n');
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'jitterscope-bench-'));
  const native = loadNative();
  const names = new LiveSymbols().namesFor(native);
  const host = new ProbeHost(native, { drainMs: 10, chunkBytes: 256 * 1024, maxChunks: 32, names }, createLog('warn'));
  try {
    const program = join(folder, 'load');
    execFileSync('cc', ['-O2', '-o', program, fileURLToPath(new URL('../../bench/load.c', import.meta.url))]);
    makeNamespaces();
    host.open(() => undefined);
    for (const probe of probes) host.start(probe, defaultSettings);
    const all = attachments(host);
    const rows: CostRow[] = [];
    for (const load of loads) {
      const row = await measure(all, program, load);
      rows.push(row);
      const figures = `CPU per operation ${row.cpuRatio.toFixed(3)} x, throughput ${row.throughputRatio.toFixed(3)} x`;
      process.stdout.write(`${row.load.padEnd(44)} ${figures} (must: CPU at most ${row.must} x; ${rounds} pairs)\n`);
    }
    if (process.argv.includes('--write')) writeFileSync(resultPath, `${JSON.stringify(resultOf(rows), null, 2)}\n`);
  } finally {
    await host.stop();
    host.close();
    removeNamespaces();
    rmSync(folder, { recursive: true });
  }
}

const resultPath = fileURLToPath(new URL('../../bench/probe-cost.json', import.meta.url));

function resultOf(rows: readonly CostRow[]) {
  const machine = `a virtual machine with ${cpus().length} shared cores, Linux ${release()}, Node ${process.version.slice(1)}`;
  return { date: new Date().toISOString().slice(0, 10), machine, rows };
}

await main();
