/** Why events are missing from a partition's output, as a sink found it. */
export const lossReasons = ['retention', 'damaged', 'undecodable', 'unexplained'] as const;
export type LossReason = (typeof lossReasons)[number];

/**
 * What became of the events of one partition since the group's first commit. Kept with the committed offset, so it
 * is exact over any number of kills: `in = delivered + rejected + repeat`, `expected = in - repeat + lost`.
 */
export interface Dispositions {
  /** Events read from the topic. */
  in: number;
  /** Events durable in the store. */
  delivered: number;
  /** Events the store will never take, now in the DLQ. */
  rejected: number;
  /** Events read before: their origin is not behind the last one. */
  repeat: number;
  /** Events missing between two running numbers, by reason: deleted before they were read (retention), in a message whose checksum (damaged) or content (undecodable) is broken, or none of these (unexplained). */
  lost: Record<LossReason, number>;
  /** Messages that could not be decoded, now in the DLQ. Their events are in `lost`. */
  undecodableMessages: number;
}

/** What one sink did in this process. Plain numbers; core/metrics.ts binds them to Prometheus. */
export interface DeliveryCounters {
  /** Requests to the store. */
  requests: number;
  /** Events in requests, resent ones included. */
  sentEvents: number;
  /** Bytes of lines in requests, resent ones included. */
  sentBytes: number;
  /** Time spent in requests, seconds. */
  requestSeconds: number;
  /** Failed requests, and requests with items to send again, by error code. */
  failures: Record<string, number>;
  /** Events sent again. */
  retriedEvents: number;
  /** Events sent without an answer. */
  unknownEvents: number;
  /** Of those, found in the store and not sent again. */
  foundEvents: number;
  /** Of those, sent again without knowing whether the store holds them. */
  possiblyDuplicatedEvents: number;
  /** Events that the store already held when this process started, past the committed offset. */
  resumedEvents: number;
}

/** Whether a sink delivers: `retrying` (the store may recover), `paused` (an operator has to mend something). */
export type SinkStatus = 'starting' | 'delivering' | 'retrying' | 'paused' | 'closed';

/** Everything that is known about one sink. */
export interface SinkCounters {
  readonly sink: string;
  readonly status: SinkStatus;
  /** Code and message of what holds it back. */
  readonly problem?: string;
  readonly delivery: Readonly<DeliveryCounters>;
  readonly partitions: ReadonlyMap<number, Readonly<Dispositions>>;
  /** Counters of the store itself, by name. */
  readonly store: Readonly<Record<string, number>>;
}

export function newDispositions(): Dispositions {
  return {
    in: 0,
    delivered: 0,
    rejected: 0,
    repeat: 0,
    lost: { retention: 0, damaged: 0, undecodable: 0, unexplained: 0 },
    undecodableMessages: 0,
  };
}

export function newDeliveryCounters(): DeliveryCounters {
  return {
    requests: 0,
    sentEvents: 0,
    sentBytes: 0,
    requestSeconds: 0,
    failures: {},
    retriedEvents: 0,
    unknownEvents: 0,
    foundEvents: 0,
    possiblyDuplicatedEvents: 0,
    resumedEvents: 0,
  };
}

/** One more failure of a code. Codes come from error tables, so they are few. */
export function countFailure(counters: DeliveryCounters, code: string): void {
  counters.failures[code] = (counters.failures[code] ?? 0) + 1;
}
