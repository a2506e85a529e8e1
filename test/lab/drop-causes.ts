import { eventually } from './eventually.ts';
import type { LabProcess } from './lab-process.ts';
import { type LabNetns, labInterface, type NetnsLab } from './netns-lab.ts';
import { sinkServer, stream, udp } from './traffic.ts';

const [forwarded, incoming, outgoing] = [0, 1, 2];
/** Networks behind the lab's other end, which routes: nobody lives there. */
const beyond = { ipv4: '203.0.113', ipv6: '2001:db8:ffff:' };
const closedPort = 99;

/** One way to lose a packet, and what must be told of it. */
export interface DropCause {
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
  provoke(lab: NetnsLab): unknown;
}

const A = '198.51.100.1';
const B = '198.51.100.2';
const A6 = '[2001:db8::1]';
const B6 = '[2001:db8::2]';
/** Functions in which filters drop. */
export const netfilter = /^(nft_do_chain|nf_hook_slow)$/;

function ip(lab: NetnsLab, netns: LabNetns, ...args: string[]): void {
  lab.run(netns, 'ip', ...args);
}

function linkAddress(lab: NetnsLab, netns: LabNetns): string {
  return /link\/ether (\S+)/.exec(lab.run(netns, 'ip', '-o', 'link', 'show', 'dev', labInterface))?.[1] ?? '';
}

/** The lab's other end becomes a router to the networks behind it. */
function route(lab: NetnsLab, ...routes: string[]): void {
  lab.sysctl(lab.b, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  ip(lab, lab.a, 'route', 'add', `${beyond.ipv4}.0/24`, 'via', lab.b.ipv4);
  ip(lab, lab.a, '-6', 'route', 'add', `${beyond.ipv6}:/48`, 'via', lab.b.ipv6);
  for (const words of routes) ip(lab, lab.b, ...words.split(' '));
}

async function deafReader(lab: NetnsLab, address: string): Promise<void> {
  await lab.start(lab.b, 'udp-deaf.mjs', address, '5000').line();
}

async function connection(lab: NetnsLab, port: number): Promise<LabProcess> {
  await sinkServer(lab, lab.b.ipv4, port);
  const client = stream(lab, 'ipv4', 33_000, port);
  await client.line();
  return client;
}

/** Every way to lose a packet that a lab of two namespaces can be made to show. */
export const dropCauses: readonly DropCause[] = [
  {
    ...{ cause: 'a filter drops what comes in', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:7000 ${A}:4000`,
    fixture: 'filter-input',
    provoke: (lab) => {
      lab.rule(lab.b, 'input', 'udp dport 7000 drop');
      return udp(lab, lab.b.ipv4, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops what comes in over IPv6', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B6}:7000 ${A6}:4000`,
    provoke: (lab) => {
      lab.rule(lab.b, 'input', 'udp dport 7000 drop');
      return udp(lab, lab.b.ipv6, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops a SYN', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:9000 ${A}:33000`,
    fixture: 'filter-syn',
    provoke: (lab) => {
      lab.rule(lab.b, 'input', 'tcp dport 9000 drop');
      return stream(lab, 'ipv4', 33_000, 9000);
    },
  },
  {
    // The packet still has its sender's socket here: it must not be charged to the sender.
    ...{ cause: 'a filter drops at the interface, before IP', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:7000 ${A}:4000`,
    provoke: (lab) => {
      lab.rule(lab.b, 'ingress', 'udp dport 7000 drop');
      return udp(lab, lab.b.ipv4, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops what goes out', reason: 'NETFILTER_DROP', site: netfilter, netns: 'a', side: outgoing, socket: true },
    ends: `${A}:4000 ${B}:7000`,
    fixture: 'filter-output',
    provoke: (lab) => {
      lab.rule(lab.a, 'output', 'udp dport 7000 drop');
      return udp(lab, lab.b.ipv4, 7000);
    },
  },
  {
    ...{ cause: 'a filter drops what is forwarded', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.5:7000`,
    provoke: (lab) => {
      route(lab, `route add 203.0.113.0/24 dev ${labInterface}`);
      lab.rule(lab.b, 'forward', 'udp dport 7000 drop');
      return udp(lab, '203.0.113.5', 7000);
    },
  },
  {
    ...{ cause: 'a filter drops an ICMP error', reason: 'NETFILTER_DROP', site: netfilter, netns: 'a', side: incoming },
    // Type 3, code 3: port unreachable.
    ends: `${A}:3 ${B}:3`,
    provoke: (lab) => {
      lab.rule(lab.a, 'input', 'ip protocol icmp drop');
      return udp(lab, lab.b.ipv4, closedPort);
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
    provoke: (lab) => {
      lab.rule(lab.b, 'ingress', 'ether type arp drop');
      ip(lab, lab.a, 'neigh', 'flush', 'dev', labInterface);
      return udp(lab, lab.b.ipv4, closedPort);
    },
  },
  {
    ...{ cause: 'a filter drops a later fragment: it has no ports', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B}:0 ${A}:0`,
    provoke: (lab) => {
      lab.rule(lab.b, 'ingress', 'ip frag-off & 0x1fff != 0 drop');
      return udp(lab, lab.b.ipv4, closedPort, { bytes: 2000 });
    },
  },
  {
    ...{ cause: 'a filter drops a later fragment of IPv6', reason: 'NETFILTER_DROP', site: netfilter, netns: 'b', side: incoming },
    ends: `${B6}:0 ${A6}:0`,
    fixture: 'fragment-v6',
    provoke: (lab) => {
      lab.rule(lab.b, 'ingress', 'frag frag-off != 0 drop');
      return udp(lab, lab.b.ipv6, closedPort, { bytes: 2000 });
    },
  },
  {
    ...{ cause: 'UDP to a closed port', reason: 'NO_SOCKET', site: /^__udp4_lib_rcv$/, netns: 'b', side: incoming },
    ends: `${B}:99 ${A}:4000`,
    provoke: (lab) => udp(lab, lab.b.ipv4, closedPort),
  },
  {
    ...{ cause: 'UDP to a closed port over IPv6', reason: 'NO_SOCKET', site: /^__udp6_lib_rcv$/, netns: 'b', side: incoming },
    ends: `${B6}:99 ${A6}:4000`,
    provoke: (lab) => udp(lab, lab.b.ipv6, closedPort),
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
    provoke: async (lab) => {
      await deafReader(lab, lab.b.ipv4);
      return udp(lab, lab.b.ipv4, 5000, { count: 20, bytes: 500 });
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
    provoke: async (lab) => {
      await deafReader(lab, lab.b.ipv6);
      return udp(lab, lab.b.ipv6, 5000, { count: 20, bytes: 500 });
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
    provoke: (lab) => {
      lab.run(lab.a, 'tc', 'qdisc', 'add', 'dev', labInterface, 'root', 'tbf', 'rate', '64kbit', 'burst', '1600', 'limit', '3000');
      return udp(lab, lab.b.ipv4, closedPort, { count: 10, bytes: 1000 });
    },
  },
  {
    ...{ cause: 'a router without a route', reason: 'IP_INNOROUTES', site: /^ip_error$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.5:99`,
    fixture: 'no-route',
    provoke: (lab) => {
      route(lab);
      return udp(lab, '203.0.113.5', closedPort);
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
    provoke: (lab) => {
      route(lab);
      return udp(lab, '2001:db8:ffff::5', closedPort);
    },
  },
  {
    ...{ cause: 'a black hole on a router', reason: 'NOT_SPECIFIED', site: /^(ip_error|dst_discard_out)$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.5:99`,
    provoke: (lab) => {
      route(lab, 'route add blackhole 203.0.113.5');
      return udp(lab, '203.0.113.5', closedPort);
    },
  },
  {
    ...{ cause: 'a black hole on a router of IPv6', reason: 'NOT_SPECIFIED', site: /^dst_discard(_out)?$/, netns: 'b', side: forwarded },
    ends: `${A6}:4000 [2001:db8:ffff::5]:99`,
    provoke: (lab) => {
      route(lab, '-6 route add blackhole 2001:db8:ffff::5');
      return udp(lab, '2001:db8:ffff::5', closedPort);
    },
  },
  {
    ...{ cause: 'a prohibited route', reason: 'NOT_SPECIFIED', site: /^ip_error$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.6:99`,
    provoke: (lab) => {
      route(lab, 'route add prohibit 203.0.113.6');
      return udp(lab, '203.0.113.6', closedPort);
    },
  },
  {
    ...{ cause: 'a prohibited route of IPv6', reason: 'IP_INNOROUTES', site: /^ip6_pkt_(prohibit|drop)$/, netns: 'b', side: forwarded },
    ends: `${A6}:4000 [2001:db8:ffff::6]:99`,
    provoke: (lab) => {
      route(lab, '-6 route add prohibit 2001:db8:ffff::6');
      return udp(lab, '2001:db8:ffff::6', closedPort);
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
    provoke: (lab) => {
      route(lab, `route add 203.0.113.64/26 dev ${labInterface} mtu lock 1000`);
      return udp(lab, '203.0.113.65', closedPort, { bytes: 1400 });
    },
  },
  {
    ...{ cause: 'a hop limit that is used up', reason: 'IP_INHDR', site: /^ip_forward$/, netns: 'b', side: forwarded },
    ends: `${A}:4000 203.0.113.66:99`,
    provoke: (lab) => {
      route(lab, `route add 203.0.113.64/26 dev ${labInterface}`);
      ip(lab, lab.a, 'route', 'add', '203.0.113.66', 'via', lab.b.ipv4, 'hoplimit', '1');
      return udp(lab, '203.0.113.66', closedPort);
    },
  },
  {
    ...{ cause: 'a hop limit that is used up, IPv6', reason: 'IP_INHDR', site: /^ip6_forward$/, netns: 'b', side: forwarded },
    ends: `${A6}:4000 [2001:db8:ffff:1::6]:99`,
    provoke: (lab) => {
      route(lab, `-6 route add 2001:db8:ffff:1::/64 dev ${labInterface}`);
      ip(lab, lab.a, '-6', 'route', 'add', '2001:db8:ffff:1::6', 'via', lab.b.ipv6, 'hoplimit', '1');
      return udp(lab, '2001:db8:ffff:1::6', closedPort);
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
    provoke: (lab) => {
      ip(lab, lab.a, 'address', 'add', '10.99.0.1/32', 'dev', 'lo');
      lab.sysctl(lab.b, `net.ipv4.conf.${labInterface}.rp_filter=1`);
      return udp(lab, lab.b.ipv4, closedPort, { from: '10.99.0.1' });
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
    provoke: (lab) => {
      for (const netns of [lab.a, lab.b]) ip(lab, netns, 'address', 'add', '192.0.2.9/32', 'dev', 'lo');
      return udp(lab, lab.b.ipv4, closedPort, { from: '192.0.2.9' });
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
    provoke: (lab) => {
      lab.sysctl(lab.b, 'net.ipv4.ipfrag_time=1');
      lab.rule(lab.b, 'ingress', 'ip frag-off & 0x1fff != 0 drop');
      return udp(lab, lab.b.ipv4, closedPort, { bytes: 2000 });
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
    provoke: (lab) => lab.start(lab.a, 'stream.mjs', A, '33000', '198.51.100.77', '9000', '0', '1'),
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
    provoke: async (lab) => {
      const client = await connection(lab, 9000);
      ip(lab, lab.a, 'route', 'del', '198.51.100.0/24');
      process.kill(client.pid, 'SIGHUP');
    },
  },
  {
    ...{ cause: 'IPv6 is switched off', reason: 'IPV6DISABLED', site: /^ip6_rcv_core$/, netns: 'b', side: incoming },
    ends: `${B6}:99 ${A6}:4000`,
    provoke: (lab) => {
      const address = linkAddress(lab, lab.b);
      lab.sysctl(lab.b, `net.ipv6.conf.${labInterface}.disable_ipv6=1`);
      ip(lab, lab.a, '-6', 'neigh', 'replace', lab.b.ipv6, 'lladdr', address, 'dev', labInterface);
      return udp(lab, lab.b.ipv6, closedPort);
    },
  },
  {
    ...{ cause: 'the other end of the cable is down', reason: 'QDISC_DROP', netns: 'a', side: outgoing, socket: true },
    site: /^(__dev_queue_xmit|noop_enqueue)$/,
    ends: `${A}:4000 ${B}:99`,
    provoke: async (lab) => {
      ip(lab, lab.a, 'neigh', 'replace', lab.b.ipv4, 'lladdr', linkAddress(lab, lab.b), 'dev', labInterface);
      ip(lab, lab.b, 'link', 'set', labInterface, 'down');
      // Until the kernel has noticed, the driver drops it (NOT_SPECIFIED in __dev_forward_skb2).
      const down = () => / state (LOWERLAYERDOWN|DOWN) /.test(lab.run(lab.a, 'ip', '-o', 'link', 'show', 'dev', labInterface));
      await eventually('the link is noticed to be down', down);
      return udp(lab, lab.b.ipv4, closedPort);
    },
  },
];
