const secondsPerDay = 86_400;

/** Days that are told apart ahead of today: clocks differ. */
const daysAhead = 1;

/**
 * Names the index of an event by its own day, so that the same event always goes to the same index, where its id is known
 * for ever. Days that are not plausible share one index: no node's clock, however wrong, makes indices without end. What is
 * plausible goes by the day on which the event came (its gateway's clock) and not by today: an event that is sent again
 * behind midnight, or after months in the dead letters, goes where it went before.
 */
export class IndexNames {
  readonly #prefix: string;
  readonly #plausibleDays: number;
  readonly #nowMs: () => number;
  readonly #names = new Map<number, string>();

  constructor(prefix: string, plausibleDays: number, nowMs: () => number = Date.now) {
    this.#prefix = prefix;
    this.#plausibleDays = plausibleDays;
    this.#nowMs = nowMs;
  }

  /**
   * The name for one request's events, by Unix time in seconds and the day on which they were appended; 0, which batches have
   * that are older than the field, is today.
   */
  forRequest(): (timeSeconds: number, appendedDay: number) => string {
    const today = Math.floor(this.#nowMs() / 1000 / secondsPerDay);
    let lastDay = Number.NaN;
    let lastAppended = Number.NaN;
    let lastName = '';
    return (timeSeconds, appendedDay) => {
      const day = Math.floor(timeSeconds / secondsPerDay);
      if (day === lastDay && appendedDay === lastAppended) return lastName;
      lastDay = day;
      lastAppended = appendedDay;
      const came = appendedDay === 0 ? today : appendedDay;
      lastName = day >= came - this.#plausibleDays && day <= came + daysAhead ? this.#ofDay(day) : `${this.#prefix}-other-days`;
      return lastName;
    };
  }

  #ofDay(day: number): string {
    let name = this.#names.get(day);
    if (name === undefined) {
      name = `${this.#prefix}-${new Date(day * secondsPerDay * 1000).toISOString().slice(0, 10).replaceAll('-', '.')}`;
      this.#names.set(day, name);
    }
    return name;
  }
}
