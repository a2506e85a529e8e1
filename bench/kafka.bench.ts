import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probes } from '../bpf/registry.ts';
import type { TopicSpec } from '../core/bus/bus.ts';
import { type Compression, compress } from '../core/bus/kafka/compression.ts';
import { kafkaSchema } from '../core/bus/kafka/config.ts';
import { type KafkaBus, openKafkaBus } from '../core/bus/kafka/kafka-bus.ts';
import { createLog } from '../core/log.ts';
import { sleep } from '../core/retry.ts';
import { topics } from '../proto/bus.ts';
import { recordBytes } from '../schema/record.gen.ts';
import { startAggregator } from '../services/aggregator/main.ts';
import { loadRules } from '../services/aggregator/rules/language/load-rules.ts';
import type { RuleSet } from '../services/aggregator/rules/rule.ts';
import { probeSeriesOf } from '../services/aggregator/series/probe-series.ts';
import { topicCheckpoints } from '../services/aggregator/topic-checkpoints.ts';
import { startGateway } from '../services/gateway/main.ts';
import { encodeStreamMessage } from '../services/gateway/raw-encoder.ts';
import { type BenchRow, median, perCpuSecond, printRows } from './bench-row.ts';
import { syntheticEventMessages } from './synthetic-events.ts';
import { syntheticStream } from './synthetic-records.ts';
import { workloadMessages, workloadSeverities } from './workload.ts';

const mebibyte = 2 ** 20;
const batchRecords = 2048;
const records = Number(process.env.JITTERSCOPE_BENCH_RECORDS ?? 2_000_000);
const workloadRecords = Number(process.env.JITTERSCOPE_BENCH_WORKLOAD_RECORDS ?? 2_400_000);
/** A turn takes a few seconds: the first ones hold V8's compiling, and each what the broker took of the core. */
const turns = 3;
const megabytes = (records * recordBytes) / 1e6;
const log = createLog('warn');

/** The type of scripts/servers/kafka.mjs, which is no part of the compiled program. */
interface KafkaServer {
  install(): Promise<string>;
  start(options: { dataDir: string }): Promise<{ readonly address: string; kill(): Promise<void> }>;
}

/** To and from a real broker in a process of its own, whose CPU is not counted. */
async function run(): Promise<void> {
  const { kafka } = (await import(new URL('../../scripts/servers/kafka.mjs', import.meta.url).href)) as { kafka: KafkaServer };
  await kafka.install();
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-bench-'));
  const broker = await kafka.start({ dataDir: join(dir, 'kafka') });
  let runs = 0;
  const open = (compression: Compression): Promise<KafkaBus> =>
    openKafkaBus({
      config: kafkaSchema.parse({ brokers: [broker.address], replicationFactor: 1, compression, topicPrefix: `bench${runs++}-` }),
      topics: specs,
      log,
    });
  try {
    for (const compression of ['none', 'snappy', 'gzip'] as const) {
      const name = compression === 'none' ? '' : `, ${compression}`;
      const reference = await withBus(await open(compression), (bus) => perCpuSecond(megabytes, () => append(bus)));
      const value = await withBus(await open(compression), (bus) => perCpuSecond(megabytes, () => gateway(bus, dir)));
      const common = { unit: 'MB/core-s', reference, referenceName: 'appending the same, without gRPC' };
      printRow({ name: `gateway, gRPC to Kafka, 256 KiB${name}`, value, ...common });
    }
    const rules = loadRules([fileURLToPath(new URL('../../rules/', import.meta.url))]);
    for (const [share, resetEvery] of [
      ['1 %', 100],
      ['5 %', 20],
    ] as const) {
      const [plain, ruled]: [number[], number[]] = [[], []];
      for (let turn = 0; turn < turns; turn++) {
        plain.push(await withBus(await open('snappy'), (bus) => workload(bus, resetEvery, undefined)));
        ruled.push(await withBus(await open('snappy'), (bus) => workload(bus, resetEvery, rules)));
      }
      const name = `Kafka to aggregator to Kafka, ${share} events, all rules`;
      const referenceName = 'the same without rules';
      printRow({ name, value: median(ruled), unit: 'records/core-s', reference: median(plain), referenceName });
      process.stdout.write(`  in turns: ${ruled.map((value) => `${Math.round(value / 1000)} k`).join(', ')}\n`);
    }
    await tellBytes();
  } finally {
    await broker.kill();
    await rm(dir, { recursive: true });
  }
}

/** At once: a run may be ended early. */
const printRow = (row: BenchRow): void => printRows([row]);

const specs: TopicSpec[] = [topics.raw, topics.events, topics.metrics, topics.deadLetters, topics.state].map((name) => ({
  name,
  partitions: 1,
  maxBytes: 4096 * mebibyte,
  retain: 'oldest',
}));

async function withBus(bus: KafkaBus, work: (bus: KafkaBus) => Promise<number>): Promise<number> {
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
}

async function append(bus: KafkaBus): Promise<void> {
  const session = Buffer.alloc(16, 1);
  const inFlight = new Set<Promise<unknown>>();
  for (const message of syntheticStream(records, batchRecords)) {
    const appending: Promise<unknown> = bus.append(topics.raw, 0, [encodeStreamMessage('node1', session, message)]);
    inFlight.add(appending);
    appending.then(
      () => inFlight.delete(appending),
      () => undefined,
    );
    if (inFlight.size >= 32) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
}

async function gateway(bus: KafkaBus, dir: string): Promise<void> {
  const socketPath = join(dir, 'collect.sock');
  const running = await startGateway({
    bus,
    socketPath,
    ticks: true,
    maxInFlightBytes: 8 * mebibyte,
    maxMemoryBytes: 2 ** 26,
    maxMessageBytes: 4 * mebibyte,
    log,
  });
  const client = fileURLToPath(new URL('./gateway-client.js', import.meta.url));
  const [code] = (await once(fork(client, [`unix:${socketPath}`, String(records), String(batchRecords)]), 'exit')) as [number];
  if (code !== 0) throw new Error(`the collector ended with ${code}`);
  await running.close();
}

/** Appends workload W; returns how many records. */
async function fill(bus: KafkaBus, resetEvery: number): Promise<number> {
  const shape = { nodes: 20, podsPerNode: 250, seconds: 12, recordsPerSecond: workloadRecords / 12, resetEvery };
  for (const message of workloadMessages(shape)) await bus.append(topics.raw, 0, [message]);
  return Math.floor(shape.recordsPerSecond / shape.nodes / 5) * shape.nodes * 5 * shape.seconds;
}

/** What events are on the way to a broker, in record batches of up to 1 MiB. */
async function tellBytes(): Promise<void> {
  const count = 20_000;
  const messages = [...syntheticEventMessages(count, Math.floor(Date.now() / 1000))];
  const found: string[] = [];
  for (const codec of ['none', 'snappy', 'gzip'] as const) {
    let bytes = 0;
    for (let at = 0; at < messages.length; at += 4) {
      const batch = Buffer.concat(messages.slice(at, at + 4));
      bytes += codec === 'none' ? batch.length : (await compress(codec, batch)).length;
    }
    found.push(`${codec} ${Math.round(bytes / count)}`);
  }
  process.stdout.write(`bytes of an event over Kafka, its columns with it: ${found.join(', ')}\n`);
}

async function workload(bus: KafkaBus, resetEvery: number, rules: RuleSet | undefined): Promise<number> {
  const sent = await fill(bus, resetEvery);
  return perCpuSecond(sent, async () => {
    const aggregator = await startAggregator({
      bus,
      checkpoints: topicCheckpoints(bus),
      cluster: 'default',
      events: new Map(probes.map((probe) => [probe.number, probe.event])),
      series: { maxSeries: 200_000, probes: probeSeriesOf(probes) },
      minSeverity: workloadSeverities,
      maxHeldBytes: 8 * mebibyte,
      maxBatchBytes: 256 * 1024,
      lingerMs: 200,
      checkpointMs: 60_000,
      log,
      rules,
    });
    const { next } = await bus.offsets(topics.raw, 0);
    while ((aggregator.partitions().get(0)?.rawOffset ?? 0) < next || aggregator.pending()) await sleep(50);
    const state = aggregator.partitions().get(0);
    process.stdout.write(`  ${state?.dispositions.events} events, ${state?.dispositions.counted} counted\n`);
    await aggregator.close();
  });
}

await run();
