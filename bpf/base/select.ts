import type { Degradation, KernelFacts, Selection } from '../probe.ts';

const withoutOwner: Degradation = {
  what: 'processes that own the sockets',
  reason: 'the kernel has no tracepoint inet_sock_set_state, or no storage in sockets',
  remedy: 'use a kernel with CONFIG_BPF_SYSCALL of 5.12 or later',
};

const byInode: Degradation = {
  what: 'cookies of network namespaces',
  reason: 'struct net has no net_cookie: namespaces are told by inode, which the kernel gives to the next namespace at once',
  remedy: 'use a kernel of 5.12 or later',
};

/** Chooses the programs of bpf/base, which note whose a socket is. What is missing here is missing in every probe. */
export function selectBase(kernel: KernelFacts): Selection {
  const degraded = kernel.hasMember('net', 'net_cookie') ? [] : [byInode];
  if ((kernel.tracepointArgs('inet_sock_set_state') ?? 0) < 3 || !kernel.hasMember('sock', 'sk_bpf_storage'))
    return { programs: [], attach: [], iterators: [], degraded: [withoutOwner, ...degraded], sees: new Map(), whenNotAttached: new Map() };
  return {
    programs: ['owner_note', 'owner_seed'],
    attach: ['owner_note'],
    iterators: ['owner_seed'],
    degraded,
    sees: new Map([
      ['owner_note', withoutOwner.what],
      ['owner_seed', 'processes that own the sockets that were there before'],
    ]),
    whenNotAttached: new Map(),
  };
}
