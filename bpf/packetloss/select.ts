import type { Degradation, KernelFacts, Selection } from '../probe.ts';
import { selectionOf } from '../selection.ts';

const withoutDrops: Degradation = {
  what: 'dropped packets',
  reason: 'the kernel has no tracepoint kfree_skb with a packet and a place',
  remedy: 'use a kernel with CONFIG_DEBUG_INFO_BTF, CONFIG_TRACEPOINTS and CONFIG_NET',
};

const withoutReasons: Degradation = {
  what: 'reasons of drops',
  reason: 'the tracepoint kfree_skb of this kernel tells no reason: only the place in the code tells drops apart',
  remedy: 'use a kernel of 5.17 or later',
};

const withoutSockets: Degradation = {
  what: 'sockets that refuse packets, and the namespace of UDP packets for which a socket had no room',
  reason: 'the tracepoint kfree_skb of this kernel does not tell the receiving socket',
  remedy: 'use a kernel of 6.11 or later',
};

const sees = new Map(['packetloss_rx_sk', 'packetloss_reason', 'packetloss_site'].map((program) => [program, withoutDrops.what]));

/** Chooses packetloss's programs by the prototype of the kernel's tracepoint. */
export function selectPacketloss(kernel: KernelFacts): Selection {
  const attach: string[] = [];
  const degraded: Degradation[] = [];
  const args = kernel.tracepointArgs('kfree_skb') ?? 0;
  if (args >= 4) attach.push('packetloss_rx_sk');
  else if (args === 3) attach.push('packetloss_reason');
  else if (args === 2) attach.push('packetloss_site');
  if (args < 2) degraded.push(withoutDrops);
  else if (args < 4) degraded.push(withoutSockets);
  if (args === 2) degraded.push(withoutReasons);
  return selectionOf(attach, { degraded, sees });
}
