import type { LayoutNumbers } from './field-table.ts';
import { pairedValues } from './paired-lines.ts';
import type { NetnsFileSource } from './source.ts';
import { textSource } from './text-source.ts';

/** /proc/net/netstat: TcpExt, IpExt, MPTcpExt (netstat_seq_show in net/ipv4/proc.c). */
export function netstatSource(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource {
  return textSource('netstat', 'netstat', pairedValues, numbers, bits);
}
