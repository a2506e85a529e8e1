import { join } from 'node:path';
import pc from 'picocolors';
import { messageOf } from '../core/app-error.ts';
import { askControl } from '../core/control.ts';
import type { Native } from '../native/addon.ts';
import { readBpfObject } from '../native/index.ts';
import { heldCapabilities } from './capabilities.ts';
import type { Config } from './config.ts';
import { probeFindings, tryProbes } from './doctor-probes.ts';
import { runtimeFindings } from './doctor-runtime.ts';
import { sourceFindings } from './doctor-sources.ts';
import { folderFindings, growthFindings } from './doctor-storage.ts';
import { addonFindings, kernelFindings, privilegeFindings } from './doctor-system.ts';
import { enteringRemedy, type Finding, hintOf } from './finding.ts';
import type { ProbeRow } from './probe-rows.ts';
import { shortSocketPath } from './socket-path.ts';
import type { LogGrowth } from './storage-rates.ts';

/** What a process that runs on the data folder says of itself. */
interface Running {
  readonly pid: number;
  readonly probes: readonly ProbeRow[];
  readonly logs: readonly LogGrowth[];
}

/**
 * `jitterscope doctor`: looks at kernel, privileges, probes, sources and folder, and changes nothing. Probes are those of
 * the process that runs on the data folder; where none does, all are tried for a moment. Exit code 1 when something that
 * was asked for is missing.
 */
export async function doctor(dataDir: string, json: boolean, config: Config): Promise<number> {
  const asked = await askRunning(dataDir);
  const running = asked === 'denied' ? undefined : asked;
  const { native, findings } = addonFindings();
  findings.push(...kernelFindings(native), ...privilegeFindings(config));
  if (running !== undefined) findings.push(...probeFindings(running.probes, `attached by process ${running.pid}`));
  else if (native !== undefined) findings.push(...(await tryProbes(native, config.collector)));
  if (native !== undefined) {
    const runtime = await runtimeFindings(native, config.collector);
    findings.push(...identityFindings(native), ...runtime, ...sourceFindings(native));
  }
  findings.push(runningFinding(asked), ...folderFindings(dataDir, config), ...growthFindings(running?.logs ?? []));
  if (json) process.stdout.write(`${JSON.stringify(findings, undefined, 2)}\n`);
  else process.stdout.write(`${findings.map(findingText).join('')}${verdict(findings)}\n`);
  return findings.some(({ state }) => state === 'failed') ? 1 : 0;
}

/** Undefined: none runs. `denied`: one may, and this user may not ask it. */
async function askRunning(dataDir: string): Promise<Running | 'denied' | undefined> {
  try {
    const path = shortSocketPath(join(dataDir, 'control.sock'));
    const all = async (method: string): Promise<unknown[]> => {
      const answers: unknown[] = [];
      for await (const answer of askControl(path, method)) answers.push(answer);
      return answers;
    };
    const [status] = (await all('status')) as { pid: number }[];
    return { pid: status.pid, probes: (await all('probes')) as ProbeRow[], logs: (await all('storage')) as LogGrowth[] };
  } catch (thrown) {
    return messageOf(thrown).includes('EACCES') ? 'denied' : undefined;
  }
}

function* identityFindings(native: Native): Generator<Finding> {
  try {
    const object = native.openObject('netns', readBpfObject('netns'));
    try {
      object.load();
      object.iterate(object.programs()[0]?.name ?? '');
      yield { area: 'identity', what: 'namespaces of processes', state: 'ok', found: 'listed by a BPF iterator' };
    } finally {
      object.close();
    }
  } catch (thrown) {
    const found = `listed from /proc: ${messageOf(thrown)}`;
    yield { area: 'identity', what: 'namespaces of processes', state: 'degraded', found, remedy: hintOf(thrown) };
  }
  const what = 'other namespaces';
  if (heldCapabilities().has('CAP_SYS_ADMIN'))
    yield {
      area: 'identity',
      what,
      state: 'ok',
      found: `may be entered, for their addresses (this one has cookie ${native.netnsCookie('/proc/self/ns/net')})`,
    };
  else
    yield {
      area: 'identity',
      what,
      state: 'failed',
      found: 'may not be entered: no addresses, and none that no process lives in',
      remedy: enteringRemedy,
    };
}

function runningFinding(running: Running | 'denied' | undefined): Finding {
  if (running === 'denied') {
    const found = 'its control socket is closed to this user: probes were tried apart from it';
    return { area: 'data', what: 'running jitterscope', state: 'degraded', found, remedy: 'Run doctor as the user who runs it.' };
  }
  const found = running === undefined ? 'none on this data folder: how fast it fills is known while one runs' : `process ${running.pid}`;
  return { area: 'data', what: 'running jitterscope', state: 'ok', found };
}

function findingText({ area, what, state, found, remedy }: Finding): string {
  const colour = state === 'ok' ? pc.green : state === 'degraded' ? pc.yellow : pc.red;
  const line = `${colour(state.padEnd(8))} ${pc.dim(area.padEnd(9))} ${what}: ${found}\n`;
  return remedy === undefined || remedy === '' ? line : `${line}${' '.repeat(19)}${pc.dim(remedy)}\n`;
}

function verdict(findings: readonly Finding[]): string {
  const count = (state: Finding['state']): number => findings.filter((finding) => finding.state === state).length;
  const [failed, degraded] = [count('failed'), count('degraded')];
  if (failed > 0) return pc.red(`Missing of what was asked for: ${failed}. Working in part: ${degraded}.`);
  return degraded > 0 ? pc.yellow(`All that was asked for works, ${degraded} of it in part.`) : pc.green('All that was asked for works.');
}
