import { execFileSync } from 'node:child_process';
import { prometheus } from '../../scripts/servers/prometheus.mjs';
import type { RunningServer } from '../../scripts/servers/server.d.mts';

/** Whether the real Prometheus is here. Says so when not; throws when REQUIRE_TIERS wants the promises. */
export function prometheusIsHere(): boolean {
  const obstacle = prometheus.obstacle();
  if (obstacle === undefined) return true;
  const found = `they need ${obstacle.what}: ${obstacle.command}`;
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
  readonly #server: RunningServer;

  private constructor(server: RunningServer) {
    this.#server = server;
  }

  /** @param target address and port of what has /metrics */
  static async start(folder: string, target: string): Promise<PrometheusServer> {
    return new PrometheusServer(await prometheus.start({ dataDir: folder, target }));
  }

  /** Asks a question of PromQL: a range vector has all its samples, an instant vector one. */
  async query(question: string): Promise<PrometheusSeries[]> {
    const response = await fetch(`http://${this.#server.address}/api/v1/query?query=${encodeURIComponent(question)}`);
    const { status, error, data } = (await response.json()) as Answer;
    if (status !== 'success') throw new Error(`${question}: ${error}`);
    return data.result.map(({ metric, values, value }) => ({
      metric,
      values: (values ?? (value === undefined ? [] : [value])).map(([seconds, text]) => [seconds, Number(text)] as const),
    }));
  }

  async stop(): Promise<void> {
    await this.#server.kill();
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
