import { join } from 'node:path';
import { askControl, type ControlParams } from '../core/control.ts';
import { printable } from '../core/printable.ts';
import type { ProbeOrder } from '../services/collector/probe-intent.ts';
import type { ProbeRow } from './probe-rows.ts';
import { probeText } from './probe-text.ts';
import { shortSocketPath } from './socket-path.ts';

/** What is ordered of one probe. */
export interface OrderOptions {
  readonly name: string;
  readonly order: ProbeOrder;
  /** Undone after so long. */
  readonly forMs?: number;
  readonly json: boolean;
}

/** `jitterscope probes list`. Resolves with the exit code. */
export async function listProbes(dataDir: string, json: boolean): Promise<number> {
  const rows = await ask(dataDir, 'probes');
  if (json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  else if (rows.length > 0) for (const row of rows) print(row);
  else process.stdout.write('The running jitterscope has no probes: its native addon is not built. `npm run build` says why.\n');
  return 0;
}

/** `jitterscope probes enable | disable`: resolves with the exit code when it is done, and shows the probe as it is then. */
export async function orderProbe(dataDir: string, { name, order, forMs, json }: OrderOptions): Promise<number> {
  const rows = await ask(dataDir, 'order-probe', { name, ...order, ...(forMs === undefined ? {} : { forMs }) });
  for (const row of rows) {
    if (json) process.stdout.write(`${JSON.stringify(row, undefined, 2)}\n`);
    else print(row);
  }
  return 0;
}

async function ask(dataDir: string, method: string, params: ControlParams = {}): Promise<ProbeRow[]> {
  const rows: ProbeRow[] = [];
  for await (const row of askControl(shortSocketPath(join(dataDir, 'control.sock')), method, params)) rows.push(row as ProbeRow);
  return rows;
}

/** Names of Pods and words of the kernel are other people's. */
function print(row: ProbeRow): void {
  const clean = JSON.parse(JSON.stringify(row), (_, value: unknown) => (typeof value === 'string' ? printable(value) : value)) as ProbeRow;
  process.stdout.write(probeText(clean));
}
