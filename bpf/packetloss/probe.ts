import { metrics, probes, recordOffsets } from '../../schema/record.gen.ts';
import { withheldField } from '../fields.ts';
import type { Probe } from '../probe.ts';
import { prepareDropTable } from './benign.ts';
import { packetlossEvent } from './event.ts';
import { dropReasons, dropSubsystems } from './reasons.ts';
import { selectPacketloss } from './select.ts';

const drop = 1;
const all = [drop];

/** Packets that the kernel drops: why, where in its code, whose. */
export const packetloss: Probe = {
  name: 'packetloss',
  number: probes.PACKETLOSS,
  object: 'packetloss.bpf.o',
  summary: 'packets that the kernel drops: the reason, the function that drops, the namespace, both ends, and the way they came',
  variants: new Map([[drop, 'drop']]),
  enumerations: [
    { name: dropReasons, prefix: 'SKB_DROP_REASON_' },
    { name: dropSubsystems, prefix: 'SKB_DROP_REASON_SUBSYS_' },
  ],
  metrics: [
    {
      number: metrics.PACKETLOSS_DROPS,
      name: 'jitterscope_packetloss_drops_total',
      help: 'Packets that the kernel dropped in the namespace, benign ones included, by reason and by the function that dropped them',
      bucket: { label: 'reason', enumeration: dropReasons },
      label: { label: 'site', kind: 'symbol' },
      seen: 'packets dropped',
    },
  ],
  fields: [
    { name: 'code', variants: all, meaning: 'reason, enum skb_drop_reason of the running kernel; 0 where it has none' },
    withheldField(all, 'drops'),
    { name: 'v[1]', variants: all, meaning: 'drop site: distance of the dropping instruction’s return address from _stext', unit: 'bytes' },
    {
      name: 'v[2]',
      variants: all,
      meaning: 'length of the packet from its network header on; of one without, all that the kernel holds',
      unit: 'bytes',
    },
    { name: 'x[0]', variants: all, meaning: 'EtherType; 0 of a packet that was not yet given one' },
    { name: 'x[1]', variants: all, meaning: 'packet type: 0 host, 1 broadcast, 2 multicast, 3 otherhost, 4 outgoing, 5 loopback' },
    { name: 'x[2]', variants: all, meaning: 'TCP flags; 0 where they cannot be read' },
    {
      name: 'x[3]',
      variants: all,
      meaning: 'where a later fragment begins in its datagram; 0 of whole packets and first fragments',
      unit: 'bytes',
    },
    { name: 'x[4]', variants: all, meaning: 'segments in the packet (GSO); 1 without', unit: 'segments' },
    { name: 'x[5], x[6]', variants: all, meaning: 'name of the interface, NUL-padded; empty where the packet is at none' },
    { name: 'side', variants: all, meaning: '1 in: for a socket of the namespace; 2 out: made here; 0: forwarded, or not known' },
    { name: 'saddr, sport', variants: all, meaning: 'the local end; of side 0 the packet’s source' },
    { name: 'daddr, dport', variants: all, meaning: 'the far end; of side 0 the packet’s destination' },
    { name: 'family', variants: all, meaning: '2 or 10; 0 of a packet without an IP header, such as ARP' },
    { name: 'state', variants: all, meaning: 'with SOCK: TCP state of the socket that refuses the packet, or that sent it' },
    { name: 'sock', variants: all, meaning: 'with SOCK: cookie of that socket; 0 where nobody made one yet' },
    { name: 'tgid, comm', variants: all, meaning: 'with OWNER: the process that called connect() or listen() on that socket' },
    { name: 'cgroup', variants: all, meaning: 'with CGROUP: the cgroup in which that socket was made' },
    { name: 'ifindex', variants: all, meaning: 'interface at which the packet was, or by which it came in; 0 unknown' },
    { name: 'stack', variants: all, meaning: 'with STACK: id in the map `stacks`' },
  ],
  cost: 'nothing per packet that is not dropped; per drop about 0.2 µs when it is only counted (benign, or the bucket is empty), 3.3 µs with its event and stack; some 10 ns for a packet that was used up, not dropped',
  blindSpots: [
    'packets that never become one of the kernel’s (dropped by the card, or by XDP), and those it only stops to send: its counters tell',
    'SYNs that a full accept queue turns away: the kernel frees them as consumed; tcpretrans shows the SYN-ACKs, ListenOverflows counts',
    'whether somebody misses the packet: one that is sent again later is told as any other',
    'drops while the same CPU is already in this program: the kernel does not run it a second time',
    'which end is local, for packets that a forwarding namespace drops before it looks for their route',
  ],
  event: packetlossEvent,
  places: { siteAt: recordOffsets.v + 4, stackMap: 'stacks' },
  select: selectPacketloss,
  prepare: prepareDropTable,
};
