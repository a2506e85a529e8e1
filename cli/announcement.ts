import { join } from 'node:path';
import pc from 'picocolors';
import type { Collector } from '../services/collector/main.ts';
import type { Config } from './config.ts';
import type { Pipeline } from './pipeline.ts';
import { probeStateColours } from './probe-text.ts';
import type { Role } from './roles.ts';
import { packageVersion } from './version.ts';

/** What a process of one role says when it works. */
export function roleAnnouncement(
  role: Role,
  { bus, collector }: Config,
  { gateway, sinks }: Pick<Pipeline, 'gateway' | 'sinks'>,
  metricsListen: string | undefined,
): string {
  const lines = [`${pc.bold('jitterscope')} ${packageVersion()}, role ${role}`];
  if (role === 'collector') lines.push(`  gateway   ${collector.gateway.address}`);
  else lines.push(`  kafka     ${bus.kafka.brokers.join(', ')}`);
  if (gateway.tcpAddress !== undefined) lines.push(`  listens   ${gateway.tcpAddress}`);
  const names = sinks.stats().map(({ sink }) => sink);
  if (names.length > 0) lines.push(`  sinks     ${names.join(', ')}`);
  if (metricsListen !== undefined) lines.push(`  metrics   http://${metricsListen}/metrics`);
  return `${lines.join('\n')}\n`;
}

/** Where events go: files, and the addresses of stores. */
export function storesOf({ sinks }: Config, dataDir: string): string[] {
  const { file, loki, elasticsearch } = sinks;
  return [
    ...(file.enabled ? [`${file.dir ?? join(dataDir, 'events')}/*.ndjson`] : []),
    ...(loki.enabled ? [loki.url] : []),
    ...(elasticsearch.enabled ? elasticsearch.urls : []),
  ];
}

/** What a run on this machine's kernel begins with: what is attached, and where things are. */
export function announcement(collector: Collector | undefined, stores: readonly string[], metricsListen: string | undefined): string {
  const lines: string[] = [`${pc.bold('jitterscope')} ${packageVersion()}`];
  const told = new Set<string>();
  for (const probe of collector?.probes() ?? []) {
    lines.push(`  ${probeStateColours[probe.state](probe.state.padEnd(9))} ${probe.name}: ${probe.attached.join(', ') || 'nothing'}`);
    for (const { what, reason, remedy } of probe.problems) {
      // What all probes share is missing in each of them.
      if (!told.has(what)) lines.push(`            ${pc.yellow(what)}: ${reason}\n            ${pc.dim(remedy)}`);
      told.add(what);
    }
  }
  if (collector === undefined)
    lines.push(`  ${pc.red('failed')}    the native addon is not built: no kernel events. \`npm run build\` says why.`);
  const identity = collector?.identityProblem();
  if (identity !== undefined) lines.push(`  ${pc.yellow('degraded')}  namespaces: ${identity}`);
  for (const [index, store] of stores.entries()) lines.push(`  ${(index === 0 ? 'events' : '').padEnd(9)} ${store}`);
  if (metricsListen !== undefined) lines.push(`  metrics   http://${metricsListen}/metrics`);
  if (collector?.downtime !== undefined) {
    const { fromUnixNs, toUnixNs } = collector.downtime;
    const seconds = Number(toUnixNs - fromUnixNs) / 1e9;
    const from = new Date(Number(fromUnixNs / 1_000_000n)).toISOString();
    lines.push(`  ${pc.yellow('not seen')}  ${seconds.toFixed(1)} s since ${from}: nobody listened; what happened then is not known`);
  }
  const watching = (collector?.probes() ?? []).some(({ attached }) => attached.length > 0);
  const hint = watching
    ? 'Waiting for events. To see some: npm run demo (in another terminal)'
    : 'Nothing is attached. To see what is missing: npx jitterscope doctor';
  lines.push(pc.dim(hint), '');
  return lines.join('\n');
}
