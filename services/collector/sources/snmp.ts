import type { LayoutNumbers } from './field-table.ts';
import { pairedValues } from './paired-lines.ts';
import type { NetnsFileSource } from './source.ts';
import { textSource } from './text-source.ts';

/** /proc/net/snmp: IPv4, ICMP, TCP, UDP (snmp_seq_show in net/ipv4/proc.c). */
export function snmpSource(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource {
  return textSource('snmp', 'snmp', pairedValues, numbers, bits);
}
