import { metrics, probes } from '../../schema/record.gen.ts';
import { cgroupField, interfaceField, ownerField, withheldField } from '../fields.ts';
import type { Probe } from '../probe.ts';
import { tcplifeEvent } from './event.ts';
import { directionNames, endingNames, failureNames } from './names.ts';
import { selectTcplife } from './select.ts';
import { thresholds } from './thresholds.ts';

const failed = 1;
const slow = 2;
const closed = 3;
const connects = [failed, slow];
const all = [failed, slow, closed];

/** Beginning and end of TCP connections. */
export const tcplife: Probe = {
  name: 'tcplife',
  number: probes.TCPLIFE,
  object: 'tcplife.bpf.o',
  summary: 'TCP connects that failed, and why, or that took long; connections that ended badly or lost much; all of them counted',
  variants: new Map([
    [failed, 'connect_failed'],
    [slow, 'connect_slow'],
    [closed, 'closed'],
  ]),
  enumerations: [],
  metrics: [
    {
      kind: 'histogram',
      number: metrics.TCPLIFE_CONNECT,
      sum: metrics.TCPLIFE_CONNECT_US,
      unit: 'us',
      name: 'jitterscope_tcplife_connect_seconds',
      help: 'Time from connect() to the established connection, of the connections that sockets of the namespace opened; its count is how many these are',
      seen: 'connections opened',
    },
    {
      number: metrics.TCPLIFE_FAILED,
      name: 'jitterscope_tcplife_connect_failures_total',
      help: 'Connects of sockets of the namespace that failed, by the error that the application got; ABORTED: it closed the socket before',
      bucket: { label: 'reason', enumeration: 'connect_failure', names: failureNames },
      seen: 'connects failed',
    },
    {
      number: metrics.TCPLIFE_ACCEPTED,
      name: 'jitterscope_tcplife_accepted_total',
      help: 'TCP connections that others opened to sockets of the namespace, and that were established; accept() may be yet to come',
      seen: 'connections taken',
    },
    {
      number: metrics.TCPLIFE_CLOSED,
      name: 'jitterscope_tcplife_closed_total',
      help: 'Established TCP connections of the namespace that ended, by how',
      bucket: { label: 'ending', enumeration: 'ending', names: endingNames },
      seen: 'connections closed',
    },
    {
      number: metrics.TCPLIFE_BYTES,
      unit: 'bytes',
      name: 'jitterscope_tcplife_bytes_total',
      help: 'Bytes that TCP connections of the namespace had sent and got acknowledged, or received, when they ended',
      bucket: { label: 'direction', enumeration: 'direction', names: directionNames },
    },
  ],
  fields: [
    {
      name: 'code',
      variants: [failed, closed],
      meaning: 'connect_failed: errno, 4096 ABORTED, 4097 NOT_SENT; closed: how it ended, by the numbers of the list below',
    },
    withheldField(all),
    {
      name: 'v[1]',
      variants: all,
      meaning: 'time from connect() to the connection or its failure; closed: smoothed round-trip time, 0 before the first measurement',
      unit: 'µs',
    },
    { name: 'v[2]', variants: connects, meaning: 'how often the SYN was sent again', unit: 'retransmits' },
    {
      name: 'x[0]',
      variants: [closed],
      meaning:
        'time from the establishment to the last packet or timer, or to the abort; 0 when it was established before the probe started',
      unit: 'µs',
    },
    { name: 'x[1]', variants: [closed], meaning: 'bytes of the application that the far end acknowledged', unit: 'bytes' },
    { name: 'x[2]', variants: [closed], meaning: 'bytes received for the application, read by it or not', unit: 'bytes' },
    { name: 'x[3]', variants: [closed], meaning: 'segments sent, those sent again included', unit: 'segments' },
    { name: 'x[4]', variants: [closed], meaning: 'segments received', unit: 'segments' },
    { name: 'x[5]', variants: [closed], meaning: 'segments sent again', unit: 'segments' },
    { name: 'x[6]', variants: [closed], meaning: 'errno of the socket; 0: none' },
    {
      name: 'state',
      variants: all,
      meaning: 'TCP state of the socket before: 2 (SYN_SENT) of a connect',
    },
    { name: 'sock', variants: all, meaning: 'cookie of the socket' },
    { name: 'saddr, sport', variants: all, meaning: 'the local end; port 0 when connect() found none' },
    { name: 'daddr, dport', variants: all, meaning: 'the far end' },
    { name: 'side', variants: connects, meaning: '2 (out)' },
    ownerField(all),
    cgroupField(all),
    interfaceField(all),
  ],
  thresholds: Object.values(thresholds),
  cost: 'about 1.6 µs per connection whose both ends are on the node, for its ten changes of state; 0.4 µs of it is what measuring takes; a failed connect with its event about 0.7 µs; nothing per packet',
  blindSpots: [
    'connects that fail before a SYN is thought of, such as those without a route: connect() returns an error, no state changes (Ip.OutNoRoutes counts ENETUNREACH over IPv4)',
    'what error connect() returned when it failed at once (NOT_SENT): the kernel hands it to the caller alone',
    'connections that a dead namespace takes along, such as those that still wait for the FIN to be acknowledged: they are not closed, only freed',
    'connections that the server never saw established: a request that the client does not acknowledge is no connection yet',
    'who opened a connection, and for how long it was open, when it is older than the probe',
    'MPTCP as a whole: each of its subflows is a connection here',
  ],
  event: tcplifeEvent,
  select: selectTcplife,
};
