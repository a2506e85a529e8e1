/** Unit of a metric, as it ends the name in Prometheus. */
export type MetricUnit = 'bytes' | 'pages' | 'seconds' | 'ratio';

/** What the catalogue says of one field of a source. */
export interface FieldRow {
  /** What is counted, in one sentence. */
  readonly help: string;
  /** Left out: a counter. */
  readonly type?: 'gauge';
  readonly unit?: MetricUnit;
  /** The exported value is the kernel's times this; left out: 1. */
  readonly scale?: number;
  /** Where the field is defined, for the help: "RFC 4022 tcpRetransSegs". */
  readonly definition?: string;
}

/** Fields of one protocol or file, by the name that the kernel prints. */
export type FieldRows = Readonly<Record<string, FieldRow>>;

/** Fields whose names hold a number: ICMP types. */
export interface FieldPattern {
  readonly field: RegExp;
  /** `{1}`, `{2}` stand for what the groups of the pattern matched. */
  readonly row: FieldRow;
}

/** Rows of plain counters. */
export function counters(rows: Readonly<Record<string, string>>): FieldRows {
  return Object.fromEntries(Object.entries(rows).map(([field, help]) => [field, { help }]));
}

/** Rows of counters that are bytes. */
export function byteCounters(rows: Readonly<Record<string, string>>): FieldRows {
  return Object.fromEntries(Object.entries(rows).map(([field, help]) => [field, { help, unit: 'bytes' }]));
}

/** Rows of gauges. */
export function gauges(rows: Readonly<Record<string, string>>, unit?: MetricUnit): FieldRows {
  return Object.fromEntries(
    Object.entries(rows).map(([field, help]) => [field, { help, type: 'gauge' as const, ...(unit ? { unit } : {}) }]),
  );
}

/** Rows whose fields stand under a protocol, for a source that prints one: Tcp.RetransSegs. */
export function under(protocol: string, rows: FieldRows): FieldRows {
  return Object.fromEntries(Object.entries(rows).map(([field, row]) => [`${protocol}${field}`, row]));
}

/** Says where the fields are defined: the MIB object is the prefix with the field's name. */
export function defined(document: string, prefix: string, rows: FieldRows, notDefined: readonly string[] = []): FieldRows {
  return Object.fromEntries(
    Object.entries(rows).map(([field, row]) =>
      notDefined.includes(field) ? [field, row] : [field, { ...row, definition: `${document} ${prefix}${field}` }],
    ),
  );
}
