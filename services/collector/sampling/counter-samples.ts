import type { Counter } from '../counters.ts';

/** Tells which counters of probes changed since they were told. */
export class CounterSamples {
  #told = new Map<string, number>();

  /** Counters that changed, or all of them. */
  changed(counters: readonly Counter[], all: boolean): readonly Counter[] {
    const told = new Map<string, number>();
    const changed: Counter[] = [];
    for (const counter of counters) {
      const key = `${counter.net} ${counter.metric} ${counter.bucket} ${counter.label}`;
      if (all || this.#told.get(key) !== counter.value) changed.push(counter);
      told.set(key, counter.value);
    }
    this.#told = told;
    return changed;
  }
}
