import { metrics, probes } from '../../schema/record.gen.ts';
import { withheldField } from '../fields.ts';
import type { Probe } from '../probe.ts';
import { tcpacceptEvent } from './event.ts';
import { fillNames } from './names.ts';
import { selectTcpaccept } from './select.ts';
import { thresholds } from './thresholds.ts';

const queue = 1;
const accepted = 2;
const both = [queue, accepted];

/** Accept queues of TCP listeners. */
export const tcpaccept: Probe = {
  name: 'tcpaccept',
  number: probes.TCPACCEPT,
  object: 'tcpaccept.bpf.o',
  summary: 'accept queues that fill up, before connections are dropped, and how long connections wait until the application accepts them',
  variants: new Map([
    [queue, 'queue'],
    [accepted, 'accepted'],
  ]),
  enumerations: [],
  metrics: [
    {
      number: metrics.TCPACCEPT_QUEUED,
      name: 'jitterscope_tcpaccept_queued_total',
      help: 'Connections put into accept queues of listeners of the namespace, by port and by how much of the queue others had taken',
      bucket: { label: 'fill', enumeration: 'fill', names: fillNames },
      label: { label: 'port', kind: 'number' },
      seen: 'connections queued for accept()',
    },
    {
      kind: 'histogram',
      number: metrics.TCPACCEPT_WAIT,
      sum: metrics.TCPACCEPT_WAIT_US,
      unit: 'us',
      name: 'jitterscope_tcpaccept_wait_seconds',
      help: 'Time from the establishment of a connection to accept(), of connections that processes of the namespace accepted',
    },
  ],
  fields: [
    { name: 'code', variants: [queue], meaning: 'what is remarkable: 1 FILLING, 2 STALLED, 3 FULL' },
    withheldField(both),
    {
      name: 'v[1]',
      variants: both,
      meaning: 'queue: connections that wait for accept(); accepted: time from the establishment to accept()',
      unit: 'connections, µs',
    },
    {
      name: 'v[2]',
      variants: [queue],
      meaning: 'most that may wait: the backlog of listen(), net.core.somaxconn at most; the kernel takes one more',
      unit: 'connections',
    },
    { name: 'x[0]', variants: [queue], meaning: 'how long the oldest connection in the queue has waited', unit: 'µs' },
    {
      name: 'x[1]',
      variants: [queue],
      meaning: 'SYNs and connections that the listener has dropped since it listens, as ss tells it',
      unit: 'drops',
    },
    {
      name: 'state',
      variants: both,
      meaning: 'TCP state of the socket: 10 (LISTEN) of a queue; accepted: of the connection, which may be closed again',
    },
    {
      name: 'sock',
      variants: both,
      meaning:
        'cookie of the listener; accepted: of the connection, 0 where it is seen by system call and nobody asked for the cookie before',
    },
    { name: 'saddr, sport', variants: both, meaning: 'the local end of the connection; queue: of the one that has waited longest' },
    { name: 'daddr, dport', variants: both, meaning: 'the far end of the same' },
    { name: 'side', variants: both, meaning: '1 (in)' },
    {
      name: 'tgid, comm',
      variants: both,
      meaning:
        'queue, with OWNER: the process that called listen(), or held the socket when the probe started; accepted, with TASK: the one that accepts',
    },
    { name: 'tid', variants: [accepted], meaning: 'the thread that accepts' },
    { name: 'cgroup', variants: both, meaning: 'with CGROUP: the cgroup of the socket' },
  ],
  thresholds: Object.values(thresholds),
  cost: '0.5 µs per connection that is put into a queue, and about 20 ns per packet that wakes a reader; at accept() about 0.3 µs, where functions can be looked at; by system call, which is off by default, 0.09 µs for each one of the node',
  blindSpots: [
    'a connection that nobody ever accepts, until the next one comes to the same listener: then the oldest’s wait is told',
    'SYNs that are dropped because the queue is full: ListenOverflows and ListenDrops of /proc/net/netstat count them, x[1] those of a listener',
    'a listener whose backlog is 0: its queue holds one connection, and one alone is never told',
    'MPTCP sockets that are accepted as such; plain TCP clients of an MPTCP listener are seen',
    'where accept() is seen as a system call: accepts through io_uring, by 32-bit processes, and by the kernel itself (NFS)',
    'with TCP Fast Open the wait begins with the SYN',
  ],
  event: tcpacceptEvent,
  select: selectTcpaccept,
};
