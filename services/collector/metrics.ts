/** What reading counters cost and met, since the collector's start. */
export interface SamplingMetrics {
  /** Cycles ended: each reads all sources once. */
  cycles: number;
  /** Messages with samples. */
  messages: number;
  /** Interval of cycles now. */
  intervalSeconds: number;
  /** Time that the work of the last cycle took. */
  cycleSeconds: number;
  /** The longest time without a pause. */
  longestSliceSeconds: number;
  /** Namespaces that are held. */
  netns: number;
  /** Namespaces, devices, ports, CPUs and containers that samples are told of. */
  targets: number;
  /** Namespaces that went before they could be read; a lower bound. */
  unseenNetns: number;
  /** Files and dumps that could not be read. */
  failures: number;
  /** Listening ports beyond the limit of a namespace, over all reads. */
  omittedPorts: number;
  resets: number;
  wraps: number;
  repairs: number;
}

/** What the collector counts since its start. `items = sent + spooled + skippedItems` over the life of a session. */
export interface CollectorMetrics {
  /** Items numbered. */
  items: number;
  batches: number;
  /** Items given up, because the spool was full, damaged or refused them. */
  skippedItems: number;
  /** The same by reason: spool_full, spool_damaged, disk_full. */
  readonly skipped: Record<string, number>;
  /** Bytes sent and not acked. */
  inFlightBytes: number;
  /** Looks at the node's namespaces. */
  identityScans: number;
  /** Questions to connection tracking. */
  lookups: number;
  /** Records whose connection was not looked up, because there were too many. */
  lookupsSkipped: number;
  /** Seconds before this start in which the kernel lived and nobody listened; 0 when unknown. */
  unobservedSeconds: number;
  readonly sampling: SamplingMetrics;
}

export function emptyCollectorMetrics(): CollectorMetrics {
  return {
    items: 0,
    batches: 0,
    skippedItems: 0,
    skipped: {},
    inFlightBytes: 0,
    identityScans: 0,
    lookups: 0,
    lookupsSkipped: 0,
    unobservedSeconds: 0,
    sampling: {
      cycles: 0,
      messages: 0,
      intervalSeconds: 0,
      cycleSeconds: 0,
      longestSliceSeconds: 0,
      netns: 0,
      targets: 0,
      unseenNetns: 0,
      failures: 0,
      omittedPorts: 0,
      resets: 0,
      wraps: 0,
      repairs: 0,
    },
  };
}

/** Items are given up. */
export function countSkipped(metrics: CollectorMetrics, reason: string, items: number): void {
  metrics.skippedItems += items;
  metrics.skipped[reason] = (metrics.skipped[reason] ?? 0) + items;
}
