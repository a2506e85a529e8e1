import { expect, test } from 'vitest';
import type { EmbeddedLog } from '../core/bus/embedded-log.ts';
import { topics } from '../proto/bus.ts';
import type { Aggregator } from '../services/aggregator/main.ts';
import { emptyGatewayMetrics } from '../services/gateway/metrics.ts';
import type { Sinks } from '../services/sinks/main.ts';
import { pipelineFigures } from './pipeline-figures.ts';

const MIB = 2 ** 20;

/** A process with one partition: a raw log of 100 messages, of which some are not below a checkpoint, and a sink that is behind. */
function sourcesOf({ uncheckpointed = 0, behind = 0, stateLost = false } = {}) {
  const log = { partition: 0, maxBytes: 100 * MIB, earliest: 900, next: 1000 };
  const stats = () => [
    { ...log, topic: topics.raw, bytes: 80 * MIB },
    { ...log, topic: topics.events, bytes: 100 * MIB },
  ];
  const counts = { rejected: 2, undecodableMessages: 1, lost: { retention: 3, damaged: 0, undecodable: 4, unexplained: 0 } };
  return {
    bus: { stats } as unknown as EmbeddedLog,
    aggregator: {
      partitions: () => new Map([[0, { heldBytes: 5, dispositions: { refusedMessages: 6 } }]]),
      uncheckpointed: async () => new Map([[0, uncheckpointed]]),
      statesLost: () => new Set(stateLost ? [0] : []),
    } as unknown as Aggregator,
    sinks: {
      stats: () => [{ sink: 'file', partitions: new Map([[0, counts]]) }],
      lag: async () => new Map([['file', new Map([[0, behind]])]]),
    } as unknown as Sinks,
    maxInFlightBytes: 8 * MIB,
    maxHeldBytes: 10,
  };
}

const gateway = { ...emptyGatewayMetrics(), streams: 2, queuedBytes: MIB };

test('a log that is kept up to its cap is as full as what somebody still needs of it', async () => {
  const { queues } = await pipelineFigures(sourcesOf({ uncheckpointed: 50, behind: 100 }))(0, gateway);
  expect(queues).toEqual([
    { queue: 'raw', depthBytes: 40 * MIB, capacityBytes: 100 * MIB },
    { queue: 'events/file', depthBytes: 100 * MIB, capacityBytes: 100 * MIB },
    { queue: 'held', depthBytes: 5, capacityBytes: 10 },
    { queue: 'gateway', depthBytes: MIB, capacityBytes: 16 * MIB },
  ]);
  const idle = await pipelineFigures(sourcesOf())(0, gateway);
  expect(idle.queues?.slice(0, 2).map(({ depthBytes }) => depthBytes)).toEqual([0, 0]);
});

test('what was given up is told by who gave it up, and a lost state for the first minute', async () => {
  expect(await pipelineFigures(sourcesOf({ stateLost: true }))(0, gateway)).toMatchObject({
    deadLetters: [
      { name: 'aggregator', total: 6 },
      { name: 'file', total: 3 },
    ],
    lostEvents: [{ name: 'file', total: 7 }],
    stateLost: true,
  });
  expect(await pipelineFigures(sourcesOf())(0, gateway)).toMatchObject({ stateLost: false });
});

test('of a partition that nobody works on there is nothing to tell', async () => {
  const { queues, deadLetters, lostEvents } = await pipelineFigures(sourcesOf({ uncheckpointed: 50, behind: 100 }))(
    7,
    emptyGatewayMetrics(),
  );
  expect(queues?.map(({ depthBytes }) => depthBytes)).toEqual([0, 0, 0, 0]);
  expect([deadLetters, lostEvents]).toEqual([[], []]);
});
