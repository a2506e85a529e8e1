import { byteCounters, counters, defined, type FieldPattern, type FieldRows, gauges, under } from './row.ts';

/** Datagrams as IP counts them; IPv6 has the same counters (RFC 4293). */
export const datagramRows: FieldRows = counters({
  InReceives: 'Datagrams received, those with errors included.',
  InHdrErrors: 'Datagrams discarded for an error in the header: checksum, version, hop limit.',
  InAddrErrors: 'Datagrams discarded because their destination is not for this host.',
  InUnknownProtos: 'Datagrams discarded because no protocol of that number is known.',
  InDiscards: 'Sound datagrams that were discarded all the same, for want of memory mostly.',
  InDelivers: 'Datagrams handed to the protocols above.',
  OutRequests: 'Datagrams that local protocols asked to send.',
  OutDiscards: 'Outgoing datagrams that were discarded, for want of memory or queue mostly.',
  OutNoRoutes: 'Datagrams discarded because no route leads to their destination.',
  ReasmTimeout: 'Times that reassembly gave up waiting for the other fragments.',
  ReasmReqds: 'Fragments received that had to be put together.',
  ReasmOKs: 'Datagrams put together from fragments.',
  ReasmFails: 'Failures to put a datagram together: time-outs, errors, want of memory.',
  FragOKs: 'Datagrams cut into fragments.',
  FragFails: 'Datagrams discarded because they may not be cut into fragments.',
  FragCreates: 'Fragments made.',
  OutTransmits: 'Datagrams given to the link layer, fragments and forwarded ones included.',
});

/** Datagrams of UDP and UDP-Lite, over IPv4 and IPv6 alike. */
export const udpRows: FieldRows = counters({
  InDatagrams: 'Datagrams delivered to sockets.',
  NoPorts: 'Datagrams for a port on which nobody listens.',
  InErrors: 'Datagrams that could not be delivered for other reasons than a closed port.',
  OutDatagrams: 'Datagrams sent.',
  RcvbufErrors: 'Datagrams dropped because the receive buffer of the socket was full.',
  SndbufErrors: 'Datagrams not sent because the send buffer or the queue behind it was full.',
  InCsumErrors: 'Datagrams with a wrong checksum.',
  IgnoredMulti: 'Multicast datagrams that no socket wanted.',
  MemErrors: 'Datagrams dropped because the memory limit of the protocol was reached.',
});

const icmpRows = counters({
  InMsgs: 'ICMP messages received, those with errors included.',
  InErrors: 'ICMP messages received with an error: checksum, length.',
  InCsumErrors: 'ICMP messages received with a wrong checksum.',
  InDestUnreachs: 'Destination Unreachable messages received.',
  InTimeExcds: 'Time Exceeded messages received.',
  InParmProbs: 'Parameter Problem messages received.',
  InSrcQuenchs: 'Source Quench messages received.',
  InRedirects: 'Redirect messages received.',
  InEchos: 'Echo Requests received.',
  InEchoReps: 'Echo Replies received.',
  InTimestamps: 'Timestamp requests received.',
  InTimestampReps: 'Timestamp replies received.',
  InAddrMasks: 'Address Mask requests received.',
  InAddrMaskReps: 'Address Mask replies received.',
  OutMsgs: 'ICMP messages that were to be sent, failed ones included.',
  OutErrors: 'ICMP messages that could not be sent.',
  OutRateLimitGlobal: 'ICMP messages held back by the global rate limit.',
  OutRateLimitHost: 'ICMP messages held back by the rate limit of their destination.',
  OutDestUnreachs: 'Destination Unreachable messages sent.',
  OutTimeExcds: 'Time Exceeded messages sent.',
  OutParmProbs: 'Parameter Problem messages sent.',
  OutSrcQuenchs: 'Source Quench messages sent.',
  OutRedirects: 'Redirect messages sent.',
  OutEchos: 'Echo Requests sent.',
  OutEchoReps: 'Echo Replies sent.',
  OutTimestamps: 'Timestamp requests sent.',
  OutTimestampReps: 'Timestamp replies sent.',
  OutAddrMasks: 'Address Mask requests sent.',
  OutAddrMaskReps: 'Address Mask replies sent.',
});

const tcpRows: FieldRows = {
  RtoAlgorithm: { help: 'Algorithm of the retransmission time-out: 1 other, 2 constant, 3 rsre, 4 vanj, 5 rfc2988.', type: 'gauge' },
  RtoMin: { help: 'Least retransmission time-out.', type: 'gauge', unit: 'seconds', scale: 1e-3 },
  RtoMax: { help: 'Greatest retransmission time-out.', type: 'gauge', unit: 'seconds', scale: 1e-3 },
  MaxConn: { help: 'Most connections that TCP takes; -1: no fixed limit.', type: 'gauge' },
  CurrEstab: { help: 'Connections in ESTABLISHED or CLOSE_WAIT.', type: 'gauge' },
  ...counters({
    ActiveOpens: 'Connections that were opened from here.',
    PassiveOpens: 'Connections that were opened from the other end.',
    AttemptFails: 'Connection attempts that failed: from SYN_SENT or SYN_RECV to CLOSED, or back to LISTEN.',
    EstabResets: 'Connections that ended at once from ESTABLISHED or CLOSE_WAIT.',
    InSegs: 'Segments received, those with errors included.',
    OutSegs: 'Segments sent, without those that carry only retransmitted octets.',
    RetransSegs: 'Segments retransmitted.',
    InErrs: 'Segments received with an error: checksum, offset.',
    OutRsts: 'Segments sent with RST.',
    InCsumErrors: 'Segments received with a wrong checksum.',
  }),
};

/** /proc/net/snmp */
export const snmpRows: FieldRows = {
  ...under('Ip.', {
    ...gauges({
      Forwarding: '1: forwards datagrams; 2: does not (RFC 1213 ipForwarding).',
      DefaultTTL: 'Hop limit of datagrams for which nothing else was asked (RFC 1213 ipDefaultTTL).',
    }),
    ...defined('RFC 1213', 'ip', { ...datagramRows, ...counters({ ForwDatagrams: 'Datagrams forwarded.' }) }, ['OutTransmits']),
  }),
  ...under('Icmp.', defined('RFC 1213', 'icmp', icmpRows, ['InCsumErrors', 'OutRateLimitGlobal', 'OutRateLimitHost'])),
  ...under('Tcp.', defined('RFC 4022', 'tcp', tcpRows, ['InCsumErrors'])),
  ...under('Udp.', defined('RFC 4113', 'udp', udpRows, ['RcvbufErrors', 'SndbufErrors', 'InCsumErrors', 'IgnoredMulti', 'MemErrors'])),
  ...under('UdpLite.', udpRows),
};

/** IcmpMsg.InType3: the kernel prints a field for each type that was seen. */
export const snmpPatterns: readonly FieldPattern[] = [
  { field: /^IcmpMsg\.InType(\d+)$/, row: { help: 'ICMP messages of type {1} received.' } },
  { field: /^IcmpMsg\.OutType(\d+)$/, row: { help: 'ICMP messages of type {1} sent.' } },
];

/** IpExt of /proc/net/netstat. */
export const ipExtRows: FieldRows = under('IpExt.', {
  ...counters({
    InNoRoutes: 'Datagrams discarded because no route leads on.',
    InTruncatedPkts: 'Datagrams discarded because less arrived than their header says.',
    InMcastPkts: 'Multicast datagrams received.',
    OutMcastPkts: 'Multicast datagrams sent.',
    InBcastPkts: 'Broadcast datagrams received.',
    OutBcastPkts: 'Broadcast datagrams sent.',
    InCsumErrors: 'Datagrams received with a wrong header checksum.',
    InNoECTPkts: 'Datagrams received whose sender does not know ECN.',
    InECT1Pkts: 'Datagrams received with ECT(1).',
    InECT0Pkts: 'Datagrams received with ECT(0).',
    InCEPkts: 'Datagrams received with Congestion Experienced.',
    ReasmOverlaps: 'Datagrams given up because their fragments overlapped.',
  }),
  ...byteCounters({
    InOctets: 'Bytes of datagrams received.',
    OutOctets: 'Bytes of datagrams sent.',
    InMcastOctets: 'Bytes of multicast datagrams received.',
    OutMcastOctets: 'Bytes of multicast datagrams sent.',
    InBcastOctets: 'Bytes of broadcast datagrams received.',
    OutBcastOctets: 'Bytes of broadcast datagrams sent.',
  }),
});
