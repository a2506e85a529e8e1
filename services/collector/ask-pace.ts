const leastPauseMs = 100;
/** With the pause: for as long as the aggregator holds records of who is new. */
const burst = 30;
const refillPerSecond = 1;

/** How often records of who nobody knows may set off a look at the node and a question to the container runtime. */
export class AskPace {
  #tokens = burst;
  #filledMs = 0;
  #askedMs = -Infinity;

  /** Whether to ask now. */
  take(nowMs: number): boolean {
    if (nowMs - this.#askedMs < leastPauseMs) return false;
    this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, nowMs - this.#filledMs) / 1e3) * refillPerSecond);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    this.#askedMs = nowMs;
    return true;
  }
}
