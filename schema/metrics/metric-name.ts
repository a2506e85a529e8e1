import type { MetricUnit } from './row.ts';

/** Words that capitals do not part as a reader would. */
const words: readonly (readonly [RegExp, string])[] = [
  [/^MPT[Cc][Pp]/, 'Mptcp'],
  [/^TCPMTUP/, 'TcpMtup'],
  [/^TCP(?=[A-Z])/, 'Tcp'],
  [/MLDv2/, 'Mldv2'],
  [/HMac/, 'Hmac'],
  [/SYNACKRX/, 'SynackRx'],
  [/SYN(RX|TX)/, 'Syn$1_'],
  [/ACKRX/, 'AckRx'],
  // Not a unit of time (memory.stat: sec_pagetables).
  [/(^|_)sec_/, '$1secondary_'],
  // The plural of an acronym: ACKs, RTOs, OKs.
  [/([A-Z]{2,})s(?![a-z])/, '$1S_'],
];

/** Units at the end of kernel fields, and what Prometheus calls them. */
const unitWords: Readonly<Record<string, MetricUnit>> = { octets: 'bytes', usec: 'seconds' };

/** TCPACKSkippedPAWS → tcp_ack_skipped_paws. */
export function snakeCase(name: string): string {
  let text = name;
  for (const [pattern, word] of words) text = text.replace(pattern, word);
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .replace(/__+/g, '_')
    .toLowerCase();
}

/**
 * Name in Prometheus: jitterscope_<source>_<proto>_<snake name>[_<unit>][_total]. A unit that the field's own name ends
 * with (octets, usec) gives way to the unit of the metric.
 */
export function metricName(source: string, field: string, type: 'counter' | 'gauge' | 'unknown', unit?: MetricUnit): string {
  const parts = field.split('.').map(snakeCase).filter(Boolean).join('_').split('_');
  const last = parts.at(-1) ?? '';
  if (unit !== undefined && unitWords[last] === unit) parts.pop();
  if (unit !== undefined && parts.at(-1) !== unit) parts.push(unit);
  if (type === 'counter') parts.push('total');
  return ['jitterscope', snakeCase(source), ...parts].filter(Boolean).join('_');
}
