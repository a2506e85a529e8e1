import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigView } from '../../cli/config-view.ts';
import { askControl } from '../../core/control.ts';
import { eventually } from '../lab/eventually.ts';
import { eventLines } from './event-files.ts';
import { JitterscopeProcess } from './jitterscope-process.ts';

/** What a running process says of its hops (cli/control-methods.ts). */
export interface LiveDispositions {
  readonly collector: {
    readonly items: number;
    readonly skippedItems: number;
    readonly unobservedSeconds: number;
    readonly lookups: number;
    readonly lookupsSkipped: number;
  };
  readonly aggregator: readonly { readonly events: number; readonly gaps: number; readonly kernelLost: Readonly<Record<string, number>> }[];
}

/** One of the kernel's counters, with its namespace's name. */
export interface LiveCounter {
  readonly net: number;
  readonly netns?: string;
  readonly metric: number;
  readonly bucket: number;
  readonly value: number;
}

/** An event, as far as live tests look at it. */
export interface LiveEvent {
  readonly event: { readonly action: string; readonly id: string };
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
  readonly jitterscope: { readonly type: string; readonly netns?: { readonly name?: string }; readonly suppressed: number };
}

/** `jitterscope run` on this machine's kernel. */
export class LiveRun {
  readonly dataDir: string;
  readonly process: JitterscopeProcess;

  private constructor(dataDir: string, settings: readonly string[], config?: string) {
    this.dataDir = dataDir;
    const sets = ['metrics.listen=off', ...settings].flatMap((setting) => ['--set', setting]);
    const file = config === undefined ? [] : ['--config', config];
    this.process = new JitterscopeProcess(['run', '--data-dir', dataDir, ...file, ...sets]);
  }

  /** Resolves when the probes are attached. @param config path of a YAML configuration */
  static async start(dataDir: string, settings: readonly string[] = [], config?: string): Promise<LiveRun> {
    const run = new LiveRun(dataDir, settings, config);
    await eventually('the probes are attached', async () => {
      if (!run.process.running) throw new Error(`jitterscope run ended: ${run.process.stdout} ${run.process.stderr}`);
      return run.process.stdout.includes('Waiting for events');
    });
    return run;
  }

  async dispositions(): Promise<LiveDispositions> {
    const [answer] = await this.#ask('dispositions');
    return answer as LiveDispositions;
  }

  async counters(): Promise<readonly LiveCounter[]> {
    return (await this.#ask('counters')) as LiveCounter[];
  }

  /** What `config show` shows. */
  async config(): Promise<ConfigView> {
    const [answer] = await this.#ask('config');
    return answer as ConfigView;
  }

  /** Resident memory now and at its highest, bytes: VmRSS and VmHWM of proc_pid_status(5). */
  memory(): { readonly rssBytes: number; readonly highestBytes: number } {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    const bytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    return { rssBytes: bytes('VmRSS'), highestBytes: bytes('VmHWM') };
  }

  /** CPU time spent in user and kernel mode, seconds: utime and stime of proc_pid_stat(5), at 100 ticks a second. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.process.pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async #ask(method: string): Promise<unknown[]> {
    const answers: unknown[] = [];
    for await (const answer of askControl(join(this.dataDir, 'control.sock'), method)) answers.push(answer);
    return answers;
  }
}

/** The events of one type in the files whose namespace has one of these names. A file that is being compressed is waited for. */
export function eventsOf(dataDir: string, names: readonly string[], type = 'tcpreset'): LiveEvent[] {
  const dir = join(dataDir, 'events');
  if (!existsSync(dir) || readdirSync(dir).every((name) => !name.startsWith('0-'))) return [];
  const found: LiveEvent[] = [];
  for (const line of eventLines(dir)) {
    const event = JSON.parse(line.toString()) as LiveEvent;
    if (event.jitterscope.type === type && names.includes(event.jitterscope.netns?.name ?? '')) found.push(event);
  }
  return found;
}
