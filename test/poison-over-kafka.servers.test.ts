import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Kafka, logLevel, type RecordMetadata } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BusLoss } from '../cli/bus.ts';
import { shortSocketPath } from '../cli/socket-path.ts';
import { appendRetrying } from '../core/bus/append-retrying.ts';
import { KafkaClient } from '../core/bus/kafka/client.ts';
import { kafkaSchema } from '../core/bus/kafka/config.ts';
import { type KafkaBus, openKafkaBus } from '../core/bus/kafka/kafka-bus.ts';
import { produceRequest } from '../core/bus/kafka/produce-request.ts';
import { batchField, batchHeaderBytes, encodeRecordBatch, lengthFrom } from '../core/bus/kafka/record-batch.ts';
import { askControl } from '../core/control.ts';
import { crc32c } from '../core/crc32c.ts';
import { encodeDeadLetter } from '../core/dead-letter.ts';
import { DeadLetterBox } from '../core/dead-letter-box.ts';
import { DeadLetterCount } from '../core/dead-letter-count.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { decodeEventBatch, encodeSingleEvent } from '../schema/event-batch.ts';
import type { RunningKafka } from '../scripts/servers/kafka.mjs';
import { sinkError } from '../services/sinks/errors.ts';
import type { Sinks } from '../services/sinks/main.ts';
import { replayLetters } from '../services/sinks/replay-letters.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { FileStore, verdictOf } from './support/event-stores.ts';
import { EventStream } from './support/event-stream.ts';
import { clean, ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { KafkaRoles } from './support/kafka-roles.ts';
import { patiently } from './support/patiently.ts';
import { poisons } from './support/poison.ts';
import { startKafka } from './support/servers.ts';

const partitions = 2;
const both = [0, 1];
const log = createLog('silent');
const signal = new AbortController().signal;
/** Events that a store took, as often as it took them: one that recognises nothing, cannot be asked, and takes its time. */
const taken: string[] = [];
const store = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.once('end', () => {
    const body = Buffer.concat(chunks);
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body).toString() : '';
    taken.push(...(text.match(/(?<="event_id":")[^"]+/g) ?? []));
    setTimeout(() => response.writeHead(204).end(), 100);
  });
});
/** What stages read; each poison of them is a letter. */
const letterTopics = [topics.raw, topics.events, topics.metrics, topics.deadLetters];

const folder = temporaryFolder();
let kafka: RunningKafka;
let roles: KafkaRoles;
let bus: KafkaBus;
/** A test that is tried again has topics and folders of its own. */
let runs = 0;
let prefix: string;
let events: ExpectedEvents;
let collectors: FakeCollector[] = [];
/** Letters that have to be there: place of the message, or the id of a letter that cannot be read. */
const expected = new Set<string>();

beforeAll(async () => {
  kafka = await startKafka({ dataDir: join(folder.path, 'kafka') });
  store.listen(0, '127.0.0.1');
  await once(store, 'listening');
});

/** Roles and collectors for the first two tests, in place of those of an attempt before. */
async function begin(): Promise<void> {
  await roles?.killAll();
  await Promise.all(collectors.map((collector) => collector.close(0)));
  await bus?.close();
  prefix = `poisoned${++runs}-`;
  events = new ExpectedEvents();
  expected.clear();
  roles = await KafkaRoles.over(kafka.address, join(folder.path, `roles${runs}`), [
    `bus.kafka.topicPrefix=${prefix}`,
    `bus.kafka.partitions=${partitions}`,
  ]);
  await roles.start('gateway');
  await Promise.all([roles.start('aggregator'), roles.start('sinks')]);
  const specs = Object.values(topics).map((name) => ({
    name,
    partitions,
    maxBytes: 128 * 1024 * 1024,
    retain: name === topics.raw || name === topics.state ? ('checkpoint' as const) : ('oldest' as const),
  }));
  bus = await openKafkaBus({ config: configOf(prefix), topics: specs, log });
  const spoolDir = (node: number) => join(folder.path, `spools${runs}`, `${node}`);
  collectors = await Promise.all(
    [1, 2, 3, 4].map((node) => FakeCollector.start({ node, spoolDir: spoolDir(node), gateway: roles.gateway, events })),
  );
}

afterAll(async () => {
  await roles?.killAll();
  await bus?.close();
  await kafka?.kill();
  store.closeAllConnections();
  store.close();
  folder.remove();
});

const lettersTopic = { name: topics.deadLetters, partitions, maxBytes: 128 * 1024 * 1024, retain: 'oldest' } as const;
const configOf = (topicPrefix: string) =>
  kafkaSchema.parse({ brokers: [kafka.address], replicationFactor: 1, topicPrefix, partitions, sessionTimeout: '6s' });

/** Good messages in between. */
function load(count = 20): void {
  for (const collector of collectors) collector.batch(count);
}

function expectLetters(produced: readonly RecordMetadata[], topic: string, count = 1): void {
  for (const { partition, baseOffset } of produced) {
    for (let offset = Number(baseOffset); offset < Number(baseOffset) + count; offset++)
      expected.add(topic === topics.deadLetters ? `${partition}-${offset}` : `${topic}/${partition}/${offset}`);
  }
}

/** A batch with one message, compressed with what jitterscope does not speak: as one block that is stored as it is. */
async function foreignBatch(codec: 3 | 4): Promise<Buffer> {
  const plain = await encodeRecordBatch([Buffer.from('a message of somebody else')], 'none', Date.now());
  const records = plain.subarray(batchHeaderBytes);
  const size = Buffer.alloc(4);
  // LZ4: frame header, stored block, end mark. Zstandard: magic, single segment with its size, last raw block.
  size.writeUInt32LE(codec === 3 ? (records.length | 0x8000_0000) >>> 0 : (records.length << 3) | 1);
  const packed =
    codec === 3
      ? [Buffer.from('04224d18604082', 'hex'), size, records, Buffer.alloc(4)]
      : [Buffer.from('28b52ffd20', 'hex'), Buffer.from([records.length]), size.subarray(0, 3), records];
  return sealed(Buffer.concat([plain.subarray(0, batchHeaderBytes), ...packed]), codec);
}

function sealed(batch: Buffer, codec: number): Buffer {
  batch.writeInt32BE(batch.length - lengthFrom, batchField.length);
  batch.writeInt16BE(codec, batchField.attributes);
  batch.writeUInt32BE(crc32c(batch.subarray(batchField.attributes)), batchField.crc);
  return batch;
}

/** The newest good message of a topic. */
async function goodOf(topic: string): Promise<Uint8Array> {
  let good: Uint8Array | undefined;
  await patiently(`${topic} has a message`, 60_000, async () => {
    for (let partition = 0; partition < partitions && good === undefined; partition++) {
      const { earliest, next } = await bus.offsets(topic, partition);
      if (next === earliest) continue;
      for await (const { messages } of bus.read(topic, partition, next - 1, { until: next })) good = messages[0]?.value.slice();
    }
    return good !== undefined;
  });
  return good as Uint8Array;
}

async function lettersFound(box: DeadLetterBox): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const { id, stage, topic, partition, offset } of box.waiting({}, signal))
    found.add(stage === 'unknown' ? id : `${topic}/${partition}/${offset}`);
  return found;
}

const missingOf = (found: ReadonlySet<string>): string[] => [...expected].filter((place) => !found.has(place));

/** Messages that these processes found damaged. */
async function damagedOf(...names: readonly string[]): Promise<number> {
  let sum = 0;
  for (const name of names) {
    for await (const answer of askControl(shortSocketPath(join(roles.folderOf(name), 'control.sock')), 'dispositions')) {
      const { busLosses } = answer as { busLosses: Record<string, BusLoss> };
      for (const { reason, messages } of Object.values(busLosses)) if (reason === 'damaged') sum += messages;
    }
  }
  return sum;
}

/** Runs a command against a process's data folder. */
async function dlqOf(of: KafkaRoles, name: string, ...args: readonly string[]) {
  const run = new JitterscopeProcess(['dlq', ...args, '--data-dir', of.folderOf(name)]);
  const { code } = await run.finish(120_000);
  return { code, stdout: run.stdout, stderr: run.stderr };
}

const dlq = (name: string, ...args: readonly string[]) => dlqOf(roles, name, ...args);

test('poison: what nobody can decode, on every topic and of any producer, is a dead letter or a counted hole; every good event is stored once, and no process ends', async () => {
  await begin();
  const client = new Kafka({ brokers: [kafka.address], logLevel: logLevel.NOTHING });
  const foreign = client.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId: 'foreign' });
  const plain = client.producer();
  const raw = new KafkaClient({ config: kafkaSchema.parse({ brokers: [kafka.address] }), log });
  raw.workWith(Object.values(topics).map((name) => prefix + name));
  let holes = 0;
  try {
    await Promise.all([foreign.connect(), plain.connect()]);
    load(100);
    for (const topic of [...letterTopics, topics.state]) {
      const name = prefix + topic;
      const isRead = topic !== topics.state;
      for (const [, value] of poisons(await goodOf(topic))) {
        const messages = both.map((partition) => ({ partition, value: Buffer.from(value) }));
        const produced = await plain.send({ topic: name, messages });
        if (isRead) expectLetters(produced, topic);
        load();
      }
      // Without a value; with key, headers and gzip; in a transaction that commits and in one that does not.
      const more = async (send: typeof plain.send, value: Buffer | null, extra: object = {}) => {
        const messages = both.flatMap((partition) => [0, 1].map(() => ({ partition, value, ...extra })));
        const produced = await send({ topic: name, messages, compression: value === null ? 0 : 1 });
        if (isRead) expectLetters(produced, topic, 2);
        load();
      };
      await more((record) => plain.send(record), null);
      await more((record) => plain.send(record), Buffer.from('keyed'), { key: Buffer.from('key'), headers: { from: 'somebody', n: '1' } });
      for (const end of ['commit', 'abort'] as const) {
        const transaction = await foreign.transaction();
        await more((record) => transaction.send(record), Buffer.from(end));
        await transaction[end]();
      }
      // Codecs that are not read here. What does not even hold what it says, brokers refuse.
      for (const partition of both) {
        const link = raw.leaderLink(name, partition);
        const produce = (batch: Buffer) => link.send('a foreign batch', produceRequest(name, partition, batch, 10_000));
        for (const codec of [3, 4] as const) {
          await produce(await foreignBatch(codec));
          if (isRead) holes++;
        }
        const rubbish = sealed(Buffer.concat([(await foreignBatch(3)).subarray(0, batchHeaderBytes), Buffer.from('rubbish')]), 1);
        await expect(produce(rubbish)).rejects.toThrow();
        link.close();
      }
      load();
    }
    load(100);
    const box = new DeadLetterBox(bus);
    await patiently('every poison is a dead letter', 120_000, async () => missingOf(await lettersFound(box)).length === 0);
    await patiently('every foreign batch is counted as damaged', 60_000, async () => (await damagedOf('aggregator', 'sinks')) === holes);

    // What starts now reads the poison again: checkpoints, positions, ends of outputs.
    for (const role of ['aggregator', 'sinks', 'gateway'] as const) {
      expect(await roles.stop(role), roles.said(role)).toBe(143);
      await roles.start(role);
      load();
    }
    expect(await Promise.all(collectors.map((collector) => collector.close(60_000)))).toEqual(collectors.map(() => 0));
    const files = new FileStore(roles.folderOf('sinks'));
    const verdict = async () => verdictOf(events, await files.events(''));
    await patiently('every event is stored', 120_000, async () => (await verdict()).missing === 0);
    expect(await verdict()).toEqual(clean);
    expect(roles.said('aggregator')).not.toContain('AGGREGATOR_STATE_LOST');
    const found = await lettersFound(box);
    expect([missingOf(found), [...found].filter((place) => !expected.has(place))]).toEqual([[], []]);
    process.stdout.write(`  ${events.count} events, ${expected.size} poisons, ${holes} foreign batches\n`);
  } finally {
    raw.close();
    await Promise.all([foreign.disconnect(), plain.disconnect()]);
  }
});

// It purges what the test before made: there is no second try.
test('any process with a bus shows and purges the letters of all, several at once; one without sinks replays none', {
  retry: 0,
}, async () => {
  await roles.start('sinks', 'sinks-2');
  const ids = (out: string) =>
    out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id);
  const lists = await Promise.all(
    ['gateway', 'aggregator', 'sinks', 'sinks-2'].map((name) => dlq(name, 'list', '--json', '--limit', '10000')),
  );
  const all = ids(lists[0].stdout);
  expect(all.length).toBeGreaterThanOrEqual(expected.size);
  for (const { code, stdout } of lists) expect([code, ids(stdout)]).toEqual([0, all]);

  const refused = await dlq('aggregator', 'replay', '--all');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/this process runs no sinks.*role sinks.*--data-dir/s)]);
  const file = await dlq('sinks-2', 'replay', '--all', '--json');
  expect(file.code).toBe(1);
  expect(new Set(file.stdout.match(/"code":"[A-Z_]+"/g))).toEqual(
    new Set(['"code":"LETTER_NOT_OF_A_SINK"', '"code":"LETTER_NOT_AN_EVENT"']),
  );

  expect((await dlq('aggregator', 'purge', all[0])).stdout).toBe('1 purged\n');
  const purges = await Promise.all(['sinks', 'sinks-2', 'gateway'].map((name) => dlq(name, 'purge', '--all', '--json')));
  const purged = purges.map(({ stdout }) => (JSON.parse(stdout) as { purged: number }).purged);
  expect(purged.reduce((sum, count) => sum + count, 0)).toBe(all.length - 1);
  for (const name of ['sinks-2', 'aggregator']) expect((await dlq(name, 'list')).stdout).toBe('No dead letters wait.\n');
  const unknown = await dlq('gateway', 'show', all[0]);
  expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining(`no dead letter ${all[0]}`)]);
});

test('two sinks processes that replay the same letters at once send each event once', async () => {
  const own = `replayed${++runs}-`;
  taken.length = 0;
  const pair = await KafkaRoles.over(kafka.address, join(folder.path, `pair${runs}`), [
    `bus.kafka.topicPrefix=${own}`,
    `bus.kafka.partitions=${partitions}`,
    `sinks.loki.url=http://127.0.0.1:${(store.address() as AddressInfo).port}`,
    ...['enabled=true', 'encoding=json', 'readBack=false'].map((setting) => `sinks.loki.${setting}`),
  ]);
  const letters = await openKafkaBus({ config: configOf(own), topics: [lettersTopic], log });
  try {
    await Promise.all([pair.start('sinks'), pair.start('sinks', 'sinks-2')]);
    for (const partition of both) await letters.append(topics.deadLetters, partition, lettersOf('loki', partition, 700));
    const replays = await Promise.all(
      ['sinks', 'sinks-2'].map((name) => dlqOf(pair, name, 'replay', '--all', '--target', 'loki', '--json')),
    );
    const delivered = replays.map(({ stdout }) => stdout.match(/"delivered":true/g)?.length ?? 0);
    expect([taken.length, new Set(taken).size, delivered[0] + delivered[1]]).toEqual([1_400, 1_400, 1_400]);
    expect((await dlqOf(pair, 'sinks', 'list')).stdout).toBe('No dead letters wait.\n');
  } finally {
    await pair.killAll();
    await letters.close();
  }
});

/** Letters of events of now. */
function lettersOf(target: string, partition: number, count: number): Uint8Array[] {
  const error = sinkError('SINK_NOT_OPEN', { sink: target });
  const startS = Math.floor(Date.now() / 1000) - 60;
  const stream = new EventStream({ prefix: `00000000000000e${partition}`, node: 'node1', startS, stepNs: 1_000_000 });
  const view = decodeEventBatch(stream.next(count));
  return Array.from({ length: count }, (_, row) => {
    const event = { id: view.id(row), rawOffset: view.rawOffset(row), ordinal: view.ordinal(row) };
    const payload = encodeSingleEvent(view, row);
    return encodeDeadLetter({ stage: 'sink', target, error, topic: topics.events, partition, offset: row, event, payload });
  });
}

test('over Kafka two processes that replay at once send each event once; each letter is counted by one of them, and stays settled when the commits have expired', async () => {
  const own = `letters${++runs}-`;
  const open = () => openKafkaBus({ config: configOf(own), topics: [lettersTopic], log });
  const buses = [await open(), await open()];
  const client = new Kafka({ brokers: [kafka.address], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  const counts = buses.map((one) => new DeadLetterCount(one, log));
  const waiting = () => counts.reduce((sum, count) => sum + count.waiting, 0);
  try {
    for (const partition of both) await buses[0].append(topics.deadLetters, partition, lettersOf('store', partition, 600));
    await patiently(
      'all letters are counted, and both count',
      60_000,
      () => waiting() === 1_200 && counts.every((count) => count.waiting === 600),
    );
    const stored: string[] = [];
    // It cannot be asked, and takes its time.
    const replay: Sinks['replay'] = async (_, { view, items }) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return Array.from(items, (row) => {
        stored.push(view.id(row));
        return { error: undefined, isDoubtful: false };
      });
    };
    const boxes = buses.map((one) => new DeadLetterBox(one));
    const outcomes = await Promise.all(
      boxes.map(async (box) => {
        let delivered = 0;
        for await (const { error: cause } of replayLetters(box, { replay }, {}, signal, log)) if (cause === undefined) delivered++;
        return delivered;
      }),
    );
    expect([stored.length, new Set(stored).size, outcomes[0] + outcomes[1]]).toEqual([1_200, 1_200, 1_200]);
    await patiently('none is counted any more', 60_000, () => waiting() === 0);
    await Promise.all(counts.map((count) => count.close()));
    await admin.connect();
    await admin.deleteGroups([`${own}jitterscope.dlq`]);
    for await (const { id } of new DeadLetterBox(buses[1]).waiting({}, signal)) expect(id).toBeUndefined();
  } finally {
    await Promise.all(counts.map((count) => count.close()));
    await admin.disconnect();
    await Promise.all(buses.map((one) => one.close()));
  }
});

test('over Kafka: letters that retention takes while they wait are counted as lost, once, also those that go while nobody counts; the others stay', async () => {
  const own = `retained${++runs}-`;
  const one = await openKafkaBus({ config: configOf(own), topics: [lettersTopic], log });
  const admin = new Kafka({ brokers: [kafka.address], logLevel: logLevel.NOTHING }).admin();
  const box = new DeadLetterBox(one);
  const waiting = async () => {
    const found = new Map<string, number>();
    for await (const { id } of box.waiting({}, signal)) found.set(id.split('-')[0], (found.get(id.split('-')[0]) ?? 0) + 1);
    return [...found.values()];
  };
  /** What retention does, when it is wanted. */
  const retain = (from: number) =>
    admin.deleteTopicRecords({
      topic: own + topics.deadLetters,
      partitions: both.map((partition) => ({ partition, offset: String(from) })),
    });
  const counts = [new DeadLetterCount(one, log, 200)];
  const isCounted = (wanted: object) => () => {
    const { waiting: waits, lost } = counts[counts.length - 1];
    return JSON.stringify({ waits, lost }) === JSON.stringify(wanted);
  };
  try {
    await admin.connect();
    const append = (partition: number) =>
      appendRetrying(one, topics.deadLetters, partition, lettersOf('store', partition, 600), log, signal);
    await Promise.all(both.map(append));
    // It deletes of topics only that it has been asked of.
    await admin.fetchTopicOffsets(own + topics.deadLetters);
    // What a busy broker took without saying so is there twice.
    const ends = await Promise.all(both.map(async (partition) => (await one.offsets(topics.deadLetters, partition)).next));
    const all = ends[0] + ends[1];
    await patiently('all are counted', 60_000, isCounted({ waits: all, lost: 0 }));
    const purged = Array.from({ length: 100 }, (_, offset) => `0-${offset}`);
    await box.settle(purged, signal);
    await retain(300);
    await patiently('what went is lost, but for what was purged', 60_000, isCounted({ waits: all - 600, lost: 200 + 300 }));
    expect(await waiting()).toEqual(ends.map((end) => end - 300));
    await counts[0].close();
    await retain(400);
    counts.push(new DeadLetterCount(one, log, 200));
    await patiently('what went meanwhile is lost', 60_000, isCounted({ waits: all - 800, lost: 200 }));
    expect(await waiting()).toEqual(ends.map((end) => end - 400));
    await expect(box.read('0-399', signal)).rejects.toMatchObject({
      code: 'DEAD_LETTER_UNKNOWN',
      remedy: expect.stringContaining('bus.deadLettersSize'),
    });
    expect((await box.read('0-400', signal)).id).toBe('0-400');
  } finally {
    await Promise.all(counts.map((count) => count.close()));
    await admin.disconnect();
    await one.close();
  }
});
