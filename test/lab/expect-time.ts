import { expect } from 'vitest';

/**
 * A time that a probe tells, against what was provoked and what the application measured: at least the one and at most the
 * other, to 5 %. On a busy machine the application hears of things late; what the kernel did is in between.
 */
export function expectTime(us: number, atLeastMs: number, atMostMs: number): void {
  expect([us / 1000, atLeastMs, atMostMs]).toSatisfy(() => us / 1000 > atLeastMs * 0.95 && us / 1000 < atMostMs * 1.05);
}
