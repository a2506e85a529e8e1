import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askControl } from '../../core/control.ts';
import { createLog } from '../../core/log.ts';
import { configuredTarget, type GatewayTarget } from '../../services/collector/gateway-target.ts';
import { freePort } from './free-port.ts';
import { JitterscopeProcess } from './jitterscope-process.ts';
import { patiently } from './patiently.ts';

/** A role whose process may be killed and started again. */
export type RoleName = 'collector' | 'gateway' | 'aggregator' | 'sinks';

const example = fileURLToPath(new URL('../../examples/kafka/jitterscope.yaml', import.meta.url));
/** Of a process that joins a group on a machine with much else to do, too. */
const startLimitMs = 120_000;

/** Processes of separate roles over one Kafka, each with a data folder of its own. */
export class KafkaRoles {
  readonly #folder: string;
  readonly #settings: readonly string[];
  readonly #gatewayPort: number;
  /** Addresses of all gateways, by their names. */
  readonly #gateways = new Map<string, string>();
  readonly #running = new Map<string, JitterscopeProcess>();

  private constructor(folder: string, settings: readonly string[], gatewayPort: number) {
    this.#folder = folder;
    this.#settings = settings;
    this.#gatewayPort = gatewayPort;
    this.#gateways.set('gateway', this.gatewayAddress);
  }

  /** @param settings path=value, for all of them */
  static async over(broker: string, folder: string, settings: readonly string[]): Promise<KafkaRoles> {
    const gatewayPort = await freePort();
    const own = [
      `bus.kafka.brokers=["${broker}"]`,
      'bus.kafka.sessionTimeout=6s',
      `gateway.listen=127.0.0.1:${gatewayPort}`,
      `collector.gateway.address=127.0.0.1:${gatewayPort}`,
      'aggregator.checkpointInterval=2s',
      'sinks.file.maxFiles=999999',
    ];
    return new KafkaRoles(folder, [...own, ...settings], gatewayPort);
  }

  /** Host and port of the gateway. */
  get gatewayAddress(): string {
    return `127.0.0.1:${this.#gatewayPort}`;
  }

  /** The gateways, as a collector connects to them: with each new connection to the next one, as behind one address. */
  get gateway(): GatewayTarget {
    let turn = 0;
    const next = (): GatewayTarget => {
      const addresses = [...this.#gateways.values()];
      const address = addresses[turn++ % addresses.length];
      return configuredTarget({ address, tls: undefined, allowPlaintext: false }, createLog('silent')) as GatewayTarget;
    };
    return { address: this.gatewayAddress, client: () => next().client(), explain: (thrown) => next().explain(thrown) };
  }

  /** Starts a process and waits until it works. @param name its folder: `aggregator-2` is a second one */
  async start(role: RoleName, name: string = role): Promise<JitterscopeProcess> {
    if (role === 'gateway' && !this.#gateways.has(name)) this.#gateways.set(name, `127.0.0.1:${await freePort()}`);
    const own = role === 'gateway' ? [`gateway.listen=${this.#gateways.get(name)}`] : [];
    const sets = [...this.#settings, ...own].flatMap((setting) => ['--set', setting]);
    const process = new JitterscopeProcess(['run', '--role', role, '--config', example, '--data-dir', this.folderOf(name), ...sets]);
    this.#running.set(name, process);
    await patiently(`${name} works`, startLimitMs, () => {
      if (!process.running) throw new Error(`${name} ended: ${process.stdout.slice(-500)} ${process.stderr.slice(-2000)}`);
      return process.stdout.includes(role === 'collector' ? 'Waiting for events' : `role ${role}`);
    });
    return process;
  }

  /** Asks a process something on its control socket. */
  async ask(name: string, method: string): Promise<unknown[]> {
    const answers: unknown[] = [];
    for await (const answer of askControl(join(this.folderOf(name), 'control.sock'), method)) answers.push(answer);
    return answers;
  }

  /** Resident memory of a process, bytes: VmRSS of proc_pid_status(5). */
  rssBytes(name: string): number {
    const status = readFileSync(`/proc/${this.#running.get(name)?.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }

  async kill(name: string): Promise<void> {
    await this.#running.get(name)?.killHard();
  }

  /** Sends a signal to a process: SIGSTOP, SIGCONT. */
  signal(name: string, signal: NodeJS.Signals): void {
    process.kill(this.#running.get(name)?.pid ?? 0, signal);
  }

  /** Ends it in order; resolves with its exit code. */
  async stop(name: string): Promise<number | null | undefined> {
    return (await this.#running.get(name)?.stop())?.code;
  }

  /** What a process that ended in order said at last, line by line, without the space before each. */
  summary(name: string): string[] {
    const { stdout = '' } = this.#running.get(name) ?? {};
    return stdout
      .slice(stdout.lastIndexOf('Summary'))
      .split('\n')
      .map((line) => line.trim());
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((process) => process.killHard()));
  }

  /** The end of what a process said on standard error. */
  said(name: string): string {
    return this.#running.get(name)?.stderr.slice(-3000) ?? '';
  }

  folderOf(name: string): string {
    return join(this.#folder, name);
  }
}
