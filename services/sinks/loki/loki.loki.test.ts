import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { createLog } from '../../../core/log.ts';
import type { RunningServer } from '../../../scripts/servers/server.mjs';
import { temporaryFolder } from '../../../test/support/data-folder.ts';
import { linesOf, startLoki } from '../../../test/support/loki-server.ts';
import { sinkContract } from '../contract.ts';
import { lokiSinkSchema } from './config.ts';
import { openLokiSink } from './loki-sink.ts';

const log = createLog('silent');
const folder = temporaryFolder();
let server: RunningServer;
let tenants = 0;

beforeAll(async () => {
  server = await startLoki({
    dataDir: join(folder.path, 'loki'),
    tenants: true,
    // The contract's events are of any age, an hour and more apart.
    limits: { reject_old_samples: false, discover_log_levels: false },
    overrides: { ingester: { query_store_max_look_back_period: '-1ns' } },
  });
});
afterAll(async () => {
  await server.stop();
  folder.remove();
});

const century = 100 * 365 * 86_400_000;
/** When the contract's events are, Unix s. */
const [fromS, toS] = [1_790_000_000 - 1, 1_790_000_000 + 30_000];

for (const encoding of ['protobuf', 'json'] as const) {
  sinkContract(`loki over ${encoding}`, async () => {
    const tenantId = `contract-${++tenants}`;
    const config = { ...lokiSinkSchema.parse({ url: server.address, tenantId, encoding }), maxAge: century };
    const prefixes = (partition: number) => (0x86 + partition).toString(16);
    return {
      open: () => openLokiSink({ config, cluster: 'c1', log, settleMs: 0 }),
      async stored(partition) {
        const query = `{service_name="jitterscope"} | event_id=~"9c1f0b7a52e4d3${prefixes(partition)}-.*"`;
        const lines = await linesOf({ address: server.address, tenantId }, query, fromS, toS);
        return lines.map(({ labels }) => labels.event_id);
      },
      destroy: async () => undefined,
    };
  });
}
