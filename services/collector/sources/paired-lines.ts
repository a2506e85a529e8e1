import type { FoundValue } from './text-parser.ts';

/**
 * Values of a text of paired lines: `Tcp: ActiveOpens ...`, then `Tcp: 3 ...` (snmp, netstat). A pair whose lines do not
 * fit together ends the text: what comes behind cannot be told.
 */
export function pairedValues(text: string): FoundValue[] {
  const found: FoundValue[] = [];
  let at = 0;
  while (at < text.length) {
    const names = text.indexOf('\n', at);
    const values = names < 0 ? -1 : text.indexOf('\n', names + 1);
    if (values < 0) break;
    const [protocol = '', ...fields] = text.slice(at, names).trimEnd().split(/ +/);
    const numbers = [...text.slice(names + 1, values).matchAll(/\S+/g)];
    if (!protocol.endsWith(':') || numbers[0]?.[0] !== protocol || numbers.length !== fields.length + 1) break;
    for (const [i, field] of fields.entries())
      found.push({ field: `${protocol.slice(0, -1)}.${field}`, at: names + 1 + numbers[i + 1].index });
    at = values + 1;
  }
  return found;
}
