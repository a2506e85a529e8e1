import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import type { RunningKafka } from '../../../scripts/servers/kafka.mjs';
import { startKafka } from '../../../test/support/servers.ts';
import { suspend } from '../../../test/support/suspend.ts';
import { busContract, CONTRACT_TOPICS } from '../contract.ts';
import { kafkaSchema } from './config.ts';
import { openKafkaBus } from './kafka-bus.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-kafka-'));
let kafka: RunningKafka;

beforeAll(async () => {
  kafka = await startKafka({ dataDir: folder });
});

afterAll(async () => {
  await kafka?.kill();
  rmSync(folder, { recursive: true, force: true });
});

busContract('Kafka', async () => {
  const config = kafkaSchema.parse({ brokers: [kafka.address], replicationFactor: 1 });
  const open = () => openKafkaBus({ config, topics: CONTRACT_TOPICS, log: pino({ level: 'warn' }) });
  let bus = await open();
  return {
    bus,
    reopen: async () => {
      await bus.close();
      bus = await open();
      return bus;
    },
    stall: async () => {
      await suspend(kafka.pid);
      return async () => void process.kill(kafka.pid, 'SIGCONT');
    },
    destroy: () => bus.close(),
  };
});
