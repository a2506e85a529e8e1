import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Bus } from '../core/bus/bus.ts';
import { openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { kafkaSchema } from '../core/bus/kafka/config.ts';
import { openKafkaBus } from '../core/bus/kafka/kafka-bus.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { jitterscope } from '../proto/gen/loki.js';
import { decodeEventBatch } from '../schema/event-batch.ts';
import { sinksSchema } from '../services/sinks/config.ts';
import { jsonEncoder, type PushEncoder, protobufEncoder } from '../services/sinks/loki/encode.ts';
import { Streams } from '../services/sinks/loki/streams.ts';
import { startSinks } from '../services/sinks/main.ts';
import { syntheticEventMessages } from './synthetic-events.ts';

// Bus -> Loki: the CPU of this process, for a server that takes all (a Loki at LOKI_URL, if that is set): from the embedded log and
// from a real Kafka. Then the encoders alone.
const events = Number(process.env.JITTERSCOPE_BENCH_EVENTS ?? 400_000);
const { PushRequest } = jitterscope.loki.v1;

const log = createLog('error');
const nowS = () => Math.floor(Date.now() / 1000);
const spec = { partitions: 1, maxBytes: 2 ** 32, retain: 'oldest' } as const;

/** A bus that ends with its run. */
type ClosableBus = Bus & { close(): Promise<void> };

/** The type of scripts/servers/kafka.mjs, which is no part of the compiled program. */
interface KafkaServer {
  install(): Promise<string>;
  start(options: { dataDir: string }): Promise<{ readonly address: string; kill(): Promise<void> }>;
}

const thousands = (value: number) => Math.round(value / 1000);

function cpuSeconds(before?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function startServer(): Promise<{ readonly url: string; readonly child?: ChildProcess }> {
  if (process.env.LOKI_URL !== undefined) return { url: process.env.LOKI_URL };
  const child = fork(fileURLToPath(new URL('answering-server.js', import.meta.url)), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const [port] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { url: `http://127.0.0.1:${String(port).trim()}`, child };
}

const specs = [topics.events, topics.deadLetters].map((name) => ({ ...spec, name }));
const embedded = (dir: string): Promise<ClosableBus> => openEmbeddedLog({ dir, topics: specs });

async function busToLoki(url: string, encoding: 'protobuf' | 'json', count: number, open = embedded) {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-bench-'));
  const bus = await open(dir);
  try {
    for (const message of syntheticEventMessages(count, nowS() - 60)) await bus.append(topics.events, 0, [message]);
    const config = sinksSchema.parse({ file: { enabled: false }, loki: { enabled: true, url, encoding } });
    const sinks = await startSinks({ bus, config, dataDir: dir, clusterName: 'default', log });
    const delivered = () => sinks.stats()[0].partitions.get(0)?.delivered ?? 0;
    // Loading, the look-up behind a start and compiling are done once; V8 compiles for the first 100,000 events or so.
    while (delivered() < count / 2) await sleep(5);
    const first = delivered();
    const before = process.cpuUsage();
    const startMs = performance.now();
    while (delivered() < count) await sleep(20);
    const cpuS = cpuSeconds(before);
    const wallS = (performance.now() - startMs) / 1000;
    const { wireBytes, pushes } = sinks.stats()[0].store;
    await sinks.close(1000);
    const events = count - first;
    return { corePerSecond: events / cpuS, perSecond: events / wallS, wireBytes: wireBytes / count, perPush: count / pushes };
  } finally {
    await bus.close();
    await rm(dir, { recursive: true });
  }
}

/** The same from a broker of its own process. */
async function kafkaToLoki(url: string) {
  const { kafka } = (await import(new URL('../../scripts/servers/kafka.mjs', import.meta.url).href)) as { kafka: KafkaServer };
  await kafka.install();
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-bench-'));
  const broker = await kafka.start({ dataDir: dir });
  try {
    const config = kafkaSchema.parse({ brokers: [broker.address], replicationFactor: 1 });
    return await busToLoki(url, 'protobuf', events, () => openKafkaBus({ config, topics: specs, log }));
  } finally {
    await broker.kill();
    await rm(dir, { recursive: true });
  }
}

/** Events per CPU-second of an encoder alone, over the same events. */
async function encoderAlone(encoder: PushEncoder, views: readonly ReturnType<typeof decodeEventBatch>[], rounds: number): Promise<number> {
  const streams = new Streams('default');
  let done = 0;
  let before = process.cpuUsage();
  for (let round = 0; round <= rounds; round++) {
    // The first round warms up.
    if (round === 1) {
      before = process.cpuUsage();
      done = 0;
    }
    for (const view of views) {
      await encoder.encode(
        streams.take(view, 0),
        view,
        Uint32Array.from({ length: view.count }, (_, row) => row),
      );
      done += view.count;
    }
  }
  return done / cpuSeconds(before);
}

/** What protobufjs makes of the same schema, with an object for each event. */
async function generatedEncoder(): Promise<PushEncoder> {
  const { compress } = await import('snappy');
  return {
    empty: { body: Buffer.alloc(0) },
    async encode(stream, view, rows) {
      const entries = Array.from(rows, (row) => ({
        timestamp: { seconds: view.timeSeconds(row), nanos: view.timeNanos(row) },
        line: view.line(row).subarray(0, -1),
        structuredMetadata: [
          { name: 'event_id', value: view.id(row) },
          { name: 'node', value: view.node(row) },
          { name: 'namespace', value: view.namespace(row) },
          { name: 'pod', value: view.pod(row) },
          { name: 'uid', value: view.podUid(row) },
        ],
      }));
      const request = PushRequest.encode({ streams: [{ labels: stream.labels, entries }] }).finish();
      return { body: await compress(Buffer.from(request.buffer, request.byteOffset, request.length)) };
    },
  };
}

const { url, child } = await startServer();
try {
  const messages = [...syntheticEventMessages(20_000, nowS() - 60)];
  const views = messages.map((message) => decodeEventBatch(message));
  const lineBytes = views.reduce((sum, view) => sum + view.blocks(0, view.count).reduce((all, block) => all + block.length, 0), 0);
  process.stdout.write(`events of ${Math.round(lineBytes / 20_000)} bytes\n`);
  for (const [name, run] of [
    ['embedded log -> Loki, protobuf', () => busToLoki(url, 'protobuf', events)],
    ['Kafka -> Loki, protobuf', () => kafkaToLoki(url)],
    ['embedded log -> Loki, json', () => busToLoki(url, 'json', events / 2)],
  ] as const) {
    const seen = await run();
    const rates = `${thousands(seen.corePerSecond)} k events/core-s (${thousands(seen.perSecond)} k/s by the clock)`;
    const sizes = `${Math.round(seen.wireBytes)} bytes an event on the wire, ${Math.round(seen.perPush)} events a push`;
    process.stdout.write(`${name}: ${rates}, ${sizes}\n`);
  }
  const alone = [
    ['protobuf by hand + snappy', await protobufEncoder(), 5],
    ['protobufjs, generated + snappy', await generatedEncoder(), 5],
    ['JSON + gzip', jsonEncoder(), 1],
  ] as const;
  for (const [name, encoder, rounds] of alone)
    process.stdout.write(`encoder alone, ${name}: ${thousands(await encoderAlone(encoder, views, rounds))} k events/core-s\n`);
} finally {
  child?.disconnect();
}
