import type { Degradation, KernelFacts, Selection } from '../probe.ts';
import { selectionOf } from '../selection.ts';

const withoutArrivals: Degradation = {
  what: 'accept queues before they are full, and how many connections came',
  reason: 'the kernel has no tracepoint sk_data_ready: a queue is seen only once a SYN-ACK is sent again because of it',
  remedy: 'use a kernel of 6.3 or later',
};

const withoutQueues: Degradation = {
  what: 'accept queues',
  reason: 'the kernel has neither the tracepoint sk_data_ready nor tcp_retransmit_synack, or no storage in sockets',
  remedy: 'use a kernel of 6.3 or later, with CONFIG_INET',
};

const noFunction = 'this kernel lets no BPF program look at inet_csk_accept()';
const otherKernel = 'use a kernel that loads BPF programs of type fexit (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS; arm64: 6.4 or later)';

const bySystemCall: Degradation = {
  what: 'connections that are accepted by io_uring or by 32-bit processes',
  reason: `${noFunction}, so accept() is seen as a system call that returns: each one of the node takes about 0.1 µs longer`,
  remedy: `${otherKernel}, or set collector.hookSystemCalls: false to measure no waits`,
};

const withoutWaits: Degradation = {
  what: 'how long each connection waits for accept(); that of the oldest in a queue is seen',
  reason: `${noFunction}, and probes may not look at every system call`,
  remedy: `${otherKernel}, or set collector.hookSystemCalls: true: each system call of the node takes about 0.1 µs longer then`,
};

const waits = 'how long each connection waits for accept()';
const sees = new Map([
  ['tcpaccept_queued', withoutQueues.what],
  ['tcpaccept_syn_ack', withoutQueues.what],
  ['tcpaccept_accepted', waits],
  ['tcpaccept_accepted_4', waits],
  ['tcpaccept_sys_exit', waits],
]);

/** Chooses tcpaccept's programs by tracepoints, and by whether a function can be looked at. */
export function selectTcpaccept(kernel: KernelFacts): Selection {
  const attach: string[] = [];
  const degraded: Degradation[] = [];
  const storage = kernel.hasMember('sock', 'sk_bpf_storage');

  if (storage && (kernel.tracepointArgs('sk_data_ready') ?? 0) >= 1) {
    attach.push('tcpaccept_queued');
  } else if (storage && (kernel.tracepointArgs('tcp_retransmit_synack') ?? 0) >= 2) {
    attach.push('tcpaccept_syn_ack');
    degraded.push(withoutArrivals);
  } else {
    degraded.push(withoutQueues);
  }
  if (kernel.loads?.('accept-fexit') === true) {
    attach.push(kernel.hasMember('proto_accept_arg', 'flags') ? 'tcpaccept_accepted' : 'tcpaccept_accepted_4');
  } else if (kernel.hookSystemCalls === true && (kernel.tracepointArgs('sys_exit') ?? 0) >= 2) {
    attach.push('tcpaccept_sys_exit');
    degraded.push(bySystemCall);
  } else {
    degraded.push(withoutWaits);
  }
  return selectionOf(attach, { degraded, sees });
}
