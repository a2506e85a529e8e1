import { join } from 'node:path';
import type { RunningElasticsearch } from '../../scripts/servers/elasticsearch.mjs';
import type { RunningKafka } from '../../scripts/servers/kafka.mjs';
import type { LokiOptions } from '../../scripts/servers/loki.mjs';
import type { RunningServer } from '../../scripts/servers/server.mjs';
import { temporaryFolder } from './data-folder.ts';
import { startElasticsearch } from './elasticsearch-server.ts';
import { startLoki } from './loki-server.ts';
import { startKafka } from './servers.ts';

/** Tenants of Loki, by whether it splits their streams. */
export const lokiTenants = { sharded: 'sharded', whole: 'whole' } as const;

/** Kafka, Loki and Elasticsearch, for all runs of a test file. */
export class StoreServers {
  kafka!: RunningKafka;
  loki!: RunningServer;
  elasticsearch!: RunningElasticsearch;
  readonly folder = temporaryFolder();
  /** Of a user that may not go through the other one. */
  readonly #elasticsearchFolder = temporaryFolder();

  static async start(): Promise<StoreServers> {
    const servers = new StoreServers();
    await Promise.all([servers.startKafka(), servers.startLoki(), servers.startElasticsearch()]);
    return servers;
  }

  /** Again, in the folder and at the port from before. */
  async startKafka(): Promise<void> {
    this.kafka = await startKafka({ dataDir: join(this.folder.path, 'kafka') });
  }

  /** Again, in the folder and at the port from before. */
  async startLoki(): Promise<void> {
    const shards = (enabled: boolean) => ({ shard_streams: { enabled, desired_rate: '256KB' } });
    const options: LokiOptions = {
      dataDir: join(this.folder.path, 'loki'),
      tenants: true,
      limits: { discover_log_levels: false },
      tenantLimits: { [lokiTenants.sharded]: shards(true), [lokiTenants.whole]: shards(false) },
    };
    this.loki = await startLoki(options);
  }

  /** Again, in the folder and at the port from before. */
  async startElasticsearch(): Promise<void> {
    this.elasticsearch = await startElasticsearch({ dataDir: this.#elasticsearchFolder.path });
  }

  async close(): Promise<void> {
    await Promise.all([this.kafka?.kill(), this.loki?.kill(), this.elasticsearch?.kill()]);
    this.folder.remove();
    this.#elasticsearchFolder.remove();
  }
}
