import { metrics, probes } from '../../schema/record.gen.ts';
import { cgroupField, ownerField, withheldField } from '../fields.ts';
import type { Probe } from '../probe.ts';
import { tcpStateNames } from '../tcp-state.ts';
import { tcpresetEvent } from './event.ts';
import { selectTcpreset } from './select.ts';

const sent = 1;
const received = 2;
const both = [sent, received];

/** TCP resets, sent and received, with reason and owner. */
export const tcpreset: Probe = {
  name: 'tcpreset',
  number: probes.TCPRESET,
  object: 'tcpreset.bpf.o',
  summary: 'TCP resets sent and received, with the reason where the kernel tells one, and the process that owns the socket',
  variants: new Map([
    [sent, 'sent'],
    [received, 'received'],
  ]),
  enumerations: [{ name: 'sk_rst_reason', prefix: 'SK_RST_REASON_' }],
  metrics: [
    {
      number: metrics.TCPRESET_SENT,
      name: 'jitterscope_tcpreset_sent_total',
      help: 'TCP resets sent by sockets and closed ports of the namespace, by the kernel’s reason',
      bucket: { label: 'reason', enumeration: 'sk_rst_reason' },
      seen: 'resets sent',
    },
    {
      number: metrics.TCPRESET_RECEIVED,
      name: 'jitterscope_tcpreset_received_total',
      help: 'TCP resets received by sockets of the namespace, by the state that the socket was in',
      bucket: { label: 'state', enumeration: 'tcp_state', names: tcpStateNames },
      seen: 'resets received',
    },
  ],
  fields: [
    { name: 'code', variants: [sent], meaning: 'enum sk_rst_reason; 0 where the kernel tells none (before 6.10)' },
    withheldField(both, 'resets'),
    {
      name: 'state',
      variants: both,
      meaning: 'TCP state of the socket when it sent or received the reset; 0 without a socket, 7 (CLOSE) when an application aborts',
    },
    {
      name: 'sock',
      variants: both,
      meaning: 'cookie of the socket; 0 when no socket is there, as for a closed port, and before 6.10 for one in TIME_WAIT',
    },
    { name: 'saddr, sport', variants: both, meaning: 'the local end: of the namespace that sent or received the reset' },
    { name: 'daddr, dport', variants: both, meaning: 'the far end' },
    { name: 'side', variants: both, meaning: '2 (out) for sent, 1 (in) for received' },
    ownerField(both),
    cgroupField(both),
    { name: 'ifindex', variants: both, meaning: 'interface that the answered packet, or the socket’s last one, came in by; 0 unknown' },
  ],
  cost: 'nothing per packet; 0.3 to 0.4 µs per reset once the bucket is empty; about 1 µs per connect() or listen() to note the owner, next to nothing for other changes of TCP state',
  blindSpots: [
    'resets made by nftables and iptables (`reject with tcp reset`) at the end that rejects: no tracepoint; the far end’s socket still reports them as received',
    'resets that arrive for a connection in TIME_WAIT, or in SYN_RECV before it is accepted, or for no socket: the tracepoint is for full sockets',
    'data that comes for a socket which its application has closed: the kernel reports the reset that answers it as received, too, at the same moment and with the same socket cookie',
    'resets that pass through as forwarded packets, and those of user-space stacks, XDP or load balancers',
    'sent resets to closed ports before 6.10 where kprobes cannot be attached',
    'the process that accepted a connection, where another one listens: the listener’s process is reported',
  ],
  event: tcpresetEvent,
  select: selectTcpreset,
};
