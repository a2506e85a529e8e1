import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../support/free-port.ts';
import { eventually } from './eventually.ts';

const program = '/usr/bin/prometheus';

/** Whether the real Prometheus is here. Says so when not; throws when REQUIRE_TIERS wants the promises. */
export function prometheusIsHere(): boolean {
  if (existsSync(program)) return true;
  const found = `they need ${program}: sudo apt-get install prometheus`;
  if ((process.env.REQUIRE_TIERS ?? '').split(',').includes('promise')) throw new Error(`REQUIRE_TIERS wants the promises, but ${found}`);
  process.stderr.write(`SKIPPED tests with Prometheus: ${found}\n`);
  return false;
}

/** One series with its samples: Unix seconds and value. */
export interface PrometheusSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: number])[];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly { metric: Record<string, string>; values?: [number, string][]; value?: [number, string] }[] };
}

/** The real Prometheus, in a folder of its own, scraping one target each second. */
export class PrometheusServer {
  readonly #child: ChildProcess;
  readonly #url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /** @param target address and port of what has /metrics */
  static async start(folder: string, target: string): Promise<PrometheusServer> {
    mkdirSync(folder, { recursive: true });
    const config = { global: { scrape_interval: '1s' }, scrape_configs: [{ job_name: 'agent', static_configs: [{ targets: [target] }] }] };
    // JSON is YAML.
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const listen = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'tsdb')}`,
      `--web.listen-address=${listen}`,
    ];
    const child = spawn(program, [...args, '--log.level=warn'], { stdio: ['ignore', 'ignore', 'inherit'] });
    process.once('exit', () => child.kill('SIGKILL'));
    const server = new PrometheusServer(child, `http://${listen}`);
    await eventually('Prometheus is ready', async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}`);
      return (await fetch(`${server.#url}/-/ready`).catch(() => undefined))?.ok === true;
    });
    return server;
  }

  /** Asks a question of PromQL: a range vector has all its samples, an instant vector one. */
  async query(question: string): Promise<PrometheusSeries[]> {
    const response = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(question)}`);
    const { status, error, data } = (await response.json()) as Answer;
    if (status !== 'success') throw new Error(`${question}: ${error}`);
    return data.result.map(({ metric, values, value }) => ({
      metric,
      values: (values ?? (value === undefined ? [] : [value])).map(([seconds, text]) => [seconds, Number(text)] as const),
    }));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** What promtool says of a text of metrics; empty when it finds nothing. */
export function promtoolFindings(text: string): string {
  try {
    return execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (thrown) {
    const { stdout, stderr } = thrown as { stdout: string; stderr: string };
    return `${stdout}${stderr}`;
  }
}
