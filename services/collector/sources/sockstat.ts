import type { LayoutNumbers } from './field-table.ts';
import type { NetnsFileSource } from './source.ts';
import type { FoundValue } from './text-parser.ts';
import { textSource } from './text-source.ts';

/** /proc/net/sockstat: sockets in use and their memory (sockstat_seq_show in net/ipv4/proc.c). */
export function sockstatSource(numbers: LayoutNumbers, bits: 32 | 64): NetnsFileSource {
  return textSource('sockstat', 'sockstat', sockstatValues, numbers, bits);
}

/** Values of lines as `TCP: inuse 1 orphan 0`. */
export function sockstatValues(text: string): FoundValue[] {
  const found: FoundValue[] = [];
  for (const line of text.matchAll(/^(\w+):(.*)$/gm)) {
    const [, protocol = '', rest = ''] = line;
    for (const pair of rest.matchAll(/([A-Za-z]\S*) (-?\d+)/g))
      found.push({
        field: `${protocol}.${pair[1]}`,
        at: line.index + protocol.length + 1 + pair.index + (pair[1]?.length ?? 0) + 1,
      });
  }
  return found;
}
