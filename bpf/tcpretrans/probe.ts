import { metrics, probes } from '../../schema/record.gen.ts';
import { cgroupField, interfaceField, ownerField, withheldField } from '../fields.ts';
import type { Probe, ProbeCounter } from '../probe.ts';
import { tcpretransEvent } from './event.ts';
import { retransmitKindNames } from './kinds.ts';
import { selectTcpretrans } from './select.ts';

const segment = 1;
const synAck = 2;
const both = [segment, synAck];

const byKind: NonNullable<ProbeCounter['bucket']> = { label: 'kind', enumeration: 'retransmit_kind', names: retransmitKindNames };

/** TCP retransmits, told apart by what made the kernel send again. */
export const tcpretrans: Probe = {
  name: 'tcpretrans',
  number: probes.TCPRETRANS,
  object: 'tcpretrans.bpf.o',
  summary: 'TCP segments sent again: after a timeout, by fast retransmit, as a tail loss probe, SYNs and SYN-ACKs, and whose they are',
  variants: new Map([
    [segment, 'segment'],
    [synAck, 'syn_ack'],
  ]),
  enumerations: [],
  metrics: [
    {
      number: metrics.TCPRETRANS_SEGMENTS,
      name: 'jitterscope_tcpretrans_segments_total',
      help: 'TCP segments that sockets of the namespace sent again, by what made them; together what RetransSegs counts',
      bucket: byKind,
      seen: 'segments retransmitted',
    },
    {
      number: metrics.TCPRETRANS_RETRANSMITS,
      name: 'jitterscope_tcpretrans_retransmits_total',
      help: 'TCP retransmits of sockets of the namespace, each of one segment or more, by what made them',
      bucket: byKind,
    },
  ],
  fields: [
    { name: 'code', variants: both, meaning: 'kind: 1 RTO, 2 FAST, 3 TLP, 4 SYN, 5 SYN_ACK, 0 OTHER' },
    withheldField(both, 'retransmits'),
    { name: 'v[1]', variants: [segment], meaning: 'smoothed round-trip time; 0 before the first measurement', unit: 'µs' },
    { name: 'v[2]', variants: [segment], meaning: 'congestion window at that moment, after the kernel has reduced it', unit: 'segments' },
    { name: 'x[0]', variants: both, meaning: 'segments that are sent again by this retransmit', unit: 'segments' },
    {
      name: 'x[1]',
      variants: both,
      meaning: 'timeouts in a row, this one included, 0 where no timeout made it; of a SYN-ACK how often it was sent again',
      unit: 'retransmits',
    },
    { name: 'x[2]', variants: [segment], meaning: 'segments that the connection has sent again so far, these included', unit: 'segments' },
    { name: 'x[3]', variants: [segment], meaning: 'segments that wait for an ACK', unit: 'segments' },
    { name: 'x[4]', variants: [synAck], meaning: 'connections of the listener that wait for accept()', unit: 'connections' },
    {
      name: 'x[5]',
      variants: [synAck],
      meaning: 'most that may wait: the backlog of listen(); the kernel takes one more',
      unit: 'connections',
    },
    { name: 'x[6]', variants: [segment], meaning: 'errno with which this host did not send the packet; 0 when it did' },
    { name: 'x[7]', variants: [segment], meaning: '1 when a queue of this host’s interface dropped the packet' },
    { name: 'state', variants: both, meaning: 'TCP state of the socket; 12 (NEW_SYN_RECV) for a SYN-ACK' },
    {
      name: 'sock',
      variants: both,
      meaning: 'cookie of the socket; of a SYN-ACK that of the request, which the accepted socket takes over',
    },
    { name: 'saddr, sport', variants: both, meaning: 'the local end, which sends again' },
    { name: 'daddr, dport', variants: both, meaning: 'the far end, which did not acknowledge' },
    { name: 'side', variants: both, meaning: '2 (out)' },
    ownerField(both),
    cgroupField(both, '; of a SYN-ACK the listener’s'),
    interfaceField(both),
  ],
  cost: 'nothing per packet; about 1 µs per retransmit with its event, 0.7 µs once the bucket is empty; about 0.7 µs per change of TCP state that connects or listens, to note the owner',
  blindSpots: [
    'whether the segment was lost at all: a late or lost ACK, or reordering, looks the same to the sender (DSACK tells afterwards)',
    'retransmits in CA_Loss that ACKs trigger after the timeout, or that a smaller path MTU does: they are told as RTO, too',
    'what made a SYN-ACK: one that answers a repeated SYN is told the same way as one that a timer sends',
    'retransmits of user-space stacks, and of forwarded connections: both ends are elsewhere',
    'packets that this host dropped before it sent them, where the tracepoint has no error (2 arguments)',
  ],
  event: tcpretransEvent,
  select: selectTcpretrans,
};
