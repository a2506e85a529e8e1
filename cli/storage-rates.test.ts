import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type LogFill, StorageRates } from './storage-rates.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a log grows by what was appended in the last ten minutes, whatever was deleted', async () => {
  let fill: LogFill = { name: 'raw', bytes: 1_000, maxBytes: 10_000, earliest: 0, next: 10 };
  const rates = new StorageRates(() => [fill]);
  expect(rates.report()).toMatchObject([{ bytesPerSecond: 0 }]);
  await vi.advanceTimersByTimeAsync(10_000);
  // 10 messages of 100 bytes more; 15 of all are deleted.
  fill = { ...fill, bytes: 500, earliest: 15, next: 20 };
  expect(rates.report()).toEqual([{ ...fill, bytesPerSecond: 100, overSeconds: 10 }]);
  // Nothing more for so long that the growth is forgotten.
  await vi.advanceTimersByTimeAsync(700_000);
  expect(rates.report()).toMatchObject([{ bytesPerSecond: 0 }]);
  rates.close();
  expect(vi.getTimerCount()).toBe(0);
});

test('partitions of a topic grow each by itself', async () => {
  const fill = { name: 'raw', bytes: 1_000, maxBytes: 10_000, earliest: 0, next: 10 };
  let fills: LogFill[] = [
    { ...fill, partition: 0 },
    { ...fill, partition: 1, next: 100 },
  ];
  const rates = new StorageRates(() => fills);
  await vi.advanceTimersByTimeAsync(10_000);
  fills = [fills[0], { ...fills[1], next: 200 }];
  expect(rates.report().map(({ bytesPerSecond }) => bytesPerSecond)).toEqual([0, 50]);
  rates.close();
});
