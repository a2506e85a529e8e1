import { messageOf } from '../../core/app-error.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import type { Counter, CounterTotals } from './counters.ts';
import type { ProbeCounters } from './probe-counters.ts';

/** The probes' counters for those who must go on without them: a map that cannot be read must not end the agent. */
export class SteadyCounters {
  readonly #counters: ProbeCounters;
  readonly #limiter: LogLimiter;
  readonly #log: Log;

  constructor(counters: ProbeCounters, limiter: LogLimiter, log: Log) {
    this.#counters = counters;
    this.#limiter = limiter;
    this.#log = log;
  }

  /** The totals now, or those of the last time. */
  totals(): CounterTotals {
    return this.#orElse(
      () => this.#counters.read(),
      () => this.#counters.totals,
    );
  }

  /**
   * The last counters of namespaces that are gone; none where they cannot be read: a later sweep finds them.
   * @param named tells what they name
   */
  finals(gone: readonly number[], named: (counters: readonly Counter[]) => readonly Counter[]): readonly Counter[] {
    return this.#orElse(
      () => named(this.#counters.retire(gone)),
      () => [],
    );
  }

  #orElse<Result>(read: () => Result, otherwise: () => Result): Result {
    try {
      return read();
    } catch (thrown) {
      this.#limiter.once('counters', (heldBack) =>
        this.#log.warn(
          { heldBack, code: 'COLLECTOR_COUNTERS_UNREADABLE', cause: messageOf(thrown) },
          'the counters cannot be read; those read last stay',
        ),
      );
      return otherwise();
    }
  }
}
