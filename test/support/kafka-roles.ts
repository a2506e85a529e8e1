import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { createLog } from '../../core/log.ts';
import { configuredTarget, type GatewayTarget } from '../../services/collector/gateway-target.ts';
import { eventually } from '../lab/eventually.ts';
import { ExpectedEvents } from './expected-events.ts';
import { freePort } from './free-port.ts';
import { JitterscopeProcess } from './jitterscope-process.ts';

/** A role whose process may be killed and started again. */
export type RoleName = 'gateway' | 'aggregator' | 'sinks';

const example = fileURLToPath(new URL('../../examples/kafka/jitterscope.yaml', import.meta.url));
const alertKind = '"event":{"kind":"alert"';
const eventId = /"id":"([0-9a-f]{16})-(\d+)"/;

/** Processes of separate roles over one Kafka, each with a data folder of its own. */
export class KafkaRoles {
  readonly #folder: string;
  readonly #settings: readonly string[];
  readonly #gatewayPort: number;
  readonly #running = new Map<string, JitterscopeProcess>();

  private constructor(folder: string, settings: readonly string[], gatewayPort: number) {
    this.#folder = folder;
    this.#settings = settings;
    this.#gatewayPort = gatewayPort;
  }

  /** @param settings path=value, for all of them */
  static async over(broker: string, folder: string, settings: readonly string[]): Promise<KafkaRoles> {
    const gatewayPort = await freePort();
    const own = [
      `bus.kafka.brokers=["${broker}"]`,
      'bus.kafka.sessionTimeout=6s',
      `gateway.listen=127.0.0.1:${gatewayPort}`,
      'aggregator.checkpointInterval=2s',
      'sinks.file.maxFiles=999999',
    ];
    return new KafkaRoles(folder, [...own, ...settings], gatewayPort);
  }

  /** The gateway, as a collector connects to it. */
  get gateway(): GatewayTarget {
    const target = configuredTarget(
      { address: `127.0.0.1:${this.#gatewayPort}`, tls: undefined, allowPlaintext: false },
      createLog('silent'),
    );
    return target as GatewayTarget;
  }

  /** Starts a process and waits until it works. @param name its folder: `aggregator-2` is a second one */
  async start(role: RoleName, name: string = role): Promise<JitterscopeProcess> {
    const sets = this.#settings.flatMap((setting) => ['--set', setting]);
    const process = new JitterscopeProcess(['run', '--role', role, '--config', example, '--data-dir', this.folderOf(name), ...sets]);
    this.#running.set(name, process);
    await eventually(`${name} works`, () => {
      if (!process.running) throw new Error(`${name} ended: ${process.stdout.slice(-500)} ${process.stderr.slice(-2000)}`);
      return process.stdout.includes(`role ${role}`);
    });
    return process;
  }

  async kill(name: string): Promise<void> {
    await this.#running.get(name)?.killHard();
  }

  /** Ends it in order; resolves with its exit code. */
  async stop(name: string): Promise<number | null | undefined> {
    return (await this.#running.get(name)?.stop())?.code;
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

  /** What the file sinks of these processes hold, against what is expected. */
  verdict(expected: ExpectedEvents, sinks: readonly string[]): ReturnType<ExpectedEvents['verdict']> {
    const found = expected.copy(new ExpectedEvents());
    for (const name of sinks) for (const [prefix, item] of eventIds(join(this.folderOf(name), 'events'))) found.seen(prefix, item);
    return found.verdict();
  }
}

/** event.id of all events in the files of all partitions; findings are left out. A line that is being written is not there yet. */
function* eventIds(folder: string): Generator<[prefix: string, item: number]> {
  for (const name of filesIn(folder)) {
    for (const line of textOf(join(folder, name)).split('\n').slice(0, -1)) {
      const [, prefix, item] = eventId.exec(line) ?? [];
      if (!line.includes(alertKind) && prefix !== undefined) yield [prefix, Number(item)];
    }
  }
}

/** A file that was closed since it was listed has another name, with .gz. */
function textOf(path: string): string {
  if (!path.endsWith('.gz') && existsSync(`${path}.gz`)) return textOf(`${path}.gz`);
  try {
    const bytes = readFileSync(path);
    return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  } catch {
    // Between its two names.
    return '';
  }
}

function filesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => /^\d+-\d+\.ndjson(\.gz)?$/.test(name));
    return names.filter((name) => name.endsWith('.gz') || !names.includes(`${name}.gz`));
  } catch {
    return [];
  }
}
