import { expect, test } from 'vitest';
import { until } from '../contract.ts';
import type { Broker } from './broker.ts';
import type { BrokerLink } from './link.ts';
import { LogWatch, type LogWatchOptions } from './log-watch.ts';
import { encodeRecordBatch } from './record-batch.ts';

const topic = 'raw';
const earliestOffset = -2;

/** A link to a broker that leads partitions whose logs lie between these bounds, and hold messages of 100 bytes. */
function linkTo(bounds: () => readonly [number, number]): BrokerLink {
  const listOffsets = async ({ topics }: Parameters<Broker['listOffsets']>[0]) => ({
    responses: topics.map((asked) => ({
      topic: asked.topic,
      partitions: asked.partitions.map(({ partition, timestamp }) => ({
        partition,
        offset: String(bounds()[timestamp === earliestOffset ? 0 : 1]),
      })),
    })),
  });
  return {
    ask: (_: string, request: (broker: Broker) => Promise<unknown>) => request({ listOffsets } as unknown as Broker),
    send: async () => ({ highWatermark: 1, batches: await encodeRecordBatch([new Uint8Array(100)], 'none', 0) }),
    close: () => undefined,
  } as unknown as BrokerLink;
}

/** Ends when the link is closed, and not before. */
function silentLink(): BrokerLink {
  let end: (error: Error) => void = () => undefined;
  const ended = new Promise<never>((_, reject) => {
    end = reject;
  });
  return { ask: () => ended, close: () => end(new Error('closed')) } as unknown as BrokerLink;
}

function watchOf(options: Partial<LogWatchOptions> & { links: readonly BrokerLink[] }): LogWatch {
  return new LogWatch({
    client: {
      leaders: async () => new Map(options.links.map((_, nodeId) => [nodeId, [{ topic, partitions: [nodeId] }]])),
      brokerLink: (nodeId) => options.links[nodeId],
    },
    groups: [
      { group: 'away', topic, partitions: 2 },
      { group: 'there', topic, partitions: 2 },
    ],
    commits: { all: (group) => (group === 'away' ? new Promise(() => undefined) : Promise.resolve(new Map())) },
    failed: () => undefined,
    ...options,
  });
}

test('a broker and a group that do not answer hold up nobody else, and nothing is known of them', async () => {
  let next = 5;
  let asks = 0;
  const all: LogWatchOptions['commits']['all'] = (group) => {
    if (group === 'there') return Promise.resolve(new Map([[0, { offset: ++asks, metadata: '' }]]));
    return new Promise((_, reject) => setTimeout(reject, 60_000, new Error('too late')).unref());
  };
  const watch = watchOf({ links: [silentLink(), linkTo(() => [0, next])], commits: { all } });
  await until(() => watch.log(topic, 1)?.next === 5 && watch.isKnown('there', topic));
  next = 9;
  await until(() => watch.log(topic, 1)?.next === 9 && (watch.position('there', topic, 0)?.offset ?? 0) > 1);
  expect(watch.log(topic, 0)).toBeUndefined();
  expect([watch.isKnown('away', topic), watch.position('there', topic, 1)]).toEqual([false, undefined]);
  void watch.close();
});

test('what fails is told, whatever it is; a group that has committed nothing is known to have not', async () => {
  const told: unknown[] = [];
  const defect = new TypeError('a defect');
  const watch = watchOf({
    links: [linkTo(() => [0, 1])],
    commits: { all: (group) => (group === 'away' ? Promise.reject(defect) : Promise.resolve(new Map())) },
    failed: (what, thrown) => told.push([what, thrown]),
  });
  await until(() => told.length > 0 && watch.isKnown('there', topic));
  expect(told[0]).toEqual(['the position of away', defect]);
  expect(watch.isKnown('away', topic)).toBe(false);
  await watch.close();
});

test('whoever closes it waits until nobody is asked any more', async () => {
  let leaders: (found: Map<number, []>) => void = () => undefined;
  const watch = watchOf({
    links: [],
    groups: [],
    client: { leaders: () => new Promise((resolve) => (leaders = resolve)), brokerLink: silentLink },
  });
  let closed = false;
  const closing = watch.close().then(() => (closed = true));
  await new Promise(setImmediate);
  expect(closed).toBe(false);
  leaders(new Map());
  await closing;
});
