import type { Gateway } from '../../services/gateway/main.ts';
import { byReason, type MetricSet } from './metric-set.ts';

/** Hop 4. */
export function addGatewayMetrics(set: MetricSet, gateway: Pick<Gateway, 'metrics'>): void {
  set.counter('jitterscope_gateway_items_total', 'Items by disposition.', ['disposition'], () => [
    [{ disposition: 'in' }, gateway.metrics.itemsIn],
    [{ disposition: 'appended' }, gateway.metrics.itemsQueued],
    [{ disposition: 'repeat' }, gateway.metrics.repeatedItems],
  ]);
  set.counter('jitterscope_gateway_messages_total', 'Messages of collectors.', [], () => [[{}, gateway.metrics.messagesIn]]);
  set.counter('jitterscope_gateway_received_bytes_total', 'Bytes of messages of collectors.', [], () => [[{}, gateway.metrics.bytesIn]]);
  set.counter('jitterscope_gateway_invalid_messages_total', 'Messages that could not be read.', [], () => [
    [{}, gateway.metrics.invalidMessages],
  ]);
  set.counter(
    'jitterscope_gateway_refused_total',
    'Connections and streams that were not served: for their certificate, for writing as another node, for a capture, for what they opened with.',
    ['reason'],
    () => byReason({ certificate: 0, node: 0, replay: 0, hello: 0, ...gateway.metrics.refused }, {}),
  );
  set.counter('jitterscope_gateway_appends_total', 'Appends to the raw log that are durable.', [], () => [[{}, gateway.metrics.appends]]);
  set.counter('jitterscope_gateway_append_seconds_total', 'Time from an append to its durability, retries included.', [], () => [
    [{}, gateway.metrics.appendSeconds],
  ]);
  set.gauge('jitterscope_gateway_streams', 'Streams open.', [], () => [[{}, gateway.metrics.streams]]);
  set.gauge('jitterscope_gateway_queued_bytes', 'Bytes that wait for durability.', [], () => [[{}, gateway.metrics.queuedBytes]]);
}
