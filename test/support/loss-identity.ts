import { expect } from 'vitest';
import type { Dispositions } from '../../services/aggregator/dispositions.ts';
import type { SessionSnapshot } from '../../services/aggregator/session.ts';
import type { Dispositions as SinkDispositions } from '../../services/sinks/metrics.ts';

/** Numbers that sessions promise: how many items lie between where reading began and the next one. */
export function expectedItemsOf(sessions: Iterable<Pick<SessionSnapshot, 'nextItem' | 'firstRead'>>, forgotten = 0): number {
  let items = forgotten;
  for (const { nextItem, firstRead } of sessions) items += nextItem - firstRead;
  return items;
}

/** The aggregator's two equations, to the item. */
export function expectAggregatorIdentity(d: Dispositions, expectedItems: number): void {
  const rejected = sum(d.rejected);
  expect(d.itemsIn, 'items in = events + counted + rejected + repeats + held').toBe(d.events + d.counted + rejected + d.repeats + d.held);
  expect(expectedItems, 'expected = items in - repeats + gaps').toBe(d.itemsIn - d.repeats + d.gaps);
}

/** A sink's two equations, to the event; `eventsMade` is the running number of the next event. */
export function expectSinkIdentity(d: SinkDispositions, eventsMade: number): void {
  expect(d.in, 'events in = delivered + rejected + repeats').toBe(d.delivered + d.rejected + d.repeat);
  expect(eventsMade, 'expected = events in - repeats + lost').toBe(d.in - d.repeat + sum(d.lost));
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, n) => total + n, 0);
}
