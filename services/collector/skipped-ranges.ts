import type { SkippedItems } from '../../proto/collect.ts';

/** Ranges that one batch carries at most: it stays far below the message limit. */
const maxRangesPerBatch = 1024;

interface Range {
  readonly firstItem: number;
  readonly count: number;
  readonly reason: string;
}

/**
 * Items that were numbered and will not be sent, until a batch tells of them. Sorted, and no item twice: ranges of one
 * reason that touch or overlap are one. They never cover an item that they were not told of.
 */
export class SkippedRanges {
  #ranges: Range[] = [];

  /** Sorted. */
  get all(): readonly SkippedItems[] {
    return this.#ranges;
  }

  /** Ranges that wait. */
  get size(): number {
    return this.#ranges.length;
  }

  /** Items that wait to be told. */
  get items(): number {
    return this.#ranges.reduce((sum, { count }) => sum + count, 0);
  }

  /** Items that are in it already keep their reason. */
  add(firstItem: number, count: number, reason: string): void {
    for (const { from, to } of uncovered(firstItem, firstItem + count, this.#ranges)) this.#insert(from, to, reason);
  }

  /** Takes out what one batch may carry, oldest first. */
  take(): SkippedItems[] {
    return this.#ranges.splice(0, maxRangesPerBatch);
  }

  /** A range that overlaps none of those that are there. */
  #insert(from: number, to: number, reason: string): void {
    // Refusals come in the order of the items: nearly always the place is the end.
    let at = this.#ranges.length;
    while (at > 0 && this.#ranges[at - 1].firstItem > from) at--;
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    const joinsBefore = before !== undefined && endOf(before) === from && before.reason === reason;
    const joinsAfter = after !== undefined && after.firstItem === to && after.reason === reason;
    const firstItem = joinsBefore ? before.firstItem : from;
    const end = joinsAfter ? endOf(after) : to;
    const start = joinsBefore ? at - 1 : at;
    this.#ranges.splice(start, Number(joinsBefore) + Number(joinsAfter), { firstItem, count: end - firstItem, reason });
  }
}

/** The parts of [from, to) that lie in none of the ranges, which are sorted. */
export function uncovered(from: number, to: number, ranges: readonly SkippedItems[]): { readonly from: number; readonly to: number }[] {
  const parts: { from: number; to: number }[] = [];
  let at = from;
  for (const range of ranges) {
    const first = range.firstItem ?? 0;
    if (first >= to) break;
    if (first > at) parts.push({ from: at, to: first });
    at = Math.max(at, first + (range.count ?? 0));
  }
  if (at < to) parts.push({ from: at, to });
  return parts;
}

function endOf({ firstItem, count }: Range): number {
  return firstItem + count;
}
