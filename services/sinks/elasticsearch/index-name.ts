const secondsPerDay = 86_400;

/** Days that are told apart ahead of today: clocks differ. */
const daysAhead = 1;

/**
 * Names the index of an event by its own day, so that the same event always goes to the same index, where its id is known
 * for ever. Days that are not plausible share one index: no clock, however wrong, makes indices without end.
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

  /** The name for each Unix time in seconds, for one request: what is plausible does not change within it. */
  forRequest(): (timeSeconds: number) => string {
    const today = Math.floor(this.#nowMs() / 1000 / secondsPerDay);
    let lastDay = Number.NaN;
    let lastName = '';
    return (timeSeconds) => {
      const day = Math.floor(timeSeconds / secondsPerDay);
      if (day === lastDay) return lastName;
      lastDay = day;
      lastName = day >= today - this.#plausibleDays && day <= today + daysAhead ? this.#ofDay(day) : `${this.#prefix}-other-days`;
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
