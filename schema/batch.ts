/** Kinds of an event, as the columns of an EventBatch number them. */
export const eventKinds = ['', 'event', 'alert'] as const;
/** Severities: the index is `event.severity`, the word is `log.level` and Loki's label. */
export const severities = ['', 'info', 'warning', 'critical'] as const;

/**
 * A decoded EventBatch (proto/bus.proto) behind typed arrays: sinks route by column and never parse a line.
 * Row i is valid for 0 <= i < count. Several batches of one partition can be joined to one view (event-batch-join.ts).
 */
export interface EventBatchView {
  readonly baseRawOffset: number;
  /** Running number of row 0 in the partition's output. */
  readonly firstEvent: number;
  readonly count: number;
  /** UTC day, since 1970-01-01, at which the gateway appended what the event comes from; 0 in a batch older than the field. */
  appendedDay(row: number): number;
  /** Running number of the event in the partition's output: `firstEvent + row`, except behind a gap of a joined view. */
  eventNumber(row: number): number;
  /** @timestamp as Unix seconds and the nanoseconds within the second. */
  timeSeconds(row: number): number;
  timeNanos(row: number): number;
  rawOffset(row: number): number;
  ordinal(row: number): number;
  /** `event.id`: prefix, `-` and number. */
  id(row: number): string;
  idPrefix(row: number): string;
  /** A bigint from 2^53 on. */
  idNumber(row: number): number | bigint;
  kind(row: number): (typeof eventKinds)[number];
  type(row: number): string;
  severity(row: number): (typeof severities)[number];
  namespace(row: number): string;
  pod(row: number): string;
  /** kubernetes.pod.uid; empty where there is no Pod, or in a batch older than the column. */
  podUid(row: number): string;
  node(row: number): string;
  /** Bytes of the line with its newline. */
  lineLength(row: number): number;
  /** The NDJSON line with its newline: a view, not a copy. */
  line(row: number): Uint8Array;
  /** Rows from..to (exclusive) as NDJSON, in order: views, not copies; more than one only for a joined view. */
  blocks(from: number, to: number): readonly Uint8Array[];
}
