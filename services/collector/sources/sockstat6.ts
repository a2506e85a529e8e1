import type { LayoutNumbers } from './field-table.ts';
import { sockstatValues } from './sockstat.ts';
import type { NetnsFileSource } from './source.ts';
import { textSource } from './text-source.ts';

/** /proc/net/sockstat6: sockets over IPv6 in use (sockstat6_seq_show in net/ipv6/proc.c). */
export function sockstat6Source(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource {
  return textSource('sockstat6', 'sockstat6', sockstatValues, numbers, bits);
}
