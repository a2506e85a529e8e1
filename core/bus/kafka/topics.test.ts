import { expect, test } from 'vitest';
import type { TopicSpec } from '../bus.ts';
import { checkReplicas, checkSettings, settingsOf } from './topics.ts';

const raw: TopicSpec = { name: 'raw', partitions: 1, maxBytes: 2 ** 30, retain: 'checkpoint' };
const events: TopicSpec = { ...raw, name: 'events', retain: 'oldest' };

const check = (spec: TopicSpec, changed: Record<string, string> = {}): void =>
  checkSettings(spec, new Map(Object.entries({ ...settingsOf(spec, 3), ...changed })));

test.each<[number, string | undefined]>([
  [1, undefined],
  [2, undefined],
  [3, '2'],
  [5, '2'],
])('of %i replicas, min.insync.replicas %s have what is acknowledged', (replicationFactor, expected) => {
  const settings = settingsOf(raw, replicationFactor);
  expect(settings['min.insync.replicas']).toBe(expected);
  expect(settings['unclean.leader.election.enable']).toBe('false');
});

test.each<[TopicSpec, string, string]>([
  [raw, 'cleanup.policy', 'compact,delete'],
  [raw, 'max.message.bytes', '1048588'],
  [raw, 'retention.bytes', '1073741824'],
  [raw, 'retention.ms', '604800000'],
  [raw, 'compression.type', 'zstd'],
  [events, 'compression.type', 'lz4'],
])('topic $name with %s=%s is refused, with a remedy', (spec, setting, found) => {
  let thrown: unknown;
  try {
    check(spec, { [setting]: found });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ code: 'KAFKA_TOPIC_SETTING', details: { topic: spec.name, setting, found }, retryable: false });
  expect((thrown as { remedy: string }).remedy).not.toBe('');
});

test.each<[TopicSpec, Record<string, string>]>([
  [raw, {}],
  [events, { 'retention.ms': '604800000', 'retention.bytes': '1073741824' }],
  [raw, { 'compression.type': 'snappy' }],
  [raw, { 'compression.type': 'gzip' }],
])('topic $name with %o is taken', (spec, changed) => {
  expect(() => check(spec, changed)).not.toThrow();
});

const lasting = { 'min.insync.replicas': '2', 'unclean.leader.election.enable': 'false' };

test.each<[number, number, Record<string, string>, string | undefined]>([
  [3, 3, lasting, undefined],
  [3, 2, lasting, undefined],
  [3, 1, lasting, 'replicas'],
  [3, 3, { ...lasting, 'min.insync.replicas': '1' }, 'min.insync.replicas'],
  [3, 3, {}, 'min.insync.replicas'],
  [3, 3, { ...lasting, 'unclean.leader.election.enable': 'true' }, 'unclean.leader.election.enable'],
  [2, 2, { 'min.insync.replicas': '1' }, undefined],
  [1, 1, { 'min.insync.replicas': '1' }, undefined],
])('asked for %i replicas, a topic with %i and %o: %s is refused, with a remedy', (wanted, found, settings, setting) => {
  const check = (): void => checkReplicas('raw', { wanted, found }, new Map(Object.entries(settings)));
  if (setting === undefined) expect(check).not.toThrow();
  else
    expect(check).toThrow(
      expect.objectContaining({ code: 'KAFKA_TOPIC_SETTING', remedy: expect.stringMatching(/replicationFactor to 1/) }),
    );
});
