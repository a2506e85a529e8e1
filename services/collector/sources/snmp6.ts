import type { LayoutNumbers } from './field-table.ts';
import { keyValues } from './key-lines.ts';
import type { NetnsFileSource } from './source.ts';
import { textSource } from './text-source.ts';

/** /proc/net/snmp6: IPv6, ICMPv6, UDP over IPv6 (snmp6_seq_show in net/ipv6/proc.c). */
export function snmp6Source(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource {
  return textSource('snmp6', 'snmp6', (text) => keyValues(text), numbers, bits);
}
