import { expect, test } from 'vitest';
import { WatchedLogs } from './watched-logs.ts';

const sizeOf = (logs: WatchedLogs): number | undefined => {
  const log = logs.log('raw', 0);
  return log?.bytes.estimate(log.earliest, log.next);
};

test('what was written is not what is known of a log: its begin is not 0 until a broker says so', () => {
  const logs = new WatchedLogs();
  logs.seen('raw', 0, 1_000_000, 1_000_001, 500);
  expect(logs.log('raw', 0)).toBeUndefined();
  logs.asked('raw', 0);
  logs.told('raw', 0, 999_999, 1_000_000);
  expect(logs.log('raw', 0)).toMatchObject({ earliest: 999_999, next: 1_000_000 });
});

test('the end is what the broker says, or what was written since it was asked', () => {
  const logs = new WatchedLogs();
  logs.asked('raw', 0);
  logs.seen('raw', 0, 10, 20, 100);
  logs.told('raw', 0, 0, 15);
  expect(logs.log('raw', 0)?.next).toBe(20);
  logs.asked('raw', 0);
  logs.told('raw', 0, 0, 30);
  expect(logs.log('raw', 0)?.next).toBe(30);
});

test('a topic that was made anew is empty, and knows nothing of the one before', () => {
  const logs = new WatchedLogs();
  logs.asked('raw', 0);
  logs.told('raw', 0, 0, 0);
  logs.seen('raw', 0, 0, 10_000, 2 ** 30);
  expect(sizeOf(logs)).toBe(2 ** 30);
  logs.asked('raw', 0);
  logs.told('raw', 0, 0, 0);
  expect([logs.log('raw', 0)?.next, sizeOf(logs), logs.isSeen('raw')]).toEqual([0, 0, false]);
  logs.seen('raw', 0, 0, 10, 700);
  expect(sizeOf(logs)).toBe(700);
});

test('a partition of which nothing was seen is taken for one of its topic, by messages and not by partitions', () => {
  const logs = new WatchedLogs();
  for (let partition = 0; partition < 3; partition++) {
    logs.asked('raw', partition);
    logs.told('raw', partition, 0, 99);
  }
  logs.seen('raw', 1, 0, 1, 10_000);
  logs.seen('raw', 2, 0, 99, 9_900);
  expect(sizeOf(logs)).toBe(Math.round((99 * 19_900) / 100));
  logs.seen('events', 0, 0, 1, 5);
  expect(sizeOf(logs)).toBe(Math.round((99 * 19_900) / 100));
});
