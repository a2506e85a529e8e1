/** Share of one core that sampling may take, of the 2 % that the design allows it ... */
const maxShare = 0.015;
/** ... of which so much is the reading that is measured; the rest is what follows: encoding, spool, garbage (bench/sources). */
const readingPart = 0.7;
const maxIntervalMs = 10_000;
/** Weight of the newest cycle. */
const weight = 0.3;
/** Changes smaller than this are not worth a word. */
const hysteresis = 0.1;

/** Stretches the interval of cycles so that they take no more than their share of a core. */
export class Pace {
  #leastMs: number;
  #costMs: number | undefined;
  #intervalMs: number;

  /** @param leastMs interval as configured */
  constructor(leastMs: number) {
    this.#leastMs = leastMs;
    this.#intervalMs = leastMs;
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** The interval is configured anew. */
  setLeast(leastMs: number): void {
    this.#leastMs = leastMs;
    this.#intervalMs = this.#wanted();
  }

  /** Mean time of a cycle's work. */
  get costMs(): number {
    return this.#costMs ?? 0;
  }

  /** Takes in what a cycle cost. Returns true when the interval changed by more than a little. */
  cycleCost(costMs: number): boolean {
    this.#costMs = this.#costMs === undefined ? costMs : this.#costMs + weight * (costMs - this.#costMs);
    const wanted = this.#wanted();
    const changes =
      Math.abs(wanted - this.#intervalMs) > this.#intervalMs * hysteresis || (wanted !== this.#intervalMs && wanted === this.#leastMs);
    if (changes) this.#intervalMs = wanted;
    return changes;
  }
  #wanted(): number {
    const most = Math.max(this.#leastMs, maxIntervalMs);
    return Math.min(most, Math.max(this.#leastMs, this.costMs / (maxShare * readingPart)));
  }
}
