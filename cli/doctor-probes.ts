import { probes } from '../bpf/registry.ts';
import { defaultSettings } from '../bpf/settings.ts';
import type { Transport } from '../bpf/transport.ts';
import { createLog } from '../core/log.ts';
import type { Native } from '../native/addon.ts';
import type { CollectorConfig } from '../services/collector/config.ts';
import type { ProbeStatus } from '../services/collector/hosted-probe.ts';
import { LiveSymbols } from '../services/collector/live-symbols.ts';
import { ProbeHost } from '../services/collector/probe-host.ts';
import type { Finding } from './finding.ts';

/** Loads and attaches all probes that are asked for, for a moment, as `run` does; they count, and emit nothing. */
export async function tryProbes(
  native: Native,
  config: Pick<CollectorConfig, 'transport' | 'hookSystemCalls' | 'probes'>,
): Promise<Finding[]> {
  const { transport: wanted, hookSystemCalls } = config;
  const names = new LiveSymbols().namesFor(native);
  const options = { drainMs: 1000, chunkBytes: 4096, maxChunks: 1, transport: wanted, hookSystemCalls, names };
  const host = new ProbeHost(native, options, createLog('silent'));
  const findings: Finding[] = [];
  host.open(() => undefined);
  const transport = host.transport();
  if (transport !== undefined)
    findings.push({ area: 'system', what: 'transport of records', state: 'ok', found: transportText(transport, wanted) });
  for (const probe of probes) host.start(probe, { ...defaultSettings, burst: 0 }, config.probes[probe.name]?.enabled ?? true);
  findings.push(...probeFindings(host.status(), 'loads and attaches'));
  await host.stop();
  host.close();
  return findings;
}

/** What probes are attached to and what they lack, program by program. @param attachedText what is said of an attached program */
export function* probeFindings(statuses: readonly ProbeStatus[], attachedText: string): Generator<Finding> {
  const told = new Set<string>();
  for (const { name, state, attached, problems } of statuses) {
    if (state === 'disabled') yield { area: 'probe', what: name, state: 'ok', found: 'not asked for: it is disabled' };
    for (const program of attached) yield { area: 'probe', what: `${name}: ${program}`, state: 'ok', found: attachedText };
    for (const { what, reason, remedy } of problems) {
      // What the base lacks is missing in every probe.
      if (told.has(what)) continue;
      told.add(what);
      const prefix = what === name || what === 'all probes' ? '' : `${name}: `;
      yield { area: 'probe', what: `${prefix}${what}`, state: state === 'failed' ? 'failed' : 'degraded', found: reason, remedy };
    }
  }
}

function transportText(transport: Transport, wanted: Transport | 'auto'): string {
  const text = transport === 'ring' ? 'one ring buffer' : 'a perf buffer for each CPU';
  if (wanted !== 'auto') return `${text}, as collector.transport says`;
  return transport === 'ring' ? text : `${text}: this kernel has no ring buffers`;
}
