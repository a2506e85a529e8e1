import type { Degradation, KernelFacts } from './probe.ts';

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

/** Programs of include/owner.h that suit the kernel. */
export interface OwnerSelection {
  readonly attach: readonly string[];
  readonly iterators: readonly string[];
  readonly degraded: readonly Degradation[];
  readonly whenNotAttached: ReadonlyMap<string, Degradation>;
}

/** Chooses the programs that note whose a socket is. They are attached first: the owner must be noted before the event. */
export function selectOwner(kernel: KernelFacts): OwnerSelection {
  const possible = (kernel.tracepointArgs('inet_sock_set_state') ?? 0) >= 3 && kernel.hasMember('sock', 'sk_bpf_storage');
  return possible
    ? { attach: ['owner_note'], iterators: ['owner_seed'], degraded: [], whenNotAttached: new Map([['owner_note', withoutOwner]]) }
    : { attach: [], iterators: [], degraded: [withoutOwner], whenNotAttached: new Map() };
}

/** What is missing where namespaces have no cookie. */
export function netnsDegradations(kernel: KernelFacts): Degradation[] {
  return kernel.hasMember('net', 'net_cookie') ? [] : [byInode];
}
