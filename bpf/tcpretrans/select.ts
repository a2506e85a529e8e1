import type { Degradation, KernelFacts, Selection } from '../probe.ts';
import { selectionOf } from '../selection.ts';

const remedy = 'use a kernel with CONFIG_DEBUG_INFO_BTF, CONFIG_TRACEPOINTS and CONFIG_INET';

const withoutSegments: Degradation = {
  what: 'retransmitted segments and SYNs',
  reason: 'the kernel has no tracepoint tcp_retransmit_skb with a socket and a packet',
  remedy,
};

const withoutErrors: Degradation = {
  what: 'retransmits that this host itself did not send (a firewall, a full queue)',
  reason: 'the tracepoint tcp_retransmit_skb of this kernel tells no error, and is silent then; RetransSegs of /proc/net/snmp counts them',
  remedy: 'use a kernel whose tracepoint has the error, such as 6.18',
};

const withoutSynAcks: Degradation = {
  what: 'retransmitted SYN-ACKs',
  reason: 'the kernel has no tracepoint tcp_retransmit_synack',
  remedy,
};

const sees = new Map([
  ['tcpretrans_segment', withoutSegments.what],
  ['tcpretrans_segment_no_error', withoutSegments.what],
  ['tcpretrans_syn_ack', withoutSynAcks.what],
]);

/** Chooses tcpretrans's programs by the prototypes of the kernel's tracepoints. */
export function selectTcpretrans(kernel: KernelFacts): Selection {
  const attach: string[] = [];
  const degraded: Degradation[] = [];

  const segmentArgs = kernel.tracepointArgs('tcp_retransmit_skb') ?? 0;
  if (segmentArgs >= 3) {
    attach.push('tcpretrans_segment');
  } else if (segmentArgs === 2) {
    attach.push('tcpretrans_segment_no_error');
    degraded.push(withoutErrors);
  } else {
    degraded.push(withoutSegments);
  }
  if ((kernel.tracepointArgs('tcp_retransmit_synack') ?? 0) >= 2) attach.push('tcpretrans_syn_ack');
  else degraded.push(withoutSynAcks);
  return selectionOf(attach, { degraded, sees });
}
