import type { SinkDefinition } from '../registry.ts';
import { lokiSinkSchema } from './config.ts';

/** What is handed to `deliver` at once: a fetch, so that pushes get as large as they may. */
const deliveryBytes = 9 * 1024 * 1024;

/** The Loki sink for the registry. Its libraries are loaded only where it is enabled. */
export const lokiSink: SinkDefinition<typeof lokiSinkSchema> = {
  schema: lokiSinkSchema,
  async open(config, { clusterName, log }) {
    const { openLokiSink } = await import('./loki-sink.ts');
    return { sink: await openLokiSink({ config, cluster: clusterName, log }), maxBytes: deliveryBytes };
  },
};
