import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import { kafkaUser, type RunningKafka } from '../../../scripts/servers/kafka.mjs';
import { CertificateAuthority, replaceFile } from '../../../test/support/certificate-authority.ts';
import { FileStore, verdictOf } from '../../../test/support/event-stores.ts';
import { clean, ExpectedEvents } from '../../../test/support/expected-events.ts';
import { FakeCollector } from '../../../test/support/fake-collector.ts';
import { KafkaRoles } from '../../../test/support/kafka-roles.ts';
import { patiently } from '../../../test/support/patiently.ts';
import { startKafka } from '../../../test/support/servers.ts';
import { appendRetrying } from '../append-retrying.ts';
import { readAll, text, until } from '../contract.ts';
import { kafkaSchema } from './config.ts';
import { type KafkaBus, openKafkaBus } from './kafka-bus.ts';

const folder = mkdtempSync(join(tmpdir(), 'jitterscope-kafka-secured-'));
const topic = { name: 'secured', partitions: 2, maxBytes: 64 * 1024 * 1024, retain: 'oldest' } as const;
const passwordFile = join(folder, 'password');
let kafka: RunningKafka;

beforeAll(async () => {
  kafka = await startKafka({ dataDir: join(folder, 'kafka'), secured: true });
  writeFileSync(passwordFile, `${kafkaUser.password}\n`);
});

afterAll(async () => {
  await kafka?.kill();
  rmSync(folder, { recursive: true, force: true });
});

type Section = z.input<typeof kafkaSchema>;

function open(
  listener: 'PLAINTEXT' | 'SSL' | 'SASL_SSL',
  more: Partial<Section> = {},
  topics: Parameters<typeof openKafkaBus>[0]['topics'] = [topic],
) {
  const config = kafkaSchema.parse({ brokers: [`127.0.0.1:${kafka.ports[listener]}`], replicationFactor: 1, ...more });
  return openKafkaBus({ config, topics, log: pino({ level: 'silent' }), signal: AbortSignal.timeout(20_000) });
}

async function works(bus: KafkaBus): Promise<void> {
  try {
    const offset = await bus.append(topic.name, 1, [text('secret'), text('message')]);
    expect((await readAll(bus, topic.name, 1, offset, offset + 2)).values).toEqual(['secret', 'message']);
    await bus.commit('g', topic.name, 1, { offset, metadata: 'm' });
    expect(await bus.committed('g', topic.name, 1)).toEqual({ offset, metadata: 'm' });
  } finally {
    await bus.close();
  }
}

const ca = () => ({ ca: kafka.certificates?.ca ?? '' });

test('mutual TLS: with the authority and an own certificate', async () => {
  const { key, cert } = kafka.certificates?.client ?? { key: '', cert: '' };
  await works(await open('SSL', { tls: { ...ca(), key, cert } }));
});

test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('SASL %s over TLS, with the password from a file', async (mechanism) => {
  await works(await open('SASL_SSL', { tls: ca(), sasl: { mechanism, username: kafkaUser.name, passwordFile } }));
});

test.each(['none', 'gzip', 'snappy'] as const)('a large batch survives %s', async (compression) => {
  const bus = await open('PLAINTEXT', { compression });
  const values = Array.from({ length: 300 }, (_, index) => text(`${index} ${'x'.repeat(5_000)}`));
  const offset = await bus.append(topic.name, 0, values);
  const { values: read } = await readAll(bus, topic.name, 0, offset, offset + values.length);
  const until = offset + values.length;
  let next = offset;
  for await (const fetch of bus.read(topic.name, 0, offset, { until, maxBytes: 64 * 1024 })) {
    expect(fetch.messages.reduce((sum, { value }) => sum + value.length, 0)).toBeLessThanOrEqual(64 * 1024);
    expect([fetch.messages[0].offset, fetch.next]).toEqual([next, next + fetch.messages.length]);
    next = fetch.next;
  }
  expect(next).toBe(until);
  expect(read).toEqual(values.map((value) => Buffer.from(value).toString()));
  await bus.close();
});

test.each<[string, 'PLAINTEXT' | 'SSL' | 'SASL_SSL', (() => Partial<Section>) | undefined, string, RegExp]>([
  ['a broker of an unknown authority', 'SASL_SSL', () => ({ tls: {} }), 'KAFKA_TLS', /self.signed|issuer|verify/i],
  [
    'another name in its certificate',
    'SASL_SSL',
    () => ({ tls: { ...ca(), serverName: 'kafka.example' } }),
    'KAFKA_TLS',
    /altnames|kafka\.example/,
  ],
  ['no certificate where one is asked for', 'SSL', () => ({ tls: ca() }), 'KAFKA_TLS', /certificate/i],
  [
    'a wrong password',
    'SASL_SSL',
    () => ({ tls: ca(), sasl: { mechanism: 'scram-sha-512', username: kafkaUser.name, password: 'not it' } }),
    'KAFKA_AUTHENTICATION',
    /refuses the user/,
  ],
  [
    'a wrong password by PLAIN',
    'SASL_SSL',
    () => ({ tls: ca(), sasl: { mechanism: 'plain', username: kafkaUser.name, password: 'not it' } }),
    'KAFKA_AUTHENTICATION',
    /refuses the user/,
  ],
])('%s is told as what it is, and not tried for ever', async (_, listener, section, code, message) => {
  const failure = await open(listener, section?.()).then(
    (bus) => bus.close(),
    (thrown: unknown) => thrown,
  );
  expect(failure).toMatchObject({ code, retryable: false, message: expect.stringMatching(message) });
  expect(JSON.stringify(failure)).not.toContain('not it');
});

test('a topic with another number of partitions, a compacted one, and a missing one are refused with what to do', async () => {
  await (await open('PLAINTEXT')).close();
  await expect(open('PLAINTEXT', {}, [{ ...topic, partitions: 3 }])).rejects.toMatchObject({
    code: 'KAFKA_TOPIC_PARTITIONS',
    message: 'topic secured has 2 partitions, but `bus.kafka.partitions` is 3',
    exitCode: 78,
  });
  await expect(open('PLAINTEXT', { createTopics: false }, [{ ...topic, name: 'absent' }])).rejects.toMatchObject({
    code: 'KAFKA_TOPIC_MISSING',
  });
  await compactedTopic('compacted');
  await expect(open('PLAINTEXT', {}, [{ ...topic, name: 'compacted' }])).rejects.toMatchObject({
    code: 'KAFKA_TOPIC_SETTING',
    message: expect.stringMatching(/cleanup\.policy=compact; expected delete/),
  });
});

test('roles over SASL and TLS deliver; a password and a certificate that brokers refuse for a while hold up and end nobody, and renewed files are taken without a restart', async () => {
  const { ca: authority, client } = kafka.certificates ?? { ca: '', client: { key: '', cert: '' } };
  const own = { key: join(folder, 'own.key'), cert: join(folder, 'own.crt') };
  const use = (from: { readonly key: string; readonly cert: string }) => {
    for (const kind of ['key', 'cert'] as const) replaceFile(from[kind], own[kind]);
  };
  use(client);
  const certified = await open('SSL', { tls: { ca: authority, ...own } });
  const sasl = `bus.kafka.sasl={mechanism: plain, username: ${kafkaUser.name}, passwordFile: ${passwordFile}}`;
  const roles = await KafkaRoles.over(`127.0.0.1:${kafka.ports.SASL_SSL}`, mkdtempSync(join(folder, 'roles-')), [
    `bus.kafka.topicPrefix=roles-${randomUUID()}-`,
    'bus.kafka.partitions=1',
    `bus.kafka.tls.ca=${authority}`,
    sasl,
  ]);
  const names = ['gateway', 'aggregator', 'sinks'] as const;
  const events = new ExpectedEvents();
  try {
    await roles.start('gateway');
    await Promise.all([roles.start('aggregator'), roles.start('sinks')]);
    const collector = await FakeCollector.start({ spoolDir: mkdtempSync(join(folder, 'spool-')), gateway: roles.gateway, events });
    const verdict = async () => verdictOf(events, await new FileStore(roles.folderOf('sinks')).events(''));
    collector.batch(100);
    await patiently('events are stored', 60_000, async () => (await verdict()).missing === 0);

    writeFileSync(passwordFile, 'not it any more');
    use(new CertificateAuthority(folder, 'stranger').issue('DNS:localhost'));
    await kafka.kill();
    kafka = await startKafka({ dataDir: join(folder, 'kafka'), secured: true });
    const late = appendRetrying(certified, topic.name, 0, [text('late')], pino({ level: 'silent' }), new AbortController().signal);
    collector.batch(100);
    await until(() => certified.problem?.code === 'KAFKA_TLS');
    const isRefused = (name: string) => roles.said(name).includes('KAFKA_AUTHENTICATION');
    await patiently('each role is refused', 60_000, () => names.every(isRefused));

    writeFileSync(passwordFile, `${kafkaUser.password}\n`);
    use(client);
    const offset = await late;
    expect((await readAll(certified, topic.name, 0, offset, offset + 1)).values).toEqual(['late']);
    expect(await collector.close(60_000)).toBe(0);
    await patiently('every event is stored', 60_000, async () => (await verdict()).missing === 0);
    expect(await verdict(), names.map((name) => roles.said(name)).join('\n')).toEqual(clean);
    expect(await Promise.all(names.map((name) => roles.stop(name)))).toEqual([143, 143, 143]);
    for (const name of names) expect(roles.said(name)).not.toContain(kafkaUser.password);
  } finally {
    writeFileSync(passwordFile, `${kafkaUser.password}\n`);
    await roles.killAll();
    await certified.close();
  }
}, 300_000);

async function compactedTopic(name: string): Promise<void> {
  const { Kafka, logLevel } = await import('kafkajs');
  const admin = new Kafka({ brokers: [kafka.address], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: name, numPartitions: 2, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }] });
  await admin.disconnect();
}
