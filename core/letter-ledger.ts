import type { Fetch } from './bus/bus.ts';
import { entryOf, type LetterEntry, type OffsetRange } from './letter-entries.ts';
import { OffsetSet } from './offset-set.ts';

type Claim = Extract<LetterEntry, { kind: 'claim' }>;

/** Claims that have neither ended nor been forgotten; the oldest go first. */
const maxClaims = 10_000;

/**
 * What a partition of the DLQ topic says of its letters: which wait, and who is about to replay some. A pure function of
 * the messages read, but for the time that ends a claim. One bit a letter.
 */
export class LetterLedger {
  readonly #waiting = new OffsetSet();
  /** Of those, what somebody began to replay, and nobody knows whether it was stored. */
  readonly #doubtful = new OffsetSet();
  readonly #claims = new Map<string, Claim>();
  /** How many letters each settlement that is followed has settled, by its id. */
  readonly #followed = new Map<string, number>();
  #next: number;

  /** @param next where reading begins: nothing waits below */
  constructor(next: number) {
    this.#next = next;
  }

  /** Offset behind what was read. */
  get next(): number {
    return this.#next;
  }

  /** How many letters wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Nothing waits below. */
  get floor(): number {
    return this.#waiting.first() ?? this.#next;
  }

  waits(offset: number): boolean {
    return this.#waiting.has(offset);
  }

  /** Whether a replay before may have stored it. */
  isDoubtful(offset: number): boolean {
    return this.#doubtful.has(offset);
  }

  /** Whether somebody is about to replay it. `ownId`: a claim that does not count; it may be there twice. */
  isClaimed(offset: number, ownId?: string): boolean {
    this.#expire();
    return [...this.#claims.values()].some(
      ({ id, ranges }) => id !== ownId && ranges.some(({ from, to }) => offset >= from && offset < to),
    );
  }

  /** Counts what a settlement settles when it is read, by its id, until `settledBy`. */
  follow(id: string): void {
    this.#followed.set(id, 0);
  }

  /** How many letters a followed settlement has settled, however often it was there. */
  settledBy(id: string): number {
    const count = this.#followed.get(id) ?? 0;
    this.#followed.delete(id);
    return count;
  }

  learn({ messages, next }: Pick<Fetch, 'messages' | 'next'>): void {
    for (const { offset, value } of messages) {
      const entry = entryOf(value, offset);
      if (entry === undefined) this.#waiting.add(offset);
      else if (entry.kind === 'claim') this.#claim(entry);
      else {
        const before = this.size;
        this.#settle(entry.ranges);
        const followed = this.#followed.get(entry.id);
        if (followed !== undefined) this.#followed.set(entry.id, followed + before - this.size);
      }
    }
    this.#next = Math.max(this.#next, next);
  }

  /** Letters below are gone; returns how many of them waited. */
  dropBelow(earliest: number): number {
    const before = this.size;
    this.#settle([{ from: 0, to: earliest }]);
    this.#next = Math.max(this.#next, earliest);
    return before - this.size;
  }

  #settle(ranges: readonly OffsetRange[]): void {
    for (const { from, to } of ranges) {
      this.#waiting.delete(from, to);
      this.#doubtful.delete(from, to);
    }
  }

  #claim(claim: Claim): void {
    this.#claims.delete(claim.id);
    if (claim.ended) this.#doubt(claim.ranges);
    else this.#claims.set(claim.id, claim);
    if (this.#claims.size > maxClaims) this.#forget([...this.#claims.values()][0]);
  }

  #expire(): void {
    const nowMs = Date.now();
    for (const claim of this.#claims.values()) if (claim.untilMs <= nowMs) this.#forget(claim);
  }

  /** Whoever made it did not say how it ended. */
  #forget({ id, ranges }: Claim): void {
    this.#claims.delete(id);
    this.#doubt(ranges);
  }

  #doubt(ranges: readonly OffsetRange[]): void {
    for (const { from, to } of ranges) for (const offset of this.#waiting.within(from, to)) this.#doubtful.add(offset);
  }
}
