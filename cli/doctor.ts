import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pc from 'picocolors';
import { probes } from '../bpf/registry.ts';
import { defaultSettings } from '../bpf/settings.ts';
import type { Transport } from '../bpf/transport.ts';
import { messageOf } from '../core/app-error.ts';
import { askControl } from '../core/control.ts';
import { createLog } from '../core/log.ts';
import type { Native } from '../native/addon.ts';
import { loadNative, readBpfObject } from '../native/index.ts';
import type { CollectorConfig } from '../services/collector/config.ts';
import { LiveSymbols } from '../services/collector/live-symbols.ts';
import { ProbeHost } from '../services/collector/probe-host.ts';
import { runtimeFindings } from './doctor-runtime.ts';
import { sourceFindings } from './doctor-sources.ts';
import { type Finding, hintOf } from './finding.ts';
import { shortSocketPath } from './socket-path.ts';

/** Linux capabilities that matter (capability.h). */
const capabilities: readonly { readonly bit: number; readonly name: string; readonly needed: string }[] = [
  { bit: 39, name: 'CAP_BPF', needed: 'loads probes' },
  { bit: 38, name: 'CAP_PERFMON', needed: 'attaches probes to tracepoints' },
  { bit: 21, name: 'CAP_SYS_ADMIN', needed: 'enters namespaces: their addresses, and those without a process' },
];

/** `jitterscope doctor`: looks at kernel, privileges, probes and folder, and changes nothing. Exit code 1 when something fails. */
export async function doctor(dataDir: string, json: boolean, config: CollectorConfig): Promise<number> {
  const findings = [...systemFindings()];
  const native = tryNative(findings);
  if (native !== undefined) {
    findings.push(...(await probeFindings(native, config.transport)));
    findings.push(...identityFindings(native), ...(await runtimeFindings(native, config)), ...sourceFindings(native));
  }
  findings.push(...dataFindings(dataDir), await runningFinding(dataDir));
  if (json) process.stdout.write(`${JSON.stringify(findings, undefined, 2)}\n`);
  else for (const finding of findings) process.stdout.write(findingText(finding));
  return findings.some(({ state }) => state === 'failed') ? 1 : 0;
}

function* systemFindings(): Generator<Finding> {
  yield { area: 'system', what: 'Node', state: 'ok', found: process.version };
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  const btf = existsSync('/sys/kernel/btf/vmlinux');
  yield {
    area: 'system',
    what: 'kernel',
    state: btf ? 'ok' : 'failed',
    found: `${release}, ${btf ? 'with' : 'without'} BTF`,
    ...(btf ? {} : { remedy: 'Probes need a kernel with CONFIG_DEBUG_INFO_BTF, as Debian 11, Ubuntu 20.10 and later have.' }),
  };
  const held = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  for (const { bit, name, needed } of capabilities) {
    const has = ((held >> BigInt(bit)) & 1n) === 1n;
    yield {
      area: 'system',
      what: name,
      state: has ? 'ok' : name === 'CAP_SYS_ADMIN' ? 'degraded' : 'failed',
      found: `${has ? 'held' : 'missing'}: ${needed}`,
      ...(has ? {} : { remedy: `Run as root, or give the process ${name}.` }),
    };
  }
}

function tryNative(findings: Finding[]): Native | undefined {
  try {
    const native = loadNative();
    findings.push({ area: 'system', what: 'native addon', state: 'ok', found: `libbpf ${native.libbpfVersion()}` });
    return native;
  } catch (thrown) {
    findings.push({ area: 'system', what: 'native addon', state: 'failed', found: messageOf(thrown), remedy: 'npm run build' });
    return undefined;
  }
}

/** Loads and attaches all probes for a moment, as `run` does; they count, and emit nothing. */
async function probeFindings(native: Native, wanted: Transport | 'auto'): Promise<Finding[]> {
  const names = new LiveSymbols().namesFor(native);
  const host = new ProbeHost(native, { drainMs: 1000, chunkBytes: 4096, maxChunks: 1, transport: wanted, names }, createLog('silent'));
  const told = new Set<string>();
  const findings: Finding[] = [];
  host.open(() => undefined);
  const transport = host.transport();
  if (transport !== undefined)
    findings.push({ area: 'system', what: 'transport of records', state: 'ok', found: transportText(transport, wanted) });
  for (const probe of probes) {
    const { name, state, attached, problems } = host.start(probe, { ...defaultSettings, burst: 0 });
    for (const program of attached) findings.push({ area: 'probe', what: `${name}: ${program}`, state: 'ok', found: 'loads and attaches' });
    for (const { what, reason, remedy } of problems) {
      // What the base lacks is missing in every probe.
      if (told.has(what)) continue;
      told.add(what);
      const failed = state === 'failed';
      findings.push({ area: 'probe', what: `${name}: ${what}`, state: failed ? 'failed' : 'degraded', found: reason, remedy });
    }
  }
  await host.stop();
  host.close();
  return findings;
}

function transportText(transport: Transport, wanted: Transport | 'auto'): string {
  const text = transport === 'ring' ? 'one ring buffer' : 'a perf buffer for each CPU';
  if (wanted !== 'auto') return `${text}, as collector.transport says`;
  return transport === 'ring' ? text : `${text}: this kernel has no ring buffers`;
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
    yield {
      area: 'identity',
      what: 'namespaces of processes',
      state: 'degraded',
      found: `listed from /proc: ${messageOf(thrown)}`,
      remedy: hintOf(thrown),
    };
  }
  try {
    const cookie = native.netnsCookie('/proc/self/ns/net');
    yield { area: 'identity', what: 'named namespaces', state: 'ok', found: `can be entered (this one has cookie ${cookie})` };
  } catch (thrown) {
    yield { area: 'identity', what: 'named namespaces', state: 'degraded', found: messageOf(thrown), remedy: hintOf(thrown) };
  }
}

function* dataFindings(dataDir: string): Generator<Finding> {
  let folder = dataDir;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const freeMiB = Math.floor((bavail * bsize) / 2 ** 20);
  const wanted = 4 * 1024;
  yield {
    area: 'data',
    what: dataDir,
    state: freeMiB >= wanted ? 'ok' : 'degraded',
    found: `${freeMiB} MiB free`,
    ...(freeMiB >= wanted
      ? {}
      : { remedy: `With the default caps up to ${wanted} MiB are used; all caps are lowered to 80 % of what is free.` }),
  };
}

async function runningFinding(dataDir: string): Promise<Finding> {
  try {
    for await (const status of askControl(shortSocketPath(join(dataDir, 'control.sock')), 'status')) {
      return { area: 'data', what: 'running jitterscope', state: 'ok', found: `process ${(status as { pid: number }).pid}` };
    }
  } catch {
    // Nobody answers.
  }
  return { area: 'data', what: 'running jitterscope', state: 'ok', found: 'none on this data folder' };
}

function findingText({ area, what, state, found, remedy }: Finding): string {
  const colour = state === 'ok' ? pc.green : state === 'degraded' ? pc.yellow : pc.red;
  const line = `${colour(state.padEnd(8))} ${pc.dim(area.padEnd(8))} ${what}: ${found}\n`;
  return remedy === undefined || remedy === '' ? line : `${line}${' '.repeat(18)}${pc.dim(remedy)}\n`;
}
