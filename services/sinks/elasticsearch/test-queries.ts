import { readFileSync } from 'node:fs';
import type { TestLine } from './test-lines.ts';

/** A query of docs/elasticsearch.md. */
export interface DocumentedQuery {
  readonly text: string;
  /** Body of `_search`. */
  readonly body: { readonly query?: object; readonly aggs?: Readonly<Record<string, unknown>> };
}

/** All queries of docs/elasticsearch.md, as bodies of `_search`. */
export function documentedQueries(): DocumentedQuery[] {
  const document = readFileSync(new URL('../../../docs/elasticsearch.md', import.meta.url), 'utf8');
  return [...document.matchAll(/```(kql|console)\n([\s\S]*?)```/g)].map(([, language, block]) => {
    const text = block.trim();
    if (language === 'kql') return { text, body: { query: { query_string: { query: luceneOf(text) } } } };
    const [first, ...rest] = text.split('\n');
    if (first !== 'GET jitterscope-events-*/_search') throw new Error(`the documented query begins with ${first}`);
    return { text, body: JSON.parse(rest.join('\n')) as DocumentedQuery['body'] };
  });
}

/** Fields of the vocabulary that a query names. */
export function fieldsNamedIn(text: string): string[] {
  return [...new Set(text.match(/@timestamp|\b[a-z]+(?:\.[a-z_]+)+\b/g) ?? [])];
}

/** The same in Lucene's query language: operators are words in capitals, and nothing stands behind a colon. */
function luceneOf(kql: string): string {
  return kql
    .replace(/ (and|or|not) /g, (word) => word.toUpperCase())
    .replace(/ (AND|OR) not /g, ' $1 NOT ')
    .replace(/: /g, ':')
    .replace(/ (>=|<=|>|<) /g, ':$1');
}

/** Documents that every documented query finds some of, and none all: 40 resets, 40 retransmits, 20 connects, 2 findings of 5 transitions. */
export function queriedLines(nowS: number): TestLine[] {
  const base = (n: number) => ({
    // Over more than a minute, whatever second it is now.
    '@timestamp': `${new Date((nowS - 60 - 2 * n) * 1000).toISOString().slice(0, 19)}.${String(n).padStart(9, '0')}Z`,
    host: { name: `node${n % 2}` },
    kubernetes: { namespace: n % 4 === 0 ? 'shop' : 'other', pod: { name: `web-${n % 3}`, uid: `uid-${n % 3}` } },
    source: { ip: `10.244.1.${n % 10}`, port: 81, kubernetes: { pod: { name: `web-${n % 3}` } } },
    destination: { ip: `10.244.2.${n % 5}`, port: 40_512 },
  });
  const kernelEvent = (n: number, type: string, action: string, reason: string, more: object = {}) => ({
    ...base(n),
    message: `web-${n % 3} ${type === 'tcpretrans' ? 'retransmitted' : 'saw'} something`,
    log: { level: n % 2 === 0 ? 'info' : 'warning' },
    event: { kind: 'event', action, reason, severity: 1 + (n % 2) },
    jitterscope: { type, probe: type, ...more },
  });
  const finding = (n: number, rule: string, level: string, action: string, id: string) => ({
    ...base(n),
    message: `${rule} of web-${n % 3}`,
    log: { level },
    event: { kind: 'alert', action: `anomaly-${action}`, severity: level === 'critical' ? 3 : 2 },
    rule: { id: rule },
    jitterscope: { type: rule, values: { overflows_per_second: 4 + n }, by: { fill: '8080' }, anomaly: { id, transition: n } },
  });
  const documents = [
    ...Array.from({ length: 40 }, (_, n) => kernelEvent(n, 'tcpreset', 'reset-sent', n % 5 === 0 ? 'NOT_SPECIFIED' : 'NO_SOCKET')),
    ...Array.from({ length: 40 }, (_, n) => kernelEvent(n, 'tcpretrans', 'retransmit', 'RTO', { values: { srtt_us: n * 1_000 } })),
    ...Array.from({ length: 20 }, (_, n) =>
      kernelEvent(n, 'tcplife', 'connect-failed', ['ECONNREFUSED', 'ETIMEDOUT', 'ENETUNREACH'][n % 3]),
    ),
    finding(1, 'accept-queue-saturation', 'warning', 'opened', '41d8c07e93ab5f26'),
    finding(2, 'accept-queue-saturation', 'critical', 'updated', '41d8c07e93ab5f26'),
    finding(3, 'accept-queue-saturation', 'critical', 'resolved', '41d8c07e93ab5f26'),
    finding(1, 'node-silent', 'critical', 'opened', '5e00c07e93ab5f26'),
    finding(2, 'node-silent', 'critical', 'resolved', '5e00c07e93ab5f26'),
  ];
  return documents.map((document) => ({ line: JSON.stringify(document), timeSeconds: nowS }));
}
