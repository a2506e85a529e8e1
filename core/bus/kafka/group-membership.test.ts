import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { protocolFailure } from './kafkajs.ts';
import { consumerOf } from './test-group.ts';

const rebalanceInProgress = 27;
const generation = { generationId: 1, leaderId: 'other', memberId: 'member', groupProtocol: '', members: [] };
const commit = async (): Promise<void> => undefined;

/** A promise, and what resolves it. */
function signalled(): { readonly came: Promise<void>; readonly come: () => void } {
  let come: () => void = () => undefined;
  const came = new Promise<void>((resolve) => {
    come = resolve;
  });
  return { came, come };
}

test('a member that closes while JoinGroup waits for the others ends at once', async () => {
  const { came, come } = signalled();
  const joinGroup = (): Promise<never> => {
    come();
    return new Promise(() => undefined);
  };
  const consumer = consumerOf({ joinGroup }, commit);
  await came;
  expect(await Promise.race([consumer.close().then(() => 'closed'), sleep(10_000, 'still joining')])).toBe('closed');
}, 20_000);

test('a member that closes while it joins again leaves under its id', async () => {
  const { came, come } = signalled();
  let joins = 0;
  const left: string[] = [];
  const consumer = consumerOf(
    {
      joinGroup: () => {
        if (++joins === 1) return Promise.resolve(generation);
        come();
        return new Promise(() => undefined);
      },
      heartbeat: () => Promise.reject(protocolFailure(rebalanceInProgress)),
      leaveGroup: async ({ memberId }) => void left.push(memberId),
    },
    commit,
  );
  await came;
  expect(await Promise.race([consumer.close().then(() => 'closed'), sleep(10_000, 'still joining')])).toBe('closed');
  expect(left).toEqual(['member']);
}, 20_000);
