import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryBudget, PartitionBudget } from './memory-budget.ts';

/** A stream that always has more, and takes it while it is not paused. */
class GreedyStream {
  queuedBytes = 0;
  isPaused = false;
  taken = 0;
  readonly #budget: PartitionBudget;

  constructor(budget: PartitionBudget) {
    this.#budget = budget;
    budget.join(this);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  take(bytes: number): void {
    if (this.isPaused) return;
    this.taken += bytes;
    this.queuedBytes += bytes;
    this.#budget.took(this, bytes);
  }

  give(): void {
    const bytes = this.queuedBytes;
    this.queuedBytes = 0;
    this.#budget.gave(bytes);
  }
}

test('what waits stays within the budget and a message of each stream, and every stream comes to its turn', () => {
  const shapes = fc.record({
    streams: fc.integer({ min: 1, max: 40 }),
    maxBytes: fc.integer({ min: 100, max: 5_000 }),
    maxStreamBytes: fc.integer({ min: 10, max: 5_000 }),
    messageBytes: fc.integer({ min: 1, max: 400 }),
  });
  fc.assert(
    fc.property(shapes, ({ streams: count, maxBytes, maxStreamBytes, messageBytes }) => {
      const budget = new PartitionBudget(maxBytes, maxStreamBytes);
      const streams = Array.from({ length: count }, () => new GreedyStream(budget));
      expect(budget.capacityBytes).toBe(Math.min(maxBytes, Math.min(maxStreamBytes, maxBytes) * count));
      for (let round = 0; round < 60; round++) {
        for (const stream of streams) for (let n = 0; n < 5; n++) stream.take(messageBytes);
        expect(budget.queuedBytes).toBeLessThanOrEqual(maxBytes + count * messageBytes);
        for (const { queuedBytes } of streams) expect(queuedBytes).toBeLessThan(maxStreamBytes + messageBytes);
        // The first stands still.
        streams[1 + (round % Math.max(1, count - 1))]?.give();
      }
      for (const stream of streams) stream.give();
      expect(streams.filter(({ isPaused }) => isPaused)).toEqual([]);
      expect(budget.queuedBytes).toBe(0);
    }),
  );
});

test('a stream that leaves makes room for those that wait', () => {
  const budget = new PartitionBudget(100, 100);
  const [first, second] = [new GreedyStream(budget), new GreedyStream(budget)];
  first.take(100);
  expect([first.isPaused, second.isPaused]).toEqual([true, true]);
  budget.leave(first);
  first.give();
  expect([budget.streams, second.isPaused]).toEqual([1, false]);
});

test('partitions that stand still take nothing from the others, and all of them stay within the budget', () => {
  const budget = new MemoryBudget(6_400, 800, 16);
  expect(budget.capacityBytes).toBe(400);
  // Of each a share is less than a message.
  const streams = Array.from({ length: 16 * 60 }, (_, n) => new GreedyStream(budget.part(n % 16)));
  const stoodStill = (n: number): boolean => n % 16 < 4;
  for (let round = 0; round < 200; round++) {
    for (let n = 0; n < streams.length; n++) streams[(n + round * 16 * 7) % streams.length].take(30);
    expect(budget.queuedBytes).toBeLessThanOrEqual(6_400 + streams.length * 30);
    for (const [n, stream] of streams.entries()) if (!stoodStill(n)) stream.give();
  }
  for (const [n, { taken }] of streams.entries())
    if (stoodStill(n)) expect(taken).toBeLessThanOrEqual(30);
    else expect(taken).toBeGreaterThan(500);
  expect(budget.capacityBytes).toBe(6_400);
});
