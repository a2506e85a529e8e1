import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { probes } from '../../bpf/registry.ts';
import { defaultSettings } from '../../bpf/settings.ts';
import { createLog } from '../../core/log.ts';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { readCounters } from '../../services/collector/counters.ts';
import { LiveSymbols } from '../../services/collector/live-symbols.ts';
import { ProbeHost } from '../../services/collector/probe-host.ts';
import { eventually } from '../lab/eventually.ts';
import { NetnsLab } from '../lab/netns-lab.ts';

const connects = 5;
const native = loadNative();
let lab: NetnsLab;
let host: ProbeHost;

beforeEach(() => {
  lab = new NetnsLab('-every');
  const names = new LiveSymbols().namesFor(native);
  host = new ProbeHost(native, { drainMs: 10, chunkBytes: 64 * 1024, maxChunks: 16, names }, createLog('silent'));
});

afterEach(async () => {
  await host.stop();
  host.close();
  await lab.remove();
});

/** A metric of a namespace, over all its buckets and labels. */
function count(metric: number, path: string): number {
  const base = host.base();
  const net = Number(native.netnsCookie(path));
  const counters = base === undefined ? [] : readCounters(base);
  const found = counters.filter((counter) => counter.metric === metric && counter.net === net);
  return found.reduce((sum, { value }) => sum + value, 0);
}

test('every probe loads and attaches on this kernel, says what it cannot do here, and counts', async () => {
  host.open(() => undefined);
  const states = probes.map((probe) => host.start(probe, defaultSettings));
  for (const { name, state, problems } of states) {
    process.stdout.write(`${name}: ${state}${problems.map(({ what, reason }) => `; without ${what}: ${reason}`).join('')}\n`);
    expect(state, `${name}: ${JSON.stringify(problems)}`).not.toBe('failed');
    expect(problems.length > 0).toBe(state === 'degraded');
  }

  const { a, b } = lab;
  await lab.result(a, 'connect.mjs', a.ipv4, '20000', String(connects), b.ipv4, '81');
  const server = lab.start(b, 'sink-server.mjs', b.ipv4, '9000');
  await server.line();
  const client = lab.start(a, 'stream.mjs', a.ipv4, '21000', b.ipv4, '9000', '100000');
  expect(await server.line()).toEqual({ bytes: 100_000 });
  await client.stop();
  await lab.result(a, 'udp.mjs', a.ipv4, '4000', b.ipv4, '7000', '3', '100');
  // Nobody answers from behind a cable that is pulled: the SYN is sent again.
  execFileSync('ip', ['-n', a.name, 'neigh', 'replace', '198.51.100.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'veth0']);
  const lost = lab.start(a, 'stream.mjs', a.ipv4, '22000', '198.51.100.9', '9000', '0');

  const expected: readonly (readonly [what: string, metric: number, path: string, least: number])[] = [
    ['resets sent', metrics.TCPRESET_SENT, b.path, connects],
    ['resets received', metrics.TCPRESET_RECEIVED, a.path, connects],
    ['connects refused', metrics.TCPLIFE_FAILED, a.path, connects],
    ['connections taken', metrics.TCPLIFE_ACCEPTED, b.path, 1],
    ['connections closed', metrics.TCPLIFE_CLOSED, a.path, 1],
    ['connections queued', metrics.TCPACCEPT_QUEUED, b.path, native.tracepointArgs('sk_data_ready') === undefined ? 0 : 1],
    ['datagrams and SYNs dropped', metrics.PACKETLOSS_DROPS, b.path, connects + 3],
    ['SYNs sent again', metrics.TCPRETRANS_SEGMENTS, a.path, 1],
  ];
  for (const [what, metric, path, least] of expected) await eventually(what, () => count(metric, path) >= least);
  await lost.stop();
});
