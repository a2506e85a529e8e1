import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { defaultSettings } from '../../bpf/settings.ts';
import { tcpreset } from '../../bpf/tcpreset/probe.ts';
import { createLog } from '../../core/log.ts';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { readCounters } from '../../services/collector/counters.ts';
import { LiveSymbols } from '../../services/collector/live-symbols.ts';
import { ProbeHost } from '../../services/collector/probe-host.ts';
import { NetnsLab } from '../lab/netns-lab.ts';

/** Where libbpf finds the kernel's means to attach kprobes; containers often have neither. */
const hidden = ['/sys/bus/event_source/devices', '/sys/kernel/tracing'];

const native = loadNative();
let lab: NetnsLab;
let host: ProbeHost;

beforeEach(() => {
  lab = new NetnsLab('-degraded');
  for (const folder of hidden) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
  host = new ProbeHost(
    native,
    { drainMs: 10, chunkBytes: 64 * 1024, maxChunks: 4, names: new LiveSymbols().namesFor(native) },
    createLog('silent'),
  );
});

afterEach(async () => {
  for (const folder of hidden) execFileSync('umount', [folder]);
  await host.stop();
  host.close();
  await lab.remove();
});

/** A counter of a namespace, over all its buckets. */
function count(metric: number, net: bigint): number {
  const base = host.base();
  const counters = base === undefined ? [] : readCounters(base);
  const found = counters.filter((counter) => counter.metric === metric && counter.net === Number(net));
  return found.reduce((sum, { value }) => sum + value, 0);
}

test('where kprobes cannot be attached the probe runs all the same, and says what it does not see', async () => {
  const needsKprobes = native.tracepointArgs('tcp_send_reset') === 2;
  host.open(() => undefined);
  const { state, attached, problems } = host.start(tcpreset, defaultSettings);
  expect(state).toBe(needsKprobes ? 'degraded' : 'enabled');
  expect(attached).toEqual([needsKprobes ? 'tcpreset_sent_no_reason' : 'tcpreset_sent', 'tcpreset_received']);
  expect(problems.map(({ what }) => what)).toEqual(
    needsKprobes
      ? [
          'reasons of sent resets',
          'resets that answer IPv4 packets for which there is no socket (closed ports, TIME_WAIT)',
          'resets that answer IPv6 packets for which there is no socket (closed ports, TIME_WAIT)',
        ]
      : [],
  );

  const [a, b] = [lab.a, lab.b].map(({ path }) => native.netnsCookie(path)) as [bigint, bigint];
  for (const family of ['ipv4', 'ipv6'] as const) await lab.result(lab.a, 'connect.mjs', lab.a[family], '20000', '5', lab.b[family], '81');
  expect(lab.snmp(lab.b).get('Tcp.OutRsts')).toBe(10);
  expect([count(metrics.TCPRESET_SENT, b), count(metrics.TCPRESET_RECEIVED, a)]).toEqual([needsKprobes ? 0 : 10, 10]);

  const server = lab.start(lab.b, 'abort-server.mjs', lab.b.ipv4, '9000', 'linger');
  await server.line();
  await lab.result(lab.a, 'send.mjs', lab.a.ipv4, '30000', lab.b.ipv4, '9000', 'never');
  expect([count(metrics.TCPRESET_SENT, b), count(metrics.TCPRESET_RECEIVED, a)]).toEqual([needsKprobes ? 1 : 11, 11]);
});
