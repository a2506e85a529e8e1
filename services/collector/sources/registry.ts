import type { LayoutNumbers } from './field-table.ts';
import { netdevSource } from './netdev.ts';
import { netstatSource } from './netstat.ts';
import { snmpSource } from './snmp.ts';
import { snmp6Source } from './snmp6.ts';
import { sockstatSource } from './sockstat.ts';
import { sockstat6Source } from './sockstat6.ts';
import type { NetnsFileSource } from './source.ts';

/** Sources that read a file of /proc/net in each namespace. */
const netnsFileSources: readonly ((numbers: LayoutNumbers, bits: 32 | 64) => NetnsFileSource)[] = [
  snmpSource,
  snmp6Source,
  netstatSource,
  sockstatSource,
  sockstat6Source,
  netdevSource,
];

/** @param bits width of unsigned long in the kernel: that of most of its counters */
export function openNetnsFileSources(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource[] {
  return netnsFileSources.map((open) => open(numbers, bits));
}
