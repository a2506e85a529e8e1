/** A look answers for everybody who is new: more often it is not asked. */
const leastPauseMs = 100;
/** For as long as the aggregator holds records of who is new. */
const freshMs = 3_000;
const stalePauseMs = 1_000;
const maxUnknown = 1_024;

interface Unknown {
  readonly sinceMs: number;
  askedMs: number;
}

/**
 * How often records of who nobody knows may set off a look at the node and a question to the container runtime. Each
 * counts for itself: who is new does not wait because others stay unknown.
 */
export class AskPace {
  readonly #unknown = new Map<number, Unknown>();
  #askedMs = -Infinity;

  /**
   * When to ask: in so many ms, 0: now; undefined: not because of these.
   * @param keys who is unknown: the cookie of a namespace, the negative id of a cgroup
   */
  due(keys: Iterable<number>, nowMs: number): number | undefined {
    const waitMs = Math.max(0, this.#askedMs + leastPauseMs - nowMs);
    let due = false;
    for (const key of keys) {
      const unknown = this.#unknown.get(key) ?? this.#add(key, nowMs);
      const pauseMs = nowMs - unknown.sinceMs < freshMs ? leastPauseMs : stalePauseMs;
      if (nowMs - unknown.askedMs < pauseMs) continue;
      due = true;
      if (waitMs === 0) unknown.askedMs = nowMs;
    }
    if (!due) return undefined;
    if (waitMs === 0) this.#askedMs = nowMs;
    return waitMs;
  }

  #add(key: number, nowMs: number): Unknown {
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size >= maxUnknown && oldest !== undefined) this.#unknown.delete(oldest);
    const unknown = { sinceMs: nowMs, askedMs: -Infinity };
    this.#unknown.set(key, unknown);
    return unknown;
  }
}
