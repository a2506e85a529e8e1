/** What the collector counts since its start. `items = sent + spooled + skippedItems` over the life of a session. */
export interface CollectorMetrics {
  /** Items numbered. */
  items: number;
  batches: number;
  /** Items given up, because the spool was full, damaged or refused them. */
  skippedItems: number;
  /** Bytes sent and not acked. */
  inFlightBytes: number;
  /** Looks at the node's namespaces. */
  identityScans: number;
  /** Seconds before this start in which the kernel lived and nobody listened; 0 when unknown. */
  unobservedSeconds: number;
}

export function emptyCollectorMetrics(): CollectorMetrics {
  return { items: 0, batches: 0, skippedItems: 0, inFlightBytes: 0, identityScans: 0, unobservedSeconds: 0 };
}
