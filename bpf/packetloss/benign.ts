import type { Degradation, KernelNames, Preparation } from '../probe.ts';

/** Drops that healthy traffic makes: counted, but no events. */
interface BenignDrops {
  /** enum skb_drop_reason, without its prefix. */
  readonly reason: string;
  /** Functions that drop for this reason without a loss; wherever it is, when none are named. */
  readonly sites?: readonly string[];
  /** Only packets to a group (broadcast, multicast): those that nobody here asked for. */
  readonly groupsOnly?: true;
  /** Why nothing is lost. */
  readonly why: string;
}

const closed = 'what a socket still holds, or still gets, when its owner closes it';
const repeated = 'data or an ACK that came before: the first copy was taken';
const toldAsReset = 'the connection is reset: tcpreset tells it';
const notAsked = 'sent to a group, and nobody here listens';

/** Which drops are benign: seen in healthy traffic here (packetloss.kernel.test.ts), or said by the kernel's source. */
export const benignDrops: readonly BenignDrops[] = [
  {
    reason: 'NOT_SPECIFIED',
    sites: ['tcp_rcv_state_process', 'tcp_v4_rcv', 'tcp_v6_rcv', 'tcp_v4_do_rcv', 'tcp_v6_do_rcv'],
    why: 'segments that end their life here: a bare ACK of a closing connection, one for TIME_WAIT',
  },
  { reason: 'NOT_SPECIFIED', sites: ['udp_destruct_common', 'skb_rbtree_purge'], why: closed },
  { reason: 'NOT_SPECIFIED', sites: ['ip6_mc_input', 'ip_mr_input', 'ip_rcv_finish_core'], groupsOnly: true, why: notAsked },
  {
    reason: 'QUEUE_PURGE',
    sites: ['sk_stream_kill_queues', 'tcp_disconnect', 'inet_sock_destruct', 'inet_csk_listen_stop', 'skb_rbtree_purge'],
    why: closed,
  },
  { reason: 'TCP_OLD_DATA', why: repeated },
  { reason: 'TCP_OLD_SEQUENCE', why: repeated },
  { reason: 'TCP_OLD_ACK', why: repeated },
  { reason: 'TCP_INVALID_SYN', why: 'a SYN on a connection that is open: it is answered with an ACK (RFC 5961)' },
  { reason: 'TCP_ABORT_ON_DATA', why: toldAsReset },
  { reason: 'TCP_RESET', why: toldAsReset },
  { reason: 'TCP_CLOSE', why: closed },
  { reason: 'NO_SOCKET', sites: ['tcp_v4_rcv', 'tcp_v6_rcv'], why: 'nobody listens, and the sender gets a reset: tcpreset tells it' },
  { reason: 'OTHERHOST', why: 'the link carries packets for others: a bridge floods, or the interface is promiscuous' },
  { reason: 'BRIDGE_INGRESS_STP_STATE', groupsOnly: true, why: 'a port of a bridge does not forward yet, as that of a new Pod' },
  { reason: 'IP_INNOROUTES', sites: ['ip6_pkt_discard'], groupsOnly: true, why: 'neighbour discovery before the interface has its routes' },
  { reason: 'NO_SOCKET', groupsOnly: true, why: notAsked },
  { reason: 'UNHANDLED_PROTO', groupsOnly: true, why: notAsked },
];

/** struct drop_table of benign.h. */
const at = { stext: 0, ranges: 8, listed: 16, range: 272 } as const;
const listedReasons = 256;
const rangeBytes = 16;
const maxRanges = 128;
const tableBytes = at.range + maxRanges * rangeBytes;
const everywhere = { start: 0, bytes: 0xffff_ffff };
/** Bits of packet types: PACKET_BROADCAST and PACKET_MULTICAST; all. */
const groups = 0b110;
const anyType = 0xff;

const hiddenSymbols: Degradation = {
  what: 'names of the places that drop packets, and events of drops that only their place tells from healthy traffic',
  reason: 'the kernel hides the addresses of its symbols (/proc/kallsyms)',
  remedy: 'run as root, or with CAP_SYSLOG and kernel.kptr_restrict below 2, on a kernel with CONFIG_KALLSYMS',
};

/** Writes the table by the running kernel's numbers. Without symbols a reason that is benign somewhere makes no event at all. */
export function prepareDropTable(kernel: KernelNames): Preparation {
  const view = new DataView(new ArrayBuffer(tableBytes));
  view.setBigUint64(at.stext, kernel.stext ?? 0n, true);
  const values = new Map((kernel.enumValues('skb_drop_reason') ?? []).map(([value, name]) => [name, value]));
  let count = 0;
  for (const { reason, sites, groupsOnly } of benignDrops) {
    // A kernel without reasons tells 0.
    const value = values.size === 0 ? 0 : values.get(`SKB_DROP_REASON_${reason}`);
    if (value === undefined || value >= listedReasons || (values.size === 0 && sites === undefined)) continue;
    const ranges = sites === undefined || kernel.stext === undefined ? [everywhere] : sites.flatMap((site) => [...kernel.codeOf(site)]);
    for (const { start, bytes } of ranges.slice(0, maxRanges - count)) {
      const entry = at.range + count++ * rangeBytes;
      view.setUint32(entry, value, true);
      view.setUint32(entry + 4, start, true);
      view.setUint32(entry + 8, bytes, true);
      view.setUint32(entry + 12, groupsOnly ? groups : anyType, true);
      view.setUint8(at.listed + value, 1);
    }
  }
  view.setUint32(at.ranges, count, true);
  return {
    data: [{ section: '.data.drops', bytes: new Uint8Array(view.buffer) }],
    degraded: kernel.stext === undefined ? [hiddenSymbols] : [],
  };
}
