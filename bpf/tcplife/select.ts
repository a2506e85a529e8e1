import type { Degradation, KernelFacts, Selection } from '../probe.ts';
import { selectionOf } from '../selection.ts';

const withoutStates: Degradation = {
  what: 'connects and closed connections',
  reason: 'the kernel has no tracepoint inet_sock_set_state, or no storage in sockets',
  remedy: 'use a kernel with CONFIG_BPF_SYSCALL and CONFIG_INET of 5.12 or later',
};

const sees = new Map([['tcplife_state', withoutStates.what]]);

/** Chooses tcplife's program: it is there, or the probe is not. */
export function selectTcplife(kernel: KernelFacts): Selection {
  const possible = (kernel.tracepointArgs('inet_sock_set_state') ?? 0) >= 3 && kernel.hasMember('sock', 'sk_bpf_storage');
  const attach = possible ? ['tcplife_state'] : [];
  return selectionOf(attach, { degraded: possible ? [] : [withoutStates], sees });
}
