import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect } from 'vitest';
import { configSchema } from '../cli/config.ts';
import { startPipeline } from '../cli/pipeline.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog } from '../core/log.ts';
import type { RunningKafka } from '../scripts/servers/kafka.mjs';
import { kernelTest } from './lab/kernel-tier.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { countEvents } from './support/event-files.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { patiently } from './support/patiently.ts';
import { startKafka } from './support/servers.ts';
import { SmallDisk } from './support/small-disk.ts';
import { shippedRules } from './support/without-rules.ts';

const limitMs = 120_000;
const log = createLog(process.env.JITTERSCOPE_TEST_LOG === undefined ? 'silent' : 'warn');
const folder = temporaryFolder();
let kafka: RunningKafka | undefined;
afterAll(async () => {
  await kafka?.kill();
  folder.remove();
});

kernelTest(
  'full disk of the brokers: it is told, collectors spool, nothing that was acked is lost, and everything arrives once when there is room again',
  { timeout: 300_000 },
  async () => {
    const disk = new SmallDisk(256);
    const kafkaDir = folder.fresh('kafka');
    const start = () => startKafka({ dataDir: kafkaDir, overrides: { 'log.dirs': join(disk.path, 'logs') } });
    kafka = await start();
    const config = configSchema.parse({
      bus: { type: 'kafka', kafka: { brokers: [kafka.address], replicationFactor: 1, partitions: 1, sessionTimeout: '6s' } },
      rules: { disabled: [...shippedRules] },
      sinks: { prometheus: { enabled: false } },
    });
    const dataDir = folder.fresh('data');
    const pipeline = await startPipeline(config, dataDir, { ticks: true, log });
    const events = new ExpectedEvents();
    const spoolDir = folder.fresh('spool');
    const collector = await FakeCollector.start({ spoolDir, gatewayAddress: pipeline.gatewayAddress, events, clockS: Date.now() / 1000 });
    const delivered = (): number => pipeline.sinks.stats()[0]?.partitions.get(0)?.delivered ?? 0;
    try {
      collector.batch(300);
      collector.heartbeat(60e9);
      await patiently('the first events are in the files', limitMs, () => delivered() === events.count);
      collector.pass(61);
      disk.fill(0);
      // The broker finds out at the first segment that it cannot write, and ends when all its folders have failed.
      // Until it has, some of its answers are of an unexpected error.
      const told = new Set<string>();
      await patiently('the bus says what is wrong', limitMs, () => {
        collector.batch(500);
        for (const problem of pipeline.problems()) told.add(problem);
        return [...told].some((problem) => /^bus: .*(?:the disk of the broker fails or is full|does not answer)/.test(problem));
      }).catch((thrown: unknown) => {
        throw new Error([...told].join('\n'), { cause: thrown });
      });
      process.stdout.write(`  told: ${[...told].join('; ')}; broker ${kafka.ended() ? 'ended' : 'runs'}\n`);
      for (let batch = 0; batch < 5; batch++) collector.batch(500);
      await patiently('the collector spools', limitMs, () => collector.metrics.inFlightBytes > 0);
      await sleep(1_000);

      disk.free();
      await kafka.kill();
      kafka = await start();
      collector.batch(100);
      expect(await collector.close(limitMs)).toBe(0);
      await patiently('all events are in the files', limitMs, () => delivered() === events.count);
      expect(pipeline.problems()).toEqual([]);
    } finally {
      await pipeline.close(new Deadline(10_000));
      await kafka.kill();
      disk.remove();
    }
    const found = events.copy();
    countEvents(join(dataDir, 'events'), found);
    expect(found.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  },
);
