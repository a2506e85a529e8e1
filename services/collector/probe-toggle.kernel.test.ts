import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect } from 'vitest';
import { probes } from '../../bpf/registry.ts';
import { defaultSettings } from '../../bpf/settings.ts';
import { createLog } from '../../core/log.ts';
import { loadNative } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { RecordReader } from '../../schema/record.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest } from '../../test/lab/kernel-tier.ts';
import { type LabNetns, NetnsLab } from '../../test/lab/netns-lab.ts';
import { type Counter, readCounters } from './counters.ts';
import { LiveSymbols } from './live-symbols.ts';
import { ProbeHost } from './probe-host.ts';

const quietRounds = 10;
/** After so many rounds nothing more may be held than then. */
const warmRounds = 5;
/** What a hook has begun when it is attached or detached is over. */
const inFlightMs = 2;
const maxGrowthBytes = 48 * 2 ** 20;

let lab: NetnsLab | undefined;
let host: ProbeHost | undefined;

afterEach(async () => {
  await host?.stop();
  host?.close();
  host = undefined;
  await lab?.remove();
  lab = undefined;
});

/** What this process holds: descriptors, and those of BPF by kind. */
function held(): Readonly<Record<string, number>> {
  const found = { descriptors: 0, programs: 0, links: 0, maps: 0 };
  for (const descriptor of readdirSync('/proc/self/fdinfo')) {
    let text = '';
    try {
      text = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8');
    } catch {
      // The folder's own descriptor, which is closed by now.
      continue;
    }
    found.descriptors++;
    if (/^prog_id:/m.test(text) && !/^link_id:/m.test(text)) found.programs++;
    if (/^link_id:/m.test(text)) found.links++;
    if (/^map_id:/m.test(text)) found.maps++;
  }
  return found;
}

/**
 * Whether sockets of a namespace may still send: what a process leaves behind goes on sending data and FINs, and whom nobody
 * listens to any more answers with resets, which are counted, rightly.
 */
function isSending(of: NetnsLab, netns: LabNetns): boolean {
  return of.run(netns, 'ss', '-Htan', 'state', 'connected', 'exclude', 'time-wait', 'exclude', 'fin-wait-2') !== '';
}

/** What the kernel itself counts in the two namespaces, and what probe counts the same. */
interface Truth {
  readonly probe: string;
  kernel(): number;
  counted(counters: readonly Counter[]): number;
}

kernelTest.each([
  ['ring', 100],
  ['perf', 20],
] as const)(
  'with the %s transport, %i rounds of enable and disable under traffic: nothing leaks, no count is lost',
  async (transport, rounds) => {
    const native = loadNative();
    const { a, b } = (lab = new NetnsLab('-toggle'));
    const drops = 'add table inet lab; add counter inet lab lost; add chain inet lab in { type filter hook input priority 0; }';
    lab.run(b, 'nft', `${drops}; add rule inet lab in tcp dport 8082 numgen random mod 20 0 counter name lost drop`);
    const chunks: Buffer[] = [];
    const reading = { drainMs: 5, chunkBytes: 65_536, maxChunks: 8, transport, names: new LiveSymbols().namesFor(native) };
    const running = (host = new ProbeHost(native, reading, createLog('silent')));
    running.open((chunk) => chunks.push(Buffer.from(chunk)));
    for (const probe of probes) expect(running.start(probe, defaultSettings, false)).toMatchObject({ state: 'disabled', attached: [] });
    expect(running.loaded()).toEqual([]);

    const [cookieA, cookieB] = [a, b].map(({ path }) => Number(native.netnsCookie(path)));
    const netfilterDrop = (native.enumValues('skb_drop_reason') ?? []).find(([, name]) => name.endsWith('_NETFILTER_DROP'))?.[0];
    const sum = (counters: readonly Counter[], net: number, metric: number, bucket?: number): number =>
      counters
        .filter((c) => c.net === net && c.metric === metric && (bucket === undefined || c.bucket === bucket))
        .reduce((all, { value }) => all + value, 0);
    const snmp = (netns: LabNetns, field: string) => (): number => (lab as NetnsLab).snmp(netns).get(field) ?? Number.NaN;
    const dropped = (): number => Number(/packets (\d+)/.exec((lab as NetnsLab).run(b, 'nft', 'list counter inet lab lost'))?.[1]);
    const truths: Truth[] = [
      { probe: 'tcpreset', kernel: snmp(b, 'Tcp.OutRsts'), counted: (c) => sum(c, cookieB, metrics.TCPRESET_SENT) },
      { probe: 'tcpretrans', kernel: snmp(a, 'Tcp.RetransSegs'), counted: (c) => sum(c, cookieA, metrics.TCPRETRANS_SEGMENTS) },
      { probe: 'packetloss', kernel: dropped, counted: (c) => sum(c, cookieB, metrics.PACKETLOSS_DROPS, netfilterDrop) },
      { probe: 'tcplife', kernel: snmp(b, 'Tcp.PassiveOpens'), counted: (c) => sum(c, cookieB, metrics.TCPLIFE_ACCEPTED) },
      { probe: 'tcpaccept', kernel: snmp(b, 'Tcp.PassiveOpens'), counted: (c) => sum(c, cookieB, metrics.TCPACCEPT_QUEUED) },
    ];
    expect(truths.map(({ probe }) => probe).sort()).toEqual(probes.map(({ name }) => name).sort());
    const kernelSays = (): number[] => truths.map(({ kernel }) => kernel());
    const counters = (): Counter[] => {
      const base = running.base();
      if (base === undefined) throw new Error('no base');
      return readCounters(base);
    };
    const probesSay = (): number[] => {
      const now = counters();
      return truths.map(({ counted }) => counted(now));
    };

    await lab.start(b, 'busy-server.mjs').line();
    const client = lab.start(a, 'mixed-client.mjs', b.ipv4, '4');
    await client.line();

    let warm: { held: ReturnType<typeof held>; rssBytes: number } | undefined;
    const seen = truths.map(() => 0);
    for (let round = 0; round < rounds; round++) {
      if (round === warmRounds) warm = { held: held(), rssBytes: process.memoryUsage().rss };
      const order = probes
        .map(({ name }) => name)
        .sort((x, y) => ((x.charCodeAt(3) * (round + 7)) % 13) - ((y.charCodeAt(3) * (round + 7)) % 13));
      const countedBefore = probesSay();
      const outerFrom = kernelSays();
      for (const name of order) expect(running.enable(name).attached).not.toEqual([]);
      await sleep(inFlightMs);
      const innerFrom = kernelSays();
      await sleep(10);
      const innerTo = kernelSays();
      for (const name of order.reverse()) expect(await running.disable(name)).toMatchObject({ state: 'disabled', attached: [] });
      await sleep(inFlightMs);
      const outerTo = kernelSays();
      const countedAfter = probesSay();
      for (const [index, { probe }] of truths.entries()) {
        const counted = countedAfter[index] - countedBefore[index];
        seen[index] += counted;
        const [least, most] = [innerTo[index] - innerFrom[index], outerTo[index] - outerFrom[index]];
        expect(counted, `${probe} in round ${round}: counted ${counted}, the kernel ${least} to ${most}`).toBeGreaterThanOrEqual(least);
        expect(counted, `${probe} in round ${round}: counted ${counted}, the kernel ${least} to ${most}`).toBeLessThanOrEqual(most);
      }
      expect(running.running()).toEqual([]);
      // What is disabled counts nothing.
      await sleep(5);
      expect(probesSay()).toEqual(countedAfter);
    }
    for (const [index, { probe }] of truths.entries()) expect(seen[index], `${probe} counted`).toBeGreaterThan(0);
    expect(held()).toEqual(warm?.held);
    const growthBytes = process.memoryUsage().rss - (warm?.rssBytes ?? 0);
    expect(growthBytes).toBeLessThan(maxGrowthBytes);
    await client.stop();
    const passed = truths.map(({ probe }, index) => `${probe} ${seen[index]}`).join(', ');
    process.stdout.write(
      `toggle (${transport}): ${rounds} rounds, counted ${passed}; ${JSON.stringify(held())}, memory ${Math.round(growthBytes / 1024)} KiB more\n`,
    );

    // Alone in its namespaces, one thing after the other: exact to the one.
    await lab.stop();
    await eventually('nothing of the traffic is under way', () => [a, b].every((netns) => !isSending(lab as NetnsLab, netns)));
    const refuse = (count: number, port: number) =>
      (lab as NetnsLab).result(a, 'connect.mjs', a.ipv4, String(port), String(count), b.ipv4, '81');
    const resets = () => {
      const now = counters();
      const [sent, received, failed] = [
        sum(now, cookieB, metrics.TCPRESET_SENT),
        sum(now, cookieA, metrics.TCPRESET_RECEIVED),
        sum(now, cookieA, metrics.TCPLIFE_FAILED),
      ];
      return { sent, received, failed };
    };
    const from = resets();
    for (let round = 0; round < quietRounds; round++) {
      for (const { name } of probes) running.enable(name);
      await refuse(5, 20_000 + round * 10);
      for (const { name } of probes) await running.disable(name);
      await refuse(3, 30_000 + round * 10);
    }
    const expected = quietRounds * 5;
    expect(resets()).toEqual({ sent: from.sent + expected, received: from.received + expected, failed: from.failed + expected });

    // Every record that the kernel says it emitted was read.
    await running.stop();
    const emitted = new Map<number, number>();
    for (const { metric, bucket, value } of counters())
      if (metric === metrics.EMITTED) emitted.set(bucket, (emitted.get(bucket) ?? 0) + value);
    const read = new Map<number, number>();
    const reader = new RecordReader();
    for (const chunk of chunks) {
      reader.reset(chunk);
      while (reader.next()) read.set(reader.probe, (read.get(reader.probe) ?? 0) + 1);
    }
    expect(read).toEqual(emitted);
    expect([...read.values()].reduce((all, n) => all + n, 0)).toBeGreaterThan(0);
    running.close();
    expect(held()).toMatchObject({ programs: 0, links: 0, maps: 0 });
  },
);
