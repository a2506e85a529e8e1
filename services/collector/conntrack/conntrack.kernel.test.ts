import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect } from 'vitest';
import { loadNative } from '../../../native/index.ts';
import { writeRecords } from '../../../schema/record-writer.ts';
import { kernelObstacle, kernelTest } from '../../../test/lab/kernel-tier.ts';
import { NetnsLab } from '../../../test/lab/netns-lab.ts';
import { TrackedNetns } from './tracked-netns.ts';
import { Translator } from './translator.ts';

const held = { has: () => false };
let lab: NetnsLab;

beforeEach(() => {
  if (kernelObstacle() === undefined) lab = new NetnsLab('-ct');
});

afterEach(async () => {
  await lab?.remove();
});

/** A translator that asks the namespace of the lab's first end alone. */
function translatorOf(path: string) {
  const native = loadNative();
  const cookie = Number(native.netnsCookie(path));
  const metrics = { lookups: 0, lookupsSkipped: 0 };
  const nowMs = (): number => performance.now();
  const netns = new TrackedNetns({ open: (one) => (one === cookie ? native.openNetns(path) : undefined), nowMs });
  return { cookie, netns, metrics, translator: new Translator(netns, { rate: 1000, nowMs }, metrics) };
}

kernelTest(
  'the kernel says what is behind a destination that nft translated, IPv4 and IPv6; then a namespace without rules tracks nothing',
  async () => {
    const { a, b } = lab;
    const rules = `table inet t { chain out { type nat hook output priority -100;
    ip daddr 203.0.113.1 tcp dport 80 dnat ip to ${b.ipv4}:8080
    ip6 daddr 2001:db8:1::1 tcp dport 80 dnat ip6 to [${b.ipv6}]:8080
  }
}
`;
    execFileSync('nsenter', [`--net=${a.path}`, 'nft', '-f', '-'], { input: rules });
    lab.run(a, 'ip', 'route', 'add', '203.0.113.0/24', 'via', b.ipv4);
    lab.run(a, 'ip', '-6', 'route', 'add', '2001:db8:1::/64', 'via', b.ipv6);
    // A connection that is refused at once is forgotten at once (nf_conntrack_tcp_packet): somebody has to answer.
    const server = lab.start(b, 'sink-server.mjs', '::', '8080');
    await server.line();
    const { translator, cookie, metrics, netns } = translatorOf(a.path);
    try {
      expect(translator.translations({ count: 1, records: recordOf(cookie, a.ipv4, '203.0.113.1', 20_001) }, undefined, held)).toEqual([]);
      for (const [far, local, backend] of [
        ['203.0.113.1', a.ipv4, b.ipv4],
        ['2001:db8:1::1', a.ipv6, b.ipv6],
      ]) {
        await lab.result(a, 'connect.mjs', local, '20001', '1', far, '80');
        // The count of connections is believed for half a second.
        await new Promise((resolve) => setTimeout(resolve, 600));
        const found = translator.translations({ count: 1, records: recordOf(cookie, local, far, 20_001) }, undefined, held);
        expect(found).toEqual([{ index: 0, address: Buffer.from(bytesOf(backend)), port: 8080 }]);
      }
      const answered = metrics.lookups;
      const start = performance.now();
      const other = Array.from({ length: 200 }, (_, n) => recordOf(cookie, a.ipv4, '203.0.113.9', 30_000 + n));
      for (const records of other) translator.translations({ count: 1, records }, undefined, held);
      const perLookupUs = ((performance.now() - start) * 1000) / (metrics.lookups - answered);
      process.stdout.write(`conntrack: ${perLookupUs.toFixed(0)} us a look-up that finds nothing\n`);
      expect(netns.problem).toBeUndefined();
    } finally {
      translator.close();
    }
    const without = translatorOf(b.path);
    expect(without.translator.translations({ count: 1, records: recordOf(without.cookie, b.ipv4, a.ipv4, 1) }, undefined, held)).toEqual(
      [],
    );
    expect(without.metrics.lookups).toBe(0);
    without.translator.close();
  },
);

function recordOf(net: number, saddr: string, daddr: string, sport: number): Uint8Array {
  const family = saddr.includes(':') ? 10 : 2;
  return writeRecords([{ net, proto: 6, family, side: 2, saddr: bytesOf(saddr), daddr: bytesOf(daddr), sport, dport: 80, sock: sport }]);
}

function bytesOf(address: string): number[] {
  if (!address.includes(':')) return [...new Array<number>(10).fill(0), 0xff, 0xff, ...address.split('.').map(Number)];
  const [head, tail] = address.split('::').map((half) => half.split(':').filter(Boolean));
  const groups = [...head, ...new Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]);
}
