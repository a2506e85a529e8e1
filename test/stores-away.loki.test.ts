import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openBus } from '../cli/bus.ts';
import { configSchema } from '../cli/config.ts';
import type { Waiting } from '../cli/left-behind.ts';
import { type Pipeline, startPipeline } from '../cli/pipeline.ts';
import type { Role } from '../cli/roles.ts';
import type { ConsumeOptions, Consumer } from '../core/bus/bus.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import type { RunningElasticsearch } from '../scripts/servers/elasticsearch.mjs';
import { freePort } from '../scripts/servers/free-port.mjs';
import type { RunningKafka } from '../scripts/servers/kafka.mjs';
import type { RunningServer } from '../scripts/servers/server.mjs';
import { startSinks } from '../services/sinks/main.ts';
import { BulkProxy } from './support/bulk-proxy.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { startElasticsearch, storedIds } from './support/elasticsearch-server.ts';
import { EventStream } from './support/event-stream.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { FaultProxy } from './support/fault-proxy.ts';
import { holdingOf } from './support/loki-run.ts';
import { startLoki } from './support/loki-server.ts';
import { patiently } from './support/patiently.ts';
import { startKafka } from './support/servers.ts';
import { shippedRules } from './support/without-rules.ts';

const limitMs = 120_000;
const partitions = 2;
const log = createLog(process.env.JITTERSCOPE_TEST_LOG === undefined ? 'silent' : 'warn');
const folder = temporaryFolder();
/** Of a user that may not go through the other one. */
const serverFolder = temporaryFolder();
let elasticsearch: RunningElasticsearch;
let loki: RunningServer;
let kafka: RunningKafka;
let bulkProxy: BulkProxy;
let lokiProxy: FaultProxy;
let gatewayPort: number;
let runs = 0;

beforeAll(async () => {
  [elasticsearch, loki, kafka] = await Promise.all([
    startElasticsearch({ dataDir: serverFolder.path }),
    startLoki({ dataDir: join(folder.path, 'loki'), limits: { discover_log_levels: false } }),
    startKafka({ dataDir: join(folder.path, 'kafka') }),
  ]);
  [bulkProxy, lokiProxy] = [await BulkProxy.start(elasticsearch.address), await FaultProxy.start(loki.address)];
});
beforeEach(async () => {
  gatewayPort = await freePort();
  runs++;
});
afterAll(async () => {
  bulkProxy?.close();
  await lokiProxy?.close();
  await Promise.all([elasticsearch?.kill(), loki?.kill(), kafka?.kill()]);
  folder.remove();
  serverFolder.remove();
});

/** All three sinks, the stores behind their proxies. */
function configOf(bus: 'embedded' | 'kafka') {
  const brokers = { brokers: [kafka.address], replicationFactor: 1, partitions, sessionTimeout: '6s', topicPrefix: `run${runs}-` };
  return configSchema.parse({
    bus: { type: bus, ...(bus === 'kafka' && { kafka: brokers }) },
    gateway: { listen: `127.0.0.1:${gatewayPort}` },
    rules: { disabled: [...shippedRules] },
    sinks: {
      prometheus: { enabled: false },
      elasticsearch: { enabled: true, urls: [bulkProxy.address], index: `run${runs}` },
      loki: { enabled: true, url: lokiProxy.address },
    },
  });
}

test('slow store: with 2 s a request, and with more than a session of the group, no other sink slows, nobody leaves a group, memory stays flat, and all is stored once', {
  timeout: 240_000,
}, async () => {
  const config = configOf('kafka');
  const bus = await openBus(config, '', { log });
  /** A group that changes gives all its partitions back, and deals them anew. */
  const assignments = new Map<string, number>();
  const consume = bus.consume.bind(bus);
  bus.consume = (options: ConsumeOptions): Promise<Consumer> =>
    consume({
      ...options,
      assigned: (partition, commit) => {
        assignments.set(options.group, (assignments.get(options.group) ?? 0) + 1);
        return options.assigned?.(partition, commit) ?? Promise.resolve(undefined);
      },
    });
  const sinks = await startSinks({ bus, config: config.sinks, dataDir: join(folder.path, `slow-${runs}`), clusterName: 'c1', log });
  const startS = Math.floor(Date.now() / 1000);
  const prefixes = Array.from({ length: partitions }, (_, partition) => `00000000000005${partition}0`);
  const streams = prefixes.map((prefix) => new EventStream({ prefix, node: 'node1', startS, stepNs: 1_000_000, lineBytes: 1_300 }));
  let appended = 0;
  const append = async (): Promise<void> => {
    for (const [partition, stream] of streams.entries()) await bus.append(topics.events, partition, [stream.next(200), stream.next(200)]);
    appended += 400;
  };
  const deliveredOf = (sink: string): number =>
    [
      ...(sinks
        .stats()
        .find((one) => one.sink === sink)
        ?.partitions.values() ?? []),
    ].reduce((sum, { delivered }) => sum + delivered, 0);
  const taken = (sink: string) => patiently(`${sink} has all`, limitMs, () => deliveredOf(sink) === appended * partitions);
  try {
    await append();
    for (const sink of ['file', 'elasticsearch', 'loki']) await taken(sink);
    /** The most of each delay, bytes: the first is a warm-up. */
    const mostRssBytes: number[] = [];
    // The second is longer than a member may be silent.
    for (const [delayMs, rounds] of [
      [2_000, 4],
      [7_000, 8],
    ] as const) {
      bulkProxy.delayMs = delayMs;
      lokiProxy.delayMs = delayMs;
      const rssBytes: number[] = [];
      const before = [bulkProxy.requests, lokiProxy.counts.pass] as const;
      for (let round = 0; round < rounds; round++) {
        await append();
        await taken('file');
        rssBytes.push(process.memoryUsage().rss);
      }
      mostRssBytes.push(Math.max(...rssBytes));
      // Both are at work on it, and are not through with it.
      await patiently(
        'slow requests were answered',
        limitMs,
        () => bulkProxy.requests > before[0] + partitions && lokiProxy.counts.pass > before[1] + partitions,
      );
      expect(Math.min(deliveredOf('elasticsearch'), deliveredOf('loki'))).toBeLessThan(appended * partitions);
    }
    expect(sinks.ready()).toEqual({ ready: true, problems: [] });
    bulkProxy.delayMs = 0;
    lokiProxy.delayMs = 0;
    await taken('elasticsearch');
    await taken('loki');
    expect(sinks.stats().map(({ delivery }) => delivery.failures)).toEqual([{}, {}, {}]);
    expect(Object.fromEntries(assignments)).toEqual({ 'sink-file': partitions, 'sink-elasticsearch': partitions, 'sink-loki': partitions });
    const grownMebibytes = Math.round((mostRssBytes[1] - mostRssBytes[0]) / 2 ** 20);
    process.stdout.write(`  ${appended * partitions} events, RSS grew by ${grownMebibytes} MiB\n`);
    // Fetches of 4 MiB of three sinks and two partitions, and their garbage.
    expect(grownMebibytes).toBeLessThan(250);
    for (const prefix of prefixes) {
      const held = await holdingOf({ address: loki.address }, prefix, startS - 1, startS + Math.ceil(appended / 1000) + 1);
      expect([held.distinct.size, held.lines]).toEqual([appended, appended]);
    }
    const ids = await storedIds(elasticsearch.address, `run${runs}-*`);
    expect([new Set(ids).size, ids.length]).toEqual([appended * partitions, appended * partitions]);
  } finally {
    bulkProxy.delayMs = 0;
    lokiProxy.delayMs = 0;
    await sinks.close(2_000);
    await bus.close();
  }
});

test.each(['embedded', 'kafka'] as const)(
  'SIGTERM while the stores are down, over %s: what the end says to wait is what the next start delivers',
  { timeout: 240_000 },
  async (bus) => {
    const config = configOf(bus);
    const dataDir = (role: Role) => join(folder.path, `run${runs}-${role}`);
    const start = (role: Role): Promise<Pipeline> => startPipeline(config, dataDir(role), { role, ticks: true, log });
    const roles: Role[] = bus === 'embedded' ? ['all'] : ['gateway', 'aggregator', 'sinks'];
    const running = new Map<Role, Pipeline>();
    for (const role of roles) running.set(role, await start(role));
    const last = roles.at(-1) as Role;
    const events = new ExpectedEvents();
    const { gatewayAddress } = running.get(roles[0]) as Pipeline;
    const collector = await FakeCollector.start({
      spoolDir: join(dataDir(last), 'fake-spool'),
      gatewayAddress,
      events,
      clockS: Date.now() / 1000,
    });
    const deliveredBy = (sink: string): number =>
      [
        ...(running
          .get(last)
          ?.sinks.stats()
          .find((one) => one.sink === sink)
          ?.partitions.values() ?? []),
      ].reduce((sum, { delivered }) => sum + delivered, 0);
    const stop = async (role: Role): Promise<readonly Waiting[]> => {
      const waiting = await running.get(role)?.close(new Deadline(4_000));
      running.delete(role);
      return waiting ?? [];
    };
    try {
      collector.batch(300);
      collector.heartbeat(60e9);
      for (const sink of ['file', 'elasticsearch', 'loki'])
        await patiently(`${sink} has them`, limitMs, () => deliveredBy(sink) === events.count);
      const before = events.count;
      bulkProxy.unavailable = true;
      lokiProxy.fault = () => ({ status: 503, body: 'down' });
      collector.pass(61);
      collector.batch(500);
      expect(await collector.close(limitMs)).toBe(0);
      await patiently('the files have all', limitMs, () => deliveredBy('file') === events.count);
      const lags = await running.get(last)?.sinks.lag();
      const messagesOf = (sink: string): number => [...(lags?.get(sink)?.values() ?? [])].reduce((sum, lag) => sum + lag, 0);
      const waiting = new Map((await stop(last)).map((one) => [one.name, one]));
      for (const sink of ['elasticsearch', 'loki']) {
        expect(messagesOf(sink)).toBeGreaterThan(0);
        expect(waiting.get(sink)).toEqual({ name: sink, messages: messagesOf(sink), events: events.count - before, deletedEvents: 0 });
      }
      expect(waiting.get('file')).toMatchObject({ messages: 0, events: 0 });

      bulkProxy.unavailable = false;
      lokiProxy.fault = () => 'pass';
      running.set(last, await start(last));
      for (const sink of ['elasticsearch', 'loki']) await patiently(`${sink} has all`, limitMs, () => deliveredBy(sink) === events.count);
      const ids = await storedIds(elasticsearch.address, `run${runs}-*`);
      expect([new Set(ids).size, ids.length]).toEqual([events.count, events.count]);
      const nowS = Math.ceil(Date.now() / 1000) + 120;
      const held = await holdingOf({ address: loki.address }, collector.prefix, nowS - 3600, nowS);
      expect([held.distinct.size, held.lines]).toEqual([events.count, events.count]);
      // The aggregator left nothing but what came behind its last checkpoint: ticks.
      if (bus === 'kafka') expect((await stop('aggregator'))[0]).toMatchObject({ name: 'aggregator' });
    } finally {
      bulkProxy.unavailable = false;
      lokiProxy.fault = () => 'pass';
      for (const role of [...running.keys()].reverse()) await stop(role);
    }
  },
);
