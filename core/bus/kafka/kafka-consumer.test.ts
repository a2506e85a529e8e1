import { expect, test } from 'vitest';
import type { Committer } from './commits.ts';
import { kafkaFailure } from './errors.ts';
import type { KafkaConsumer } from './kafka-consumer.ts';
import { protocolFailure } from './kafkajs.ts';
import { consumerOf } from './test-group.ts';

const unknownMember = 25;
const coordinatorLoading = 14;
const position = { offset: 1, metadata: '' };

test('work commits as whom it was given to, also when the member is known no more', async () => {
  const committers: Committer[] = [];
  const commit = async (_partition: number, _commit: unknown, as: Committer): Promise<void> => void committers.push(as);
  let consumer: KafkaConsumer | undefined;
  let joins = 0;
  const joinGroup = async (): Promise<never> => {
    if (++joins === 1) return { generationId: 1, leaderId: 'other', memberId: 'first', groupProtocol: '', members: [] } as never;
    throw protocolFailure(coordinatorLoading);
  };
  const heartbeat = async (): Promise<never> => {
    throw protocolFailure(unknownMember);
  };
  const lastWords = new Promise<void>((resolve, reject) => {
    const revoked = (): Promise<void> => (consumer as KafkaConsumer).commit(0, position).then(resolve, reject);
    consumer = consumerOf({ joinGroup, heartbeat }, commit, { revoked });
  });
  await lastWords;
  expect(committers).toEqual([{ memberId: 'first', generationId: 1 }]);
  await consumer?.close();
  await expect(consumer?.commit(0, position)).rejects.toMatchObject({ code: 'BUS_NOT_ASSIGNED' });
});

test('a commit that is tried again ends when its work has', async () => {
  let tried: () => void = () => undefined;
  const once = new Promise<void>((resolve) => {
    tried = resolve;
  });
  let tries = 0;
  const commit = async (): Promise<void> => {
    tries++;
    tried();
    throw kafkaFailure(protocolFailure(coordinatorLoading), 'a commit', 'kafka-0:9092');
  };
  let committing: Promise<unknown> | undefined;
  let handled: () => void = () => undefined;
  const handling = new Promise<void>((resolve) => {
    handled = resolve;
  });
  const consumer = consumerOf({}, commit, {
    handle: async () => {
      // Not waited for, as a checkpoint by a timer is not.
      committing = consumer.commit(0, position).catch((error: unknown) => error);
      handled();
    },
  });
  await Promise.all([handling, once]);
  await consumer.close();
  const triesWhileHeld = tries;
  expect(await committing).toMatchObject({ code: 'BUS_NOT_ASSIGNED' });
  expect(tries).toBe(triesWhileHeld);
});
