import { messageOf } from '../../app-error.ts';
import type { TopicSpec } from '../bus.ts';
import { MAX_MESSAGE_BYTES } from '../frame.ts';
import type { KafkaClient } from './client.ts';
import type { KafkaConfig } from './config.ts';
import { errorType, kafkaError } from './errors.ts';
import { batchHeaderBytes, maxRecordOverheadBytes } from './record-batch.ts';

const topicResource = 2;
const createTimeoutMs = 30_000;
const createdWaitMs = 100;
const createdLimitMs = 15_000;
const mebibyte = 1024 * 1024;
const topicExists = 'TOPIC_ALREADY_EXISTS';
const unknownTopic = 'UNKNOWN_TOPIC_OR_PARTITION';

/** From so many replicas on one may be away, and what is acknowledged still lies on two. */
const safeReplicas = 3;
/** What is not read here: brokers that compress anew would make every batch unreadable. */
const unreadable = /^(zstd|lz4)$/;

/** Whether a topic's compression.type is one that is not read here. */
export function isUnreadable(compressionType: string): boolean {
  return unreadable.test(compressionType);
}

/** A batch with the largest message. */
export const maxBatchBytes = MAX_MESSAGE_BYTES + batchHeaderBytes + maxRecordOverheadBytes;

/**
 * Settings that a topic is created with. By checkpoint: nothing is deleted by age or size, what lies below a checkpoint is
 * deleted by its owner. By size: Kafka deletes the oldest segment at the cap. Nothing is compacted: every message counts,
 * so what is acknowledged lies on two brokers where there are three, and no replica that lags ever leads.
 */
export function settingsOf({ retain, maxBytes }: TopicSpec, replicationFactor: number): Record<string, string> {
  return {
    'cleanup.policy': 'delete',
    'retention.ms': '-1',
    'retention.bytes': retain === 'checkpoint' ? '-1' : String(maxBytes),
    // Deleted as a whole; a segment has to hold the largest batch.
    'segment.bytes': String(Math.max(16 * mebibyte, Math.min(64 * mebibyte, Math.floor(maxBytes / 4)))),
    'max.message.bytes': String(maxBatchBytes),
    'compression.type': 'producer',
    'message.timestamp.type': 'CreateTime',
    'unclean.leader.election.enable': 'false',
    ...(replicationFactor >= safeReplicas ? { 'min.insync.replicas': '2' } : {}),
  };
}

/** Creates what is missing, and checks what is there: number of partitions, clean-up, size of messages, compression. */
export async function prepareTopics(client: KafkaClient, config: KafkaConfig, specs: readonly TopicSpec[]): Promise<void> {
  const missing = await missingOf(client, specs);
  client.workWith(specs.filter((spec) => !missing.includes(spec)).map(({ name }) => name));
  if (missing.length > 0) {
    if (!config.createTopics) throw kafkaError('KAFKA_TOPIC_MISSING', { topic: missing[0].name, partitions: missing[0].partitions });
    await createTopics(client, config, missing);
    const limit = performance.now() + createdLimitMs;
    while ((await missingOf(client, specs)).length > 0 && performance.now() < limit)
      await new Promise((resolve) => setTimeout(resolve, createdWaitMs));
  }
  client.workWith(specs.map(({ name }) => name));
  await checkTopics(client, config, specs);
}

/** A topic as it is laid out. */
interface TopicLayout {
  readonly partitions: number;
  /** Of the partition that has the fewest. */
  readonly replicas: number;
}

/** By topic; topics that do not exist are left out. */
async function layoutsOf(client: KafkaClient, specs: readonly TopicSpec[]): Promise<Map<string, TopicLayout>> {
  const found = new Map<string, TopicLayout>();
  for (const { name } of specs) {
    try {
      const { topicMetadata } = await client.metadataOf([name]);
      for (const { topic, partitionMetadata } of topicMetadata) {
        const replicas = Math.min(...partitionMetadata.map((row) => row.replicas.length));
        found.set(topic, { partitions: partitionMetadata.length, replicas });
      }
    } catch (thrown) {
      if (errorType(thrown) !== unknownTopic) throw thrown;
    }
  }
  return found;
}

async function missingOf(client: KafkaClient, specs: readonly TopicSpec[]): Promise<TopicSpec[]> {
  const found = await layoutsOf(client, specs);
  return specs.filter(({ name }) => !found.has(name));
}

async function createTopics(client: KafkaClient, { replicationFactor }: KafkaConfig, specs: readonly TopicSpec[]): Promise<void> {
  const link = client.controllerLink();
  try {
    for (const spec of specs) {
      const configEntries = Object.entries(settingsOf(spec, replicationFactor)).map(([name, value]) => ({ name, value }));
      const topic = { topic: spec.name, numPartitions: spec.partitions, replicationFactor, configEntries };
      await link
        .ask(`the topic ${spec.name}`, async (broker) => {
          try {
            await broker.createTopics({ topics: [topic], timeout: createTimeoutMs });
          } catch (thrown) {
            // kafkajs gathers the errors of topics; there is one.
            throw (thrown as { readonly errors?: readonly unknown[] }).errors?.[0] ?? thrown;
          }
        })
        .catch((thrown: unknown) => {
          // Another process was faster.
          if (errorType(thrown) === topicExists) return;
          if (errorType(thrown) !== 'INVALID_REPLICATION_FACTOR') throw thrown;
          throw kafkaError('KAFKA_REPLICATION_FACTOR', { topic: spec.name, found: replicationFactor, cause: messageOf(thrown) }, thrown);
        });
    }
  } finally {
    link.close();
  }
}

async function checkTopics(client: KafkaClient, { replicationFactor }: KafkaConfig, specs: readonly TopicSpec[]): Promise<void> {
  const layouts = await layoutsOf(client, specs);
  for (const { name: topic, partitions: expected } of specs) {
    const found = layouts.get(topic)?.partitions ?? 0;
    if (found !== expected) throw kafkaError('KAFKA_TOPIC_PARTITIONS', { topic, found, expected });
  }
  const durable = ['min.insync.replicas', 'unclean.leader.election.enable'];
  const names = ['cleanup.policy', 'max.message.bytes', 'retention.ms', 'retention.bytes', 'compression.type', ...durable];
  const settings = await settingsOfTopics(
    client,
    specs.map(({ name }) => name),
    names,
  );
  for (const spec of specs) {
    const found = settings.get(spec.name) ?? new Map<string, string>();
    checkSettings(spec, found);
    checkReplicas(spec.name, { wanted: replicationFactor, found: layouts.get(spec.name)?.replicas ?? 0 }, found);
  }
}

/**
 * Throws KAFKA_TOPIC_SETTING where what is acknowledged would be lost with one broker, although `bus.kafka.replicationFactor` asks
 * for three replicas or more. With fewer it is what was asked for, as on a single broker.
 */
export function checkReplicas(
  topic: string,
  replicas: { readonly wanted: number; readonly found: number },
  settings: ReadonlyMap<string, string>,
): void {
  if (replicas.wanted < safeReplicas) return;
  const remedy = (what: string): string =>
    `${what} Or set bus.kafka.replicationFactor to 1: then what one broker has acknowledged counts, and is lost with it.`;
  const refuse = (setting: string, found: string | number, expected: string, what: string) =>
    kafkaError('KAFKA_TOPIC_SETTING', { topic, setting, found, expected, remedy: remedy(what) });
  if (replicas.found < 2) throw refuse('replicas', replicas.found, '2 or more', 'Add replicas (kafka-reassign-partitions).');
  const minInsync = settings.get('min.insync.replicas') ?? '1';
  if (Number(minInsync) < 2)
    throw refuse(
      'min.insync.replicas',
      minInsync,
      '2',
      `Set it: kafka-configs --alter --topic ${topic} --add-config min.insync.replicas=2.`,
    );
  if (settings.get('unclean.leader.election.enable') === 'true')
    throw refuse('unclean.leader.election.enable', 'true', 'false', 'Set it to false on the topic.');
}

/** Throws KAFKA_TOPIC_SETTING for a topic that would lose messages, or whose messages could not be written or read. */
export function checkSettings({ name: topic, retain }: TopicSpec, settings: ReadonlyMap<string, string>): void {
  const refuse = (setting: string, expected: string, remedy: string) =>
    kafkaError('KAFKA_TOPIC_SETTING', { topic, setting, found: settings.get(setting) ?? 'nothing', expected, remedy });
  if ((settings.get('cleanup.policy') ?? 'delete').includes('compact'))
    throw refuse('cleanup.policy', 'delete', 'Messages have no keys, and each of them counts: a compacted topic loses them.');
  if (Number(settings.get('max.message.bytes') ?? maxBatchBytes) < maxBatchBytes)
    throw refuse('max.message.bytes', `at least ${maxBatchBytes}`, 'Raise it, on the topic or on the brokers.');
  if (isUnreadable(settings.get('compression.type') ?? ''))
    throw refuse('compression.type', 'producer', 'Set it to producer (or gzip, snappy, uncompressed): nothing else can be read here.');
  if (retain !== 'checkpoint') return;
  for (const setting of ['retention.bytes', 'retention.ms']) {
    if (Number(settings.get(setting) ?? -1) >= 0)
      throw refuse(
        setting,
        '-1',
        'Set it to -1: what lies below a checkpoint is deleted by jitterscope itself; anything else would be lost unread.',
      );
  }
}

/** The setting compression.type of a topic; empty where it is not told. */
export async function compressionTypeOf(client: KafkaClient, topic: string): Promise<string> {
  const settings = await settingsOfTopics(client, [topic], ['compression.type']);
  return settings.get(topic)?.get('compression.type') ?? '';
}

/** Settings of topics as the brokers have them, by topic and name. */
async function settingsOfTopics(
  client: KafkaClient,
  topics: readonly string[],
  names: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const link = client.controllerLink();
  try {
    const asked = topics.map((name) => ({ type: topicResource, name, configNames: names }));
    const { resources } = await link.ask('the settings of the topics', (broker) => broker.describeConfigs({ resources: asked }));
    return new Map(
      resources.map(({ resourceName, configEntries }) => [
        resourceName,
        new Map(configEntries.map(({ configName, configValue }) => [configName, configValue ?? ''])),
      ]),
    );
  } finally {
    link.close();
  }
}
