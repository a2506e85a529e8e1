import { datagramRows, udpRows } from './ipv4.ts';
import { byteCounters, counters, defined, type FieldPattern, type FieldRows, under } from './row.ts';

const icmp6Messages: Readonly<Record<string, string>> = {
  DestUnreachs: 'Destination Unreachable messages',
  PktTooBigs: 'Packet Too Big messages',
  TimeExcds: 'Time Exceeded messages',
  ParmProblems: 'Parameter Problem messages',
  Echos: 'Echo Requests',
  EchoReplies: 'Echo Replies',
  GroupMembQueries: 'multicast listener queries',
  GroupMembResponses: 'multicast listener reports',
  GroupMembReductions: 'multicast listener done messages',
  RouterSolicits: 'Router Solicitations',
  RouterAdvertisements: 'Router Advertisements',
  NeighborSolicits: 'Neighbor Solicitations',
  NeighborAdvertisements: 'Neighbor Advertisements',
  Redirects: 'Redirect messages',
  MLDv2Reports: 'multicast listener reports of version 2',
};

const icmp6Rows = counters({
  InMsgs: 'ICMPv6 messages received, those with errors included.',
  InErrors: 'ICMPv6 messages received with an error.',
  OutMsgs: 'ICMPv6 messages that were to be sent, failed ones included.',
  OutErrors: 'ICMPv6 messages that could not be sent.',
  InCsumErrors: 'ICMPv6 messages received with a wrong checksum.',
  OutRateLimitHost: 'ICMPv6 messages held back by the rate limit of their destination.',
  ...Object.fromEntries(
    Object.entries(icmp6Messages).flatMap(([field, what]) => [
      [`In${field}`, `ICMPv6: ${what} received.`],
      [`Out${field}`, `ICMPv6: ${what} sent.`],
    ]),
  ),
});

const ip6Rows: FieldRows = {
  ...datagramRows,
  ...counters({
    InTooBigErrors: 'Datagrams that could not be forwarded because they were larger than the next link takes.',
    InNoRoutes: 'Datagrams discarded because no route leads on.',
    InTruncatedPkts: 'Datagrams discarded because less arrived than their header says.',
    OutForwDatagrams: 'Datagrams forwarded.',
    InMcastPkts: 'Multicast datagrams received.',
    OutMcastPkts: 'Multicast datagrams sent.',
    InNoECTPkts: 'Datagrams received whose sender does not know ECN.',
    InECT1Pkts: 'Datagrams received with ECT(1).',
    InECT0Pkts: 'Datagrams received with ECT(0).',
    InCEPkts: 'Datagrams received with Congestion Experienced.',
  }),
  ...byteCounters({
    InOctets: 'Bytes of datagrams received.',
    OutOctets: 'Bytes of datagrams sent.',
    InMcastOctets: 'Bytes of multicast datagrams received.',
    OutMcastOctets: 'Bytes of multicast datagrams sent.',
    InBcastOctets: 'Bytes of broadcast datagrams received; IPv6 has none.',
    OutBcastOctets: 'Bytes of broadcast datagrams sent; IPv6 has none.',
  }),
};

/** /proc/net/snmp6: the protocol stands in the field's own name. */
export const snmp6Rows: FieldRows = {
  ...under(
    'Ip6',
    defined(
      'RFC 4293',
      'ipIfStats',
      ip6Rows,
      Object.keys(ip6Rows).filter((field) => /ECT|CEPkts|OutTransmits/.test(field)),
    ),
  ),
  ...under('Icmp6', icmp6Rows),
  ...under('Udp6', udpRows),
  ...under('UdpLite6', udpRows),
};

/** Icmp6InType135: the kernel prints a field for each type that was seen. */
export const snmp6Patterns: readonly FieldPattern[] = [
  { field: /^Icmp6InType(\d+)$/, row: { help: 'ICMPv6 messages of type {1} received.' } },
  { field: /^Icmp6OutType(\d+)$/, row: { help: 'ICMPv6 messages of type {1} sent.' } },
];
