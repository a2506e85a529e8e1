import { expect, test } from 'vitest';
import type { Commit } from '../core/bus/bus.ts';
import { topics } from '../proto/bus.ts';
import { encodeReport } from '../services/aggregator/report.ts';
import { emptyGatewayMetrics } from '../services/gateway/metrics.ts';
import { newDispositions } from '../services/sinks/metrics.ts';
import { encodePosition } from '../services/sinks/position.ts';
import { pipelineFigures } from './pipeline-figures.ts';

const MIB = 2 ** 20;
const dispositions = {
  ...newDispositions(),
  rejected: 2,
  undecodableMessages: 1,
  lost: { retention: 3, damaged: 0, undecodable: 4, unexplained: 0 },
};

/** Partition 0: a raw log of 100 messages, of which some are not below a checkpoint, and a sink that is behind. */
function figures({ uncheckpointed = 0, behind = 0, stateLost = false, own = ['file'] } = {}) {
  const log = { partition: 0, maxBytes: 100 * MIB, earliest: 900, next: 1000, pendingBytes: 0, commits: 0 };
  const commits: Record<string, Commit> = {
    'aggregator/0': { offset: 1000 - uncheckpointed, metadata: encodeReport({ heldBytes: 5, refusedMessages: 6, stateLost }) },
    'sink-file/0': { offset: 1000 - behind, metadata: encodePosition({ dispositions }) },
  };
  return pipelineFigures({
    bus: {
      // All of them would be asked for once for each.
      stats: (only) => {
        if (only === undefined) throw new Error('all logs are asked for');
        return only > 0
          ? []
          : [
              { ...log, topic: topics.raw, bytes: 80 * MIB },
              { ...log, topic: topics.events, bytes: 100 * MIB },
            ];
      },
      position: (group, _, partition) => commits[`${group}/${partition}`],
    },
    ownSinks: () => own,
    otherSinks: ['file', 'loki'],
    gatewayQueue: () => 'gateway',
    maxHeldBytes: 10,
  });
}

const gateway = { ...emptyGatewayMetrics(), queuedBytes: MIB, queueCapacityBytes: 16 * MIB };

test('queues are told as far as somebody still needs what fills them', () => {
  expect(figures({ uncheckpointed: 50, behind: 100 })(0, gateway).queues).toEqual([
    { queue: 'raw', depthBytes: 40 * MIB, capacityBytes: 100 * MIB },
    { queue: 'events/file', depthBytes: 100 * MIB, capacityBytes: 100 * MIB },
    { queue: 'held', depthBytes: 5, capacityBytes: 10 },
    { queue: 'gateway', depthBytes: MIB, capacityBytes: 16 * MIB },
  ]);
  // A log that is full of what everybody has read is not a full queue.
  expect(figures()(0, gateway).queues?.map(({ depthBytes }) => depthBytes)).toEqual([0, 0, 5, MIB]);
});

test('dead letters, lost events and a lost state are told by who they are of', () => {
  expect(figures({ stateLost: true })(0, gateway)).toMatchObject({
    deadLetters: [
      { name: 'aggregator', total: 6 },
      { name: 'file', total: 3 },
    ],
    lostEvents: [{ name: 'file', total: 7 }],
    stateLost: true,
  });
  expect(figures()(0, gateway)).toMatchObject({ stateLost: false });
});

test('sinks of other processes are told as soon as they have committed, own ones at once', () => {
  const queuesOf = (own: string[]) => figures({ own })(0, gateway).queues?.flatMap(({ queue }) => queue?.split('events/')[1] ?? []);
  expect(queuesOf([])).toEqual(['file']);
  expect(queuesOf(['elasticsearch'])).toEqual(['elasticsearch', 'file']);
});

test('of a partition that nobody works on there is nothing to tell', () => {
  const { queues, deadLetters, lostEvents } = figures({ uncheckpointed: 50, behind: 100 })(7, emptyGatewayMetrics());
  expect(queues?.map(({ depthBytes }) => depthBytes)).toEqual([0, 0, 0, 0]);
  expect([deadLetters, lostEvents]).toEqual([[], []]);
});
