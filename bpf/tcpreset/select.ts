import type { Degradation, KernelFacts, Selection } from '../probe.ts';
import { selectionOf } from '../selection.ts';

/** Each family for itself: one of the two functions may be inlined or renamed by the compiler. */
function withoutSock(family: 'IPv4' | 'IPv6', kernelFunction: string): Degradation {
  return {
    what: `resets that answer ${family} packets for which there is no socket (closed ports, TIME_WAIT)`,
    reason: `before 6.10 the tracepoint tcp_send_reset is silent there, and a kprobe on ${kernelFunction} cannot be attached`,
    remedy:
      'use a kernel of 6.10 or later, or one with CONFIG_KPROBES, with sysfs and tracefs visible; OutRsts of /proc/net/snmp counts these resets in any case',
  };
}

const withoutReason: Degradation = {
  what: 'reasons of sent resets',
  reason: 'the tracepoint tcp_send_reset of this kernel has no reason',
  remedy: 'use a kernel of 6.10 or later',
};

const withoutSent: Degradation = {
  what: 'sent resets',
  reason: 'the kernel has no tracepoint tcp_send_reset with a socket and a packet',
  remedy: 'use a kernel with CONFIG_DEBUG_INFO_BTF, CONFIG_TRACEPOINTS and CONFIG_INET',
};

const withoutReceived: Degradation = {
  what: 'received resets',
  reason: 'the kernel has no tracepoint tcp_receive_reset',
  remedy: withoutSent.remedy,
};

const sees = new Map([
  ['tcpreset_sent', withoutSent.what],
  ['tcpreset_sent_no_reason', withoutSent.what],
  ['tcpreset_received', withoutReceived.what],
]);

/** Chooses tcpreset's programs by the prototypes of the kernel's tracepoints. */
export function selectTcpreset(kernel: KernelFacts): Selection {
  const attach: string[] = [];
  const degraded: Degradation[] = [];
  const whenNotAttached = new Map<string, Degradation>();

  const sentArgs = kernel.tracepointArgs('tcp_send_reset') ?? 0;
  if (sentArgs >= 3) {
    attach.push('tcpreset_sent');
  } else if (sentArgs === 2) {
    attach.push('tcpreset_sent_no_reason', 'tcpreset_sent_v4', 'tcpreset_sent_v6');
    whenNotAttached.set('tcpreset_sent_v4', withoutSock('IPv4', 'tcp_v4_send_reset'));
    whenNotAttached.set('tcpreset_sent_v6', withoutSock('IPv6', 'tcp_v6_send_reset'));
    degraded.push(withoutReason);
  } else {
    degraded.push(withoutSent);
  }
  if ((kernel.tracepointArgs('tcp_receive_reset') ?? 0) >= 1) attach.push('tcpreset_received');
  else degraded.push(withoutReceived);
  return selectionOf(attach, { degraded, sees, whenNotAttached });
}
