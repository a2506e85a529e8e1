import { cgroupRows } from './metrics/cgroup.ts';
import { netdevRows, softnetRows } from './metrics/devices.ts';
import { anomaliesRows, anomalyRows } from './metrics/findings.ts';
import { ipExtRows, snmpPatterns, snmpRows } from './metrics/ipv4.ts';
import { snmp6Patterns, snmp6Rows } from './metrics/ipv6.ts';
import { metricName } from './metrics/metric-name.ts';
import { mptcpExtRows } from './metrics/mptcp-ext.ts';
import type { FieldPattern, FieldRow, FieldRows, MetricUnit } from './metrics/row.ts';
import { sockdiagRows, sockstat6Rows, sockstatRows } from './metrics/sockets.ts';
import { tcpExtRows } from './metrics/tcp-ext.ts';

/** How a field of a source is shown in Prometheus. */
export interface MetricDescription {
  /** jitterscope_snmp_tcp_retrans_segs_total */
  readonly name: string;
  /** unknown: a field that the catalogue does not know is shown as the kernel prints it, and may be either. */
  readonly type: 'counter' | 'gauge' | 'unknown';
  readonly unit?: MetricUnit;
  /** The exported value is the sample's times this: 1e-6 where the kernel counts microseconds and the unit is seconds. */
  readonly scale: number;
  /** One line, with the name that the kernel or the MIB gives the field. */
  readonly help: string;
  /** Whether the catalogue knows the field. */
  readonly known: boolean;
}

interface SourceRows {
  /** Where the values come from, for the help. */
  readonly file: string;
  readonly rows: FieldRows;
  readonly patterns?: readonly FieldPattern[];
}

/** The sources of counters that are no probes. */
const sources: Readonly<Record<string, SourceRows>> = {
  snmp: { file: '/proc/net/snmp', rows: snmpRows, patterns: snmpPatterns },
  snmp6: { file: '/proc/net/snmp6', rows: snmp6Rows, patterns: snmp6Patterns },
  netstat: { file: '/proc/net/netstat', rows: { ...tcpExtRows, ...ipExtRows, ...mptcpExtRows } },
  sockstat: { file: '/proc/net/sockstat', rows: sockstatRows },
  sockstat6: { file: '/proc/net/sockstat6', rows: sockstat6Rows },
  netdev: { file: '/proc/net/dev', rows: netdevRows },
  softnet: { file: '/proc/net/softnet_stat', rows: softnetRows },
  cgroup: { file: 'cgroup', rows: cgroupRows },
  sockdiag: { file: 'sock_diag', rows: sockdiagRows },
};

/** What the aggregator itself tells as series. No node may call a source so. */
const ownSources: Readonly<Record<string, SourceRows>> = {
  anomaly: { file: 'rules', rows: anomalyRows },
  anomalies: { file: 'rules', rows: anomaliesRows },
};

/** Descriptions by source and field, made once each. Bounded: beyond, they are made anew. */
const described = new Map<string, MetricDescription>();
const maxDescribed = 16_384;

/**
 * How a field is shown. A field that the catalogue does not know, of a newer kernel, keeps its value and gets the type
 * `unknown`, a name made as all others are (without `_total`), and a help that says so.
 * @param source snmp, netstat, cgroup: name of a SampleLayout's source
 * @param field as in SampleLayout.fields: Tcp.RetransSegs
 */
export function describeMetric(source: string, field: string): MetricDescription {
  const key = `${source} ${field}`;
  const before = described.get(key);
  if (before !== undefined) return before;
  const description = describe(source, field);
  if (described.size >= maxDescribed) described.clear();
  described.set(key, description);
  return description;
}

/** Whether the catalogue knows a source. */
export function isKnownSource(source: string): boolean {
  return Object.hasOwn(sources, source);
}

/** Whether a source is the aggregator's own: it comes from no node. */
export function isOwnSource(source: string): boolean {
  return Object.hasOwn(ownSources, source);
}

/** All fields that the catalogue knows by name, for the generated reference; fields whose names hold a number are left out. */
export function* knownFields(): Generator<{ readonly source: string; readonly field: string }> {
  for (const [source, { rows }] of Object.entries(sources)) for (const field of Object.keys(rows)) yield { source, field };
}

/** All fields of the aggregator's own sources. */
export function* ownFields(): Generator<{ readonly source: string; readonly field: string }> {
  for (const [source, { rows }] of Object.entries(ownSources)) for (const field of Object.keys(rows)) yield { source, field };
}

function describe(source: string, field: string): MetricDescription {
  const entry = Object.hasOwn(sources, source) ? sources[source] : Object.hasOwn(ownSources, source) ? ownSources[source] : undefined;
  const row = entry === undefined ? undefined : findRow(entry, field);
  const origin = `${entry?.file ?? source} ${field}`;
  if (row === undefined) {
    const help = `${origin}: a field that this version does not know, as the kernel prints it.`;
    return { name: unknownName(source, field), type: 'unknown', scale: 1, help, known: false };
  }
  const { unit, scale = 1, definition } = row;
  const type = row.type ?? 'counter';
  const help = `${row.help} (${definition === undefined ? '' : `${definition}; `}${origin})`;
  return { name: metricName(source, field, type, unit), type, ...(unit ? { unit } : {}), scale, help, known: true };
}

function findRow({ rows, patterns = [] }: SourceRows, field: string): FieldRow | undefined {
  if (Object.hasOwn(rows, field)) return rows[field];
  for (const pattern of patterns) {
    const match = pattern.field.exec(field);
    if (match !== null)
      return { ...pattern.row, help: pattern.row.help.replace(/\{(\d)\}/g, (_, group: string) => match[Number(group)] ?? '') };
  }
  return undefined;
}

/** Characters that no name may hold are lost in it: what they were is told by their codes, so that no two names are the same. */
function unknownName(source: string, field: string): string {
  const name = metricName(source, field, 'unknown');
  const lost = [...field].filter((character) => !/[A-Za-z0-9._]/.test(character));
  return lost.length === 0 ? name : `${name}_x${lost.map((character) => character.codePointAt(0)?.toString(16)).join('_')}`;
}
