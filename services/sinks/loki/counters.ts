/** What the sink counts beside deliveries. */
export type LokiCounters = Record<LokiCounter, number>;

const names = [
  /** Requests with events. */
  'pushes',
  /** Bytes of their bodies, as they went over the wire. */
  'wireBytes',
  /** Events sent to a backfill stream. */
  'backfilledEvents',
  /** Events not sent, because Loki would refuse them. */
  'withheldEvents',
  /** Requests that asked what Loki holds, with their repetitions. */
  'lookUps',
] as const;
type LokiCounter = (typeof names)[number];

export function newLokiCounters(): LokiCounters {
  return { pushes: 0, wireBytes: 0, backfilledEvents: 0, withheldEvents: 0, lookUps: 0 };
}
