import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Deadline } from './deadline.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('what one step uses up, the next ones have not', () => {
  const deadline = new Deadline(10_000);
  expect([deadline.leftMs, deadline.share(0.4)]).toEqual([10_000, 4_000]);
  vi.advanceTimersByTime(4_000);
  expect([deadline.leftMs, deadline.share(0.5)]).toEqual([6_000, 3_000]);
  vi.advanceTimersByTime(7_000);
  expect([deadline.leftMs, deadline.share(0.5)]).toEqual([0, 0]);
});
