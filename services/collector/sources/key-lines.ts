import type { FoundValue } from './text-parser.ts';

/** Values of a text with a name and a number on each line (snmp6, cpu.stat, memory.stat). */
export function keyValues(text: string, prefix = ''): FoundValue[] {
  return [...text.matchAll(/^([A-Za-z][\w.]*)[ \t]+(-?\d+)$/gm)].map((match) => ({
    field: `${prefix}${match[1]}`,
    at: match.index + match[0].length - (match[2]?.length ?? 0),
  }));
}
