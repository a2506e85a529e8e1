import type { MemoryBudget } from './memory-budget.ts';

/** What the gateway counts since its start. `itemsIn = itemsQueued + repeatedItems` and items of invalid messages. */
export interface GatewayMetrics {
  /** Streams open now. */
  streams: number;
  messagesIn: number;
  bytesIn: number;
  /** Items in record batches that arrived. */
  itemsIn: number;
  /** Items handed to the bus. */
  itemsQueued: number;
  /** Items that came again after they were durable. */
  repeatedItems: number;
  /** Messages that could not be read. */
  invalidMessages: number;
  /** Connections and streams that were refused, by reason: certificate, node, replay, hello. */
  readonly refused: Record<string, number>;
  /** Bytes that wait for durability. */
  readonly queuedBytes: number;
  /** Bytes of all streams that may wait for it. */
  readonly queueCapacityBytes: number;
  /** Appends of streams to the bus that are durable. */
  appends: number;
  /** Time that these waited for it, retries included, seconds. */
  appendSeconds: number;
}

export function emptyGatewayMetrics(budget?: Pick<MemoryBudget, 'queuedBytes' | 'capacityBytes'>): GatewayMetrics {
  return {
    streams: 0,
    messagesIn: 0,
    bytesIn: 0,
    itemsIn: 0,
    itemsQueued: 0,
    repeatedItems: 0,
    invalidMessages: 0,
    refused: {},
    get queuedBytes() {
      return budget?.queuedBytes ?? 0;
    },
    get queueCapacityBytes() {
      return budget?.capacityBytes ?? 0;
    },
    appends: 0,
    appendSeconds: 0,
  };
}

/** A connection or a stream is refused. */
export function countRefused(metrics: GatewayMetrics, reason: 'certificate' | 'node' | 'replay' | 'hello'): void {
  metrics.refused[reason] = (metrics.refused[reason] ?? 0) + 1;
}
