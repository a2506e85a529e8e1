import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Native } from '../../native/addon.ts';
import { loadNative, readBpfObject } from '../../native/index.ts';
import { metrics, recordFlags } from '../../schema/record.gen.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { kernelTest, kernelTestsRun } from '../../test/lab/kernel-tier.ts';
import type { LabProcess } from '../../test/lab/lab-process.ts';
import { type LabNetns, labInterface, NetnsLab } from '../../test/lab/netns-lab.ts';
import { ProbeRun, type SeenRecord } from '../../test/lab/probe-run.ts';
import { endsOf } from '../../test/lab/record-ends.ts';
import type { Probe } from '../probe.ts';
import { defaultSettings } from '../settings.ts';
import { packetloss } from './probe.ts';

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const unlimited = { ...defaultSettings, intervalNs: 0 };
const [forwarded, incoming, outgoing] = [0, 1, 2];
/** Networks behind the lab's other end, which routes: nobody lives there. */
const beyond = { ipv4: '203.0.113', ipv6: '2001:db8:ffff:' };
const closedPort = 99;

let native: Native;
let lab: NetnsLab;
let run: ProbeRun;
let cookies: Record<'a' | 'b', bigint>;
let reasons: ReadonlyMap<number, string>;

beforeAll(() => {
  if (!kernelTestsRun()) return;
  native = loadNative();
  const prefix = 'SKB_DROP_REASON_';
  reasons = new Map(native.enumValues('skb_drop_reason')?.map(([value, name]) => [value, name.replace(prefix, '')]));
});

beforeEach(() => {
  if (!kernelTestsRun()) return;
  lab = new NetnsLab('-loss');
  cookies = { a: native.netnsCookie(lab.a.path), b: native.netnsCookie(lab.b.path) };
});

afterEach(async () => {
  await lab?.remove();
  await run?.stop();
});

function start(probe: Probe = packetloss): void {
  run = new ProbeRun(native, probe, readBpfObject('packetloss'));
  run.set(unlimited);
}

function ip(netns: LabNetns, ...args: string[]): void {
  lab.run(netns, 'ip', ...args);
}

function sysctl(netns: LabNetns, ...settings: string[]): void {
  lab.run(netns, 'sysctl', '-qw', ...settings);
}

/** Drops with a rule of nftables; `hook` with the device for the ingress of the lab's interface. */
function rule(netns: LabNetns, hook: 'input' | 'output' | 'forward' | 'ingress', words: string): void {
  const [family, where] = hook === 'ingress' ? ['netdev', `ingress device "${labInterface}"`] : ['inet', hook];
  const chain = `add table ${family} lab; add chain ${family} lab ${hook} { type filter hook ${where} priority 0; }`;
  lab.run(netns, 'nft', `${chain}; add rule ${family} lab ${hook} ${words} drop`);
}

interface Datagrams {
  readonly from?: string;
  readonly localPort?: number;
  readonly count?: number;
  readonly bytes?: number;
}

function linkAddress(netns: LabNetns): string {
  return /link\/ether (\S+)/.exec(lab.run(netns, 'ip', '-o', 'link', 'show', 'dev', labInterface))?.[1] ?? '';
}

/** Sends datagrams from one end of the lab. */
async function udp(to: string, port: number, { from, localPort = 4000, count = 1, bytes = 100 }: Datagrams = {}): Promise<void> {
  const source = from ?? (to.includes(':') ? lab.a.ipv6 : lab.a.ipv4);
  await lab.result(lab.a, 'udp.mjs', source, String(localPort), to, String(port), String(count), String(bytes));
}

/** Makes both ends know each other's link-layer address, so that what follows is not about that. */
async function meet(): Promise<void> {
  for (const family of ['ipv4', 'ipv6'] as const) await lab.result(lab.a, 'connect.mjs', lab.a[family], '30000', '1', lab.b[family], '81');
}

/** The lab's other end becomes a router to the networks behind it. */
function route(...routes: string[]): void {
  sysctl(lab.b, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  ip(lab.a, 'route', 'add', `${beyond.ipv4}.0/24`, 'via', lab.b.ipv4);
  ip(lab.a, '-6', 'route', 'add', `${beyond.ipv6}:/48`, 'via', lab.b.ipv6);
  for (const words of routes) ip(lab.b, ...words.split(' '));
}

async function deafReader(address: string): Promise<void> {
  await lab.start(lab.b, 'udp-deaf.mjs', address, '5000').line();
}

async function connection(port: number): Promise<LabProcess> {
  const server = lab.start(lab.b, 'sink-server.mjs', lab.b.ipv4, String(port));
  await server.line();
  const client = lab.start(lab.a, 'stream.mjs', lab.a.ipv4, '33000', lab.b.ipv4, String(port), '0', '1');
  await client.line();
  return client;
}

/** One way to lose a packet, and what must be told of it. */
interface DropCause {
  readonly cause: string;
  readonly reason: string;
  readonly site: RegExp;
  readonly netns: 'a' | 'b';
  readonly side: number;
  /** Local and far end; source and destination where the packet is forwarded. */
  readonly ends: string;
  /** Whether a socket must be told. */
  readonly socket?: true;
  readonly fixture?: string;
  provoke(): unknown;
}

const A = '198.51.100.1';
const B = '198.51.100.2';
const A6 = '[2001:db8::1]';
const B6 = '[2001:db8::2]';
const netfilter = /^(nft_do_chain|nf_hook_slow)$/;

const causes: readonly DropCause[] = [
  {
    ...{ cause: 'a filter drops what comes in', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:7000 ${A}:4000`,
    fixture: 'filter-input',
    provoke: () => {
      rule(lab.b, 'input', 'udp dport 7000');
      return udp(lab.b.ipv4, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops what comes in over IPv6', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B6}:7000 ${A6}:4000`,
    provoke: () => {
      rule(lab.b, 'input', 'udp dport 7000');
      return udp(lab.b.ipv6, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops a SYN', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:9000 ${A}:33000`,
    fixture: 'filter-syn',
    provoke: () => {
      rule(lab.b, 'input', 'tcp dport 9000');
      return lab.start(lab.a, 'stream.mjs', A, '33000', B, '9000', '0', '1');
    },
  },
  {
    // The packet still has its sender's socket here: it must not be charged to the sender.
    ...{ cause: 'a filter drops at the interface, before IP', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:7000 ${A}:4000`,
    provoke: () => {
      rule(lab.b, 'ingress', 'udp dport 7000');
      return udp(lab.b.ipv4, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops what goes out', reason: 'NETFILTER_DROP', site: netfilter, netns: 'a', side: outgoing, socket: true },
    ends: `${A}:4000 ${B}:7000`,
    fixture: 'filter-output',
    provoke: () => {
      rule(lab.a, 'output', 'udp dport 7000');
      return udp(lab.b.ipv4, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops what is forwarded', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.5:7000`,
    provoke: () => {
      route(`route add 203.0.113.0/24 dev ${labInterface}`);
      rule(lab.b, 'forward', 'udp dport 7000');
      return udp('203.0.113.5', 7000);
    },
  },
  {
    ...{ cause: 'a filter drops an ICMP error', reason: 'NETFILTER_DROP', site: netfilter, netns: 'a', side: incoming },
    // Type 3, code 3: port unreachable.
    ends: `${A}:3 ${B}:3`,
    provoke: () => {
      rule(lab.a, 'input', 'ip protocol icmp');
      return udp(lab.b.ipv4, closedPort);
    },
  },
  {
    ...{
      cause: 'a filter drops ARP: a packet without an IP header',
      reason: 'NETFILTER_DROP',
      site: netfilter,
      netns: 'b',
      side: forwarded,
    },
    ends: '[::]:0 [::]:0',
    fixture: 'arp',
    provoke: () => {
      rule(lab.b, 'ingress', 'ether type arp');
      ip(lab.a, 'neigh', 'flush', 'dev', labInterface);
      return udp(lab.b.ipv4, closedPort);
    },
  },
  {
    ...{ cause: 'a filter drops a later fragment: it has no ports', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:0 ${A}:0`,
    provoke: () => {
      rule(lab.b, 'ingress', 'ip frag-off & 0x1fff != 0');
      return udp(lab.b.ipv4, closedPort, { bytes: 2000 });
    },
  },
  {
    ...{ cause: 'a filter drops a later fragment of IPv6', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B6}:0 ${A6}:0`,
    fixture: 'fragment-v6',
    provoke: () => {
      rule(lab.b, 'ingress', 'frag frag-off != 0');
      return udp(lab.b.ipv6, closedPort, { bytes: 2000 });
    },
  },
  {
    ...{ cause: 'UDP to a closed port', reason: 'NO_SOCKET', site: /^__udp4_lib_rcv$/, netns: 'b', side: incoming },
    ends: `${B}:99 ${A}:4000`,
    provoke: () => udp(lab.b.ipv4, closedPort),
  },
  {
    ...{ cause: 'UDP to a closed port over IPv6', reason: 'NO_SOCKET', site: /^__udp6_lib_rcv$/, netns: 'b', side: incoming },
    ends: `${B6}:99 ${A6}:4000`,
    provoke: () => udp(lab.b.ipv6, closedPort),
  },
  {
    ...{
      cause: 'a reader too slow for its buffer',
      reason: 'SOCKET_RCVBUFF',
      site: /^_*udp_.*rcv_(one_)?skb$/,
      netns: 'b',
      side: incoming,
      socket: true,
    },
    ends: `${B}:5000 ${A}:4000`,
    fixture: 'receive-buffer',
    provoke: async () => {
      await deafReader(lab.b.ipv4);
      return udp(lab.b.ipv4, 5000, { count: 20, bytes: 500 });
    },
  },
  {
    ...{
      cause: 'a reader too slow for its buffer, IPv6',
      reason: 'SOCKET_RCVBUFF',
      site: /^_*udpv6_.*rcv_(one_)?skb$/,
      netns: 'b',
      side: incoming,
      socket: true,
    },
    ends: `${B6}:5000 ${A6}:4000`,
    provoke: async () => {
      await deafReader(lab.b.ipv6);
      return udp(lab.b.ipv6, 5000, { count: 20, bytes: 500 });
    },
  },
  {
    ...{
      cause: 'a full queue of the interface',
      reason: 'QDISC_DROP',
      site: /^(__dev_queue_xmit|tbf_enqueue)$/,
      netns: 'a',
      side: outgoing,
      socket: true,
    },
    ends: `${A}:4000 ${B}:99`,
    fixture: 'queue',
    provoke: () => {
      lab.run(lab.a, 'tc', 'qdisc', 'add', 'dev', labInterface, 'root', 'tbf', 'rate', '64kbit', 'burst', '1600', 'limit', '3000');
      return udp(lab.b.ipv4, closedPort, { count: 10, bytes: 1000 });
    },
  },
  {
    ...{ cause: 'a router without a route', reason: 'IP_INNOROUTES', site: /^ip_error$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.5:99`,
    fixture: 'no-route',
    provoke: () => {
      route();
      return udp('203.0.113.5', closedPort);
    },
  },
  {
    ...{
      cause: 'a router without a route for IPv6',
      reason: 'IP_INNOROUTES',
      site: /^ip6_pkt_(discard|drop)$/,
      netns: 'b',
      side: forwarded,
    },
    ends: `${A6}:4000 [2001:db8:ffff::5]:99`,
    provoke: () => {
      route();
      return udp('2001:db8:ffff::5', closedPort);
    },
  },
  {
    ...{ cause: 'a black hole on a router', reason: 'NOT_SPECIFIED', site: /^(ip_error|dst_discard_out)$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.5:99`,
    provoke: () => {
      route('route add blackhole 203.0.113.5');
      return udp('203.0.113.5', closedPort);
    },
  },
  {
    ...{ cause: 'a black hole on a router of IPv6', reason: 'NOT_SPECIFIED', site: /^dst_discard(_out)?$/, netns: 'b', side: forwarded },
    ends: `${A6}:4000 [2001:db8:ffff::5]:99`,
    provoke: () => {
      route('-6 route add blackhole 2001:db8:ffff::5');
      return udp('2001:db8:ffff::5', closedPort);
    },
  },
  {
    ...{ cause: 'a prohibited route', reason: 'NOT_SPECIFIED', site: /^ip_error$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.6:99`,
    provoke: () => {
      route('route add prohibit 203.0.113.6');
      return udp('203.0.113.6', closedPort);
    },
  },
  {
    ...{ cause: 'a prohibited route of IPv6', reason: 'IP_INNOROUTES', site: /^ip6_pkt_(prohibit|drop)$/, netns: 'b', side: forwarded },
    ends: `${A6}:4000 [2001:db8:ffff::6]:99`,
    provoke: () => {
      route('-6 route add prohibit 2001:db8:ffff::6');
      return udp('2001:db8:ffff::6', closedPort);
    },
  },
  {
    ...{
      cause: 'too large for the next link, and not to be fragmented',
      reason: 'PKT_TOO_BIG',
      site: /^ip_forward$/,
      netns: 'b',
      side: forwarded,
    },
    ends: `${A}:4000 203.0.113.65:99`,
    provoke: () => {
      route(`route add 203.0.113.64/26 dev ${labInterface} mtu lock 1000`);
      return udp('203.0.113.65', closedPort, { bytes: 1400 });
    },
  },
  {
    ...{ cause: 'a hop limit that is used up', reason: 'IP_INHDR', site: /^ip_forward$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.66:99`,
    provoke: () => {
      route(`route add 203.0.113.64/26 dev ${labInterface}`);
      ip(lab.a, 'route', 'add', '203.0.113.66', 'via', lab.b.ipv4, 'hoplimit', '1');
      return udp('203.0.113.66', closedPort);
    },
  },
  {
    ...{ cause: 'a hop limit that is used up, IPv6', reason: 'IP_INHDR', site: /^ip6_forward$/, netns: 'b', side: forwarded },
    ends: `${A6}:4000 [2001:db8:ffff:1::6]:99`,
    provoke: () => {
      route(`-6 route add 2001:db8:ffff:1::/64 dev ${labInterface}`);
      ip(lab.a, '-6', 'route', 'add', '2001:db8:ffff:1::6', 'via', lab.b.ipv6, 'hoplimit', '1');
      return udp('2001:db8:ffff:1::6', closedPort);
    },
  },
  {
    ...{
      cause: 'a source that lies elsewhere (rp_filter)',
      reason: 'IP_RPFILTER',
      site: /^ip_rcv_finish_core$/,
      netns: 'b',
      side: incoming,
    },
    ends: `${B}:99 10.99.0.1:4000`,
    provoke: () => {
      ip(lab.a, 'address', 'add', '10.99.0.1/32', 'dev', 'lo');
      sysctl(lab.b, `net.ipv4.conf.${labInterface}.rp_filter=1`);
      return udp(lab.b.ipv4, closedPort, { from: '10.99.0.1' });
    },
  },
  {
    ...{
      cause: 'a source that is the receiver itself',
      reason: 'IP_LOCAL_SOURCE',
      site: /^ip_rcv_finish_core$/,
      netns: 'b',
      side: incoming,
    },
    ends: `${B}:99 192.0.2.9:4000`,
    provoke: () => {
      for (const netns of [lab.a, lab.b]) ip(netns, 'address', 'add', '192.0.2.9/32', 'dev', 'lo');
      return udp(lab.b.ipv4, closedPort, { from: '192.0.2.9' });
    },
  },
  {
    ...{
      cause: 'a datagram of which a fragment never comes',
      reason: 'FRAG_REASM_TIMEOUT',
      site: /^ip_expire$/,
      netns: 'b',
      side: incoming,
    },
    ends: `${B}:99 ${A}:4000`,
    provoke: () => {
      sysctl(lab.b, 'net.ipv4.ipfrag_time=1');
      rule(lab.b, 'ingress', 'ip frag-off & 0x1fff != 0');
      return udp(lab.b.ipv4, closedPort, { bytes: 2000 });
    },
  },
  {
    ...{
      cause: 'a neighbour that does not answer',
      reason: 'NEIGH_FAILED',
      site: /^(neigh_invalidate|arp_error_report)$/,
      netns: 'a',
      side: outgoing,
      socket: true,
    },
    ends: `${A}:33000 198.51.100.77:9000`,
    provoke: () => lab.start(lab.a, 'stream.mjs', A, '33000', '198.51.100.77', '9000', '0', '1'),
  },
  {
    ...{
      cause: 'a route that goes while a connection lives',
      reason: 'IP_OUTNOROUTES',
      site: /^__ip_queue_xmit$/,
      netns: 'a',
      side: outgoing,
      socket: true,
    },
    ends: `${A}:33000 ${B}:9000`,
    fixture: 'no-route-out',
    provoke: async () => {
      const client = await connection(9000);
      ip(lab.a, 'route', 'del', '198.51.100.0/24');
      process.kill(client.pid, 'SIGHUP');
    },
  },
  {
    ...{ cause: 'IPv6 is switched off', reason: 'IPV6DISABLED', site: /^ip6_rcv_core$/, netns: 'b', side: incoming },
    ends: `${B6}:99 ${A6}:4000`,
    provoke: () => {
      const address = linkAddress(lab.b);
      sysctl(lab.b, `net.ipv6.conf.${labInterface}.disable_ipv6=1`);
      ip(lab.a, '-6', 'neigh', 'replace', lab.b.ipv6, 'lladdr', address, 'dev', labInterface);
      return udp(lab.b.ipv6, closedPort);
    },
  },
  {
    ...{ cause: 'the other end of the cable is down', reason: 'QDISC_DROP', netns: 'a', side: outgoing, socket: true },
    site: /^(__dev_queue_xmit|noop_enqueue)$/,
    ends: `${A}:4000 ${B}:99`,
    provoke: async () => {
      ip(lab.a, 'neigh', 'replace', lab.b.ipv4, 'lladdr', linkAddress(lab.b), 'dev', labInterface);
      ip(lab.b, 'link', 'set', labInterface, 'down');
      // Until the kernel has noticed, the driver drops it (NOT_SPECIFIED in __dev_forward_skb2).
      const down = () => / state (LOWERLAYERDOWN|DOWN) /.test(lab.run(lab.a, 'ip', '-o', 'link', 'show', 'dev', labInterface));
      await eventually('the link is noticed to be down', down);
      return udp(lab.b.ipv4, closedPort);
    },
  },
];

function siteOf({ record }: SeenRecord): string {
  return run.symbols?.nameOf(record.v1) ?? '';
}

function drops(net: bigint) {
  return run.counters().filter((entry) => entry.metric === metrics.PACKETLOSS_DROPS && entry.net === Number(net));
}

kernelTest.for(causes)('$cause: $reason', async ({ cause, reason, site, netns, side, ends, socket, fixture, provoke }, { skip }) => {
  if (![...reasons.values()].includes(reason)) skip(`this kernel has no reason ${reason}`);
  await meet();
  start();
  await provoke();
  const isIt = ({ record }: SeenRecord) => reasons.get(record.code) === reason && record.side === side && endsOf(record) === ends;
  let found: SeenRecord[] = [];
  await eventually(`${cause}: ${reason} ${ends} is told`, async () => {
    found = (await run.records(cookies[netns])).filter(isIt);
    return found.length > 0;
  }).catch(async (error: unknown) => {
    const told = [...(await run.records(cookies.a)), ...(await run.records(cookies.b))];
    throw new Error(
      told.map((one) => `${reasons.get(one.record.code)} ${one.record.side} ${siteOf(one)} ${endsOf(one.record)}`).join('\n'),
      { cause: error },
    );
  });
  const [first] = found as [SeenRecord];
  const { record } = first;
  expect(siteOf(first)).toMatch(site);
  // A counter of this namespace, reason and place; the other namespace has none of either.
  const counted = drops(cookies[netns]).find(({ bucket, label }) => bucket === record.code && label === record.v1);
  expect(counted?.value).toBeGreaterThanOrEqual(found.length);
  const others = await run.records(cookies[netns === 'a' ? 'b' : 'a']);
  expect(others.filter((other) => other.record.code === record.code && endsOf(other.record) === ends)).toEqual([]);
  expect([(record.flags & recordFlags.SOCK) !== 0, record.sock > 0]).toEqual([socket === true, socket === true]);
  expect(record.flags & recordFlags.STACK).not.toBe(0);
  if (process.env.RECORD_FIXTURES !== undefined && fixture !== undefined) {
    mkdirSync(fixtures, { recursive: true });
    writeFileSync(`${fixtures}${fixture}.bin`, first.bytes);
  }
});

function dropsFor(net: bigint, reason: string) {
  return drops(net).filter(({ bucket }) => reasons.get(bucket) === reason);
}

function total(net: bigint, reason: string): number {
  return dropsFor(net, reason).reduce((sum, { value }) => sum + value, 0);
}

kernelTest.each([
  { burst: 200, emitted: 50 },
  { burst: 20, emitted: 20 },
])(
  '50 packets that a filter drops are 50 drops, counted by reason and place; of $burst tokens $emitted are events',
  async ({ burst, emitted }) => {
    await meet();
    start();
    run.set({ ...defaultSettings, burst, intervalNs: 1e12 });
    rule(lab.b, 'input', 'udp dport 7000');
    await udp(lab.b.ipv4, 7000, { count: 50 });
    await eventually('all are counted', () => total(cookies.b, 'NETFILTER_DROP') >= 50);
    const accounting = [metrics.EMITTED, metrics.SUPPRESSED, metrics.RING_FULL].map((metric) => run.count(metric, cookies.b));
    expect(accounting).toEqual([emitted, 50 - emitted, 0]);
    // What MLD drops meanwhile is counted beside it.
    const counters = dropsFor(cookies.b, 'NETFILTER_DROP');
    expect(counters.map(({ value }) => value)).toEqual([50]);
    expect(run.symbols?.nameOf(counters[0].label)).toMatch(netfilter);
    const records = await run.records(cookies.b);
    expect(records.map(({ record }) => [record.v1, record.v2, record.proto])).toEqual(records.map(() => [counters[0].label, 128, 17]));
    expect(records).toHaveLength(emitted);
    expect(records.reduce((sum, { record }) => sum + record.v0, 0) + run.withheld(cookies.b, packetloss.number)).toBe(50 - emitted);
    expect(total(cookies.a, 'NETFILTER_DROP')).toBe(0);
  },
);

kernelTest('a SYN to a closed port is counted here and told by tcpreset alone', async () => {
  await meet();
  start();
  for (const [from, to] of [
    [A, B],
    [lab.a.ipv6, lab.b.ipv6],
  ] as const)
    await lab.result(lab.a, 'connect.mjs', from, '31000', '1', to, '82');
  const counted = dropsFor(cookies.b, 'NO_SOCKET').map(({ label, value }) => [run.symbols?.nameOf(label), value]);
  expect(counted.sort()).toEqual([
    ['tcp_v4_rcv', 1],
    ['tcp_v6_rcv', 1],
  ]);
  expect((await run.records(cookies.b)).filter(({ record }) => reasons.get(record.code) === 'NO_SOCKET')).toEqual([]);
});

kernelTest('healthy traffic makes no event: connections of all kinds, datagrams, a large transfer, new interfaces', async () => {
  start();
  const fresh = new NetnsLab('-loss-fresh');
  try {
    const nets = [cookies.a, cookies.b, native.netnsCookie(fresh.a.path), native.netnsCookie(fresh.b.path)];
    for (const netns of [lab.a, lab.b]) await lab.start(netns, 'busy-server.mjs').line();
    for (const host of [lab.b.ipv4, lab.b.ipv6, '127.0.0.1', '::1']) await lab.result(lab.a, 'busy-client.mjs', host);
    const told = (await Promise.all(nets.map((net) => run.records(net)))).flat();
    expect(told.map((one) => `${reasons.get(one.record.code)} in ${siteOf(one)}: ${endsOf(one.record)}`)).toEqual([]);
    // The test would see one: what closing connections drops is counted.
    expect(total(cookies.a, 'QUEUE_PURGE')).toBeGreaterThan(0);
  } finally {
    await fresh.remove();
  }
});

kernelTest('a program for fewer arguments tells the same packet, of its namespace', async () => {
  for (const [args, hasReasons] of [
    [3, true],
    [2, false],
  ] as const) {
    const facts = { tracepointArgs: (name: string) => (name === 'kfree_skb' ? args : native.tracepointArgs(name)), hasMember: () => true };
    start({
      ...packetloss,
      select: () => packetloss.select(facts),
      prepare: (names) =>
        packetloss.prepare?.(hasReasons ? names : { ...names, enumValues: () => undefined }) ?? { data: [], degraded: [] },
    });
    await udp(lab.b.ipv4, closedPort, { localPort: 4000 + args });
    const mine = ({ record }: SeenRecord) => endsOf(record) === `${B}:99 ${A}:${4000 + args}`;
    let found: SeenRecord | undefined;
    await eventually('the drop is told', async () => {
      found = (await run.records(cookies.b)).find(mine);
      return found !== undefined;
    });
    expect(found?.record.code === 0).toBe(!hasReasons);
    expect(siteOf(found as SeenRecord)).toBe('__udp4_lib_rcv');
    await run.stop();
  }
});

kernelTest('the filter leaves out other namespaces, counters too', async () => {
  await meet();
  start();
  run.set({ ...unlimited, filterMode: 'listed' });
  run.list(cookies.a);
  await udp(lab.b.ipv4, closedPort);
  rule(lab.a, 'output', 'udp dport 7000');
  await udp(lab.b.ipv4, 7000);
  await eventually('what is listed is told', async () => (await run.records(cookies.a)).length === 1);
  expect([await run.records(cookies.b), drops(cookies.b)]).toEqual([[], []]);
});

kernelTest('a stack leads from the drop outwards', async () => {
  await meet();
  start();
  rule(lab.a, 'output', 'udp dport 7000');
  await udp(lab.b.ipv4, 7000);
  await eventually('the drop is told', async () => (await run.records(cookies.a)).length > 0);
  const [seen] = (await run.records(cookies.a)) as [SeenRecord];
  const addresses = run.object.mapLookup('stacks', new Uint8Array(Int32Array.of(seen.record.stack).buffer)) as Buffer;
  const stext = run.symbols?.stext ?? 0n;
  const frames = Array.from({ length: addresses.length / 8 }, (_, at) => addresses.readBigUInt64LE(at * 8)).filter(
    (address) => address !== 0n,
  );
  const names = frames.map((address) => run.symbols?.nameOf(Number(BigInt.asUintN(32, address - stext))));
  // Who else listens to the tracepoint puts a frame of its own before it.
  const site = frames.findIndex((address) => Number(address - stext) === seen.record.v1);
  expect([site === 0 || site === 1, names[site]]).toEqual([true, siteOf(seen)]);
  expect(names).toContain('udp_sendmsg');
});
