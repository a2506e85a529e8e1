import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, expect } from 'vitest';
import type { Probe } from '../../bpf/probe.ts';
import { probes } from '../../bpf/registry.ts';
import { defaultSettings, probeMaps } from '../../bpf/settings.ts';
import { createLog } from '../../core/log.ts';
import type { Native } from '../../native/addon.ts';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { RecordReader } from '../../schema/record.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest } from '../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../test/lab/netns-lab.ts';
import { readCounters } from './counters.ts';
import { LiveSymbols } from './live-symbols.ts';
import { ProbeHost } from './probe-host.ts';
import { kernelFacts } from './probe-object.ts';

const hosts: ProbeHost[] = [];
let lab: NetnsLab | undefined;

afterEach(async () => {
  for (const host of hosts.splice(0)) {
    await host.stop();
    host.close();
  }
  await lab?.remove();
  lab = undefined;
});

function hostOf(native: Native): ProbeHost {
  const host = new ProbeHost(
    native,
    { drainMs: 5, chunkBytes: 65_536, maxChunks: 4, names: new LiveSymbols().namesFor(native) },
    createLog('silent'),
  );
  hosts.push(host);
  return host;
}

/** What this kernel makes of a probe. */
function stateOf(probe: Probe): 'enabled' | 'degraded' {
  return probe.select(kernelFacts(loadNative())).degraded.length === 0 ? 'enabled' : 'degraded';
}

/** How many threads of this process have a name. */
function threads(name: string): number {
  return readdirSync('/proc/self/task').filter((task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim() === name).length;
}

kernelTest('all probes share one ring with one reader, one counter map and the notes of owners', async () => {
  lab = new NetnsLab('-host');
  const host = hostOf(loadNative());
  const chunks: Buffer[] = [];
  host.open((chunk) => chunks.push(Buffer.from(chunk)));
  // The thread names itself.
  await eventually('the reader runs', () => threads('jitter-reader') === 1);
  const before = threads('jitter-reader');
  for (const probe of probes) {
    const { degraded } = probe.select(kernelFacts(loadNative()));
    expect(host.start(probe, defaultSettings)).toMatchObject({ name: probe.name, state: stateOf(probe), problems: degraded });
  }
  expect(threads('jitter-reader')).toBe(before);
  expect(host.status().map(({ name }) => name)).toEqual(probes.map(({ name }) => name));

  const net = Number(loadNative().netnsCookie(lab.b.path));
  await lab.result(lab.a, 'connect.mjs', lab.a.ipv4, '20000', '3', lab.b.ipv4, '81');
  const reader = new RecordReader();
  await eventually('three sent resets were read', () => {
    let sent = 0;
    for (const chunk of chunks) {
      reader.reset(chunk);
      while (reader.next()) if (reader.net === net && reader.probe === 1) sent++;
    }
    return sent === 3;
  });
  const base = host.base();
  if (base === undefined) throw new Error('no base');
  const counted = readCounters(base).filter((counter) => counter.net === net && counter.metric === metrics.TCPRESET_SENT);
  expect(counted.reduce((sum, { value }) => sum + value, 0)).toBe(3);
  // The objects of the probes see the same entries.
  for (const { object } of host.running())
    expect(object.mapLookup(probeMaps.buckets, base.readMap(probeMaps.buckets).subarray(0, 16))).toBeDefined();
});

kernelTest('without the base every probe fails, with its reason; stop and close are harmless', async () => {
  const native = loadNative();
  const refusing = Object.create(native, {
    openObject: {
      value: (owner: string, bytes: Uint8Array) => {
        if (owner === 'base') throw Object.assign(new Error('Cannot load base: not permitted'), { hint: 'run as root' });
        return native.openObject(owner, bytes);
      },
    },
  }) as Native;
  const host = hostOf(refusing);
  const descriptors = readdirSync('/proc/self/fd').length;
  host.open(() => undefined);
  for (const probe of probes)
    expect(host.start(probe, defaultSettings)).toEqual({
      name: probe.name,
      state: 'failed',
      attached: [],
      problems: [{ what: 'all probes', reason: 'Cannot load base: not permitted', remedy: 'run as root' }],
    });
  expect([host.base(), host.running()]).toEqual([undefined, []]);
  expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
});

kernelTest('a probe that cannot be loaded leaves the others alone and nothing behind', async () => {
  const native = loadNative();
  const [first, ...others] = probes;
  const refusing = Object.create(native, {
    openObject: {
      value: (owner: string, bytes: Uint8Array) =>
        owner === first?.name ? native.openObject(owner, new Uint8Array(8)) : native.openObject(owner, bytes),
    },
  }) as Native;
  const host = hostOf(refusing);
  host.open(() => undefined);
  for (const probe of probes) host.start(probe, defaultSettings);
  expect(host.status().map(({ state }) => state)).toEqual(['failed', ...others.map(stateOf)]);
  expect(host.running().map(({ probe }) => probe)).toEqual(others);
});
