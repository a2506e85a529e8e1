import { expect, test } from 'vitest';
import type { CollectorBody } from '../../proto/collect.ts';
import { CollectorMessage } from '../../proto/collect.ts';
import { messageBytes } from './message-size.ts';

const many = <Item>(item: Item): Item[] => Array.from({ length: 1000 }, () => item);

const bodies: readonly (readonly [string, CollectorBody])[] = [
  ['records', { batch: { records: new Uint8Array(128_000), count: 1000 } }],
  ['translations', { batch: { translations: many({ index: 70_000, address: new Uint8Array(16), port: 65_535 }) } }],
  ['samples', { samples: { targets: many({ layout: 1, netns: 2 ** 40, values: new Array<number>(100).fill(2 ** 50), all: true }) } }],
  ['counters', { samples: { counters: many({ net: 2 ** 40, metric: 8, bucket: 9, label: 2 ** 31, value: 2 ** 50 }) } }],
  ['identity', { identity: { netns: many({ cookie: 2 ** 40, inode: 2 ** 31, names: ['cni-01234567-89ab-cdef'] }) } }],
  ['keyframe', { keyframe: { counters: many({ net: 2 ** 40, metric: 8, bucket: 9, label: 2 ** 31, value: 2 ** 50 }) } }],
];

test.each(bodies)('what waits for the disk counts with its size: %s', (_, body) => {
  const encoded = CollectorMessage.encode({ seq: 1, ...body }).finish().length;
  expect(encoded).toBeGreaterThan(10_000);
  expect(messageBytes(body)).toBeGreaterThanOrEqual(encoded);
});
