import { bucketKey, probeMaps } from '../../bpf/settings.ts';
import { type Counter, CounterTotals, deleteCounters, readCounters, readUncounted } from './counters.ts';
import type { ProbeHost } from './probe-host.ts';

/** Counters of a namespace that nobody knows are left this often before they are taken for those of one that is gone. */
const ghostAfterSweeps = 2;

/** The counter map of the probes. */
export class ProbeCounters {
  readonly #host: ProbeHost;
  readonly #totals = new CounterTotals();
  /** Namespaces that nobody knows: the sum of their counters, and how often it was found unchanged. */
  #ghosts = new Map<number, { readonly sum: number; readonly sweeps: number }>();

  constructor(host: ProbeHost) {
    this.#host = host;
  }

  /** What was read last. */
  get totals(): CounterTotals {
    return this.#totals;
  }

  /** What the kernel counted, read now; once the maps are closed, what was read last. */
  read(): CounterTotals {
    const base = this.#host.base();
    if (base !== undefined) this.#totals.update(readCounters(base), readUncounted(base));
    return this.#totals;
  }

  /** The counters of namespaces that are gone are read a last time, then deleted. Returns what they were. */
  retire(gone: readonly number[]): Counter[] {
    const base = this.#host.base();
    if (base === undefined) return [];
    // What is deleted must be what the totals keep: a second read could have counted more.
    const counters = readCounters(base);
    this.#totals.update(counters, this.#totals.uncounted);
    const finals = gone.flatMap((net) => this.#totals.retire(net));
    for (const net of gone) {
      deleteCounters(base, counters, net);
      for (const { probe } of this.#host.loaded()) base.mapDelete(probeMaps.buckets, bucketKey(net, probe.number));
    }
    return finals;
  }

  /**
   * Namespaces that came and went between two looks leave counters, and so do late timers of one that is gone. Those that
   * stay unknown and do not count any more are retired. Returns what they were.
   */
  sweep(known: ReadonlySet<number>): Counter[] {
    const sums = new Map<number, number>();
    for (const { net, value } of this.#totals.live()) if (net !== 0 && !known.has(net)) sums.set(net, (sums.get(net) ?? 0) + value);
    const ghosts = new Map<number, { readonly sum: number; readonly sweeps: number }>();
    const gone: number[] = [];
    for (const [net, sum] of sums) {
      const before = this.#ghosts.get(net);
      const sweeps = before?.sum === sum ? before.sweeps + 1 : 0;
      if (sweeps >= ghostAfterSweeps) gone.push(net);
      else ghosts.set(net, { sum, sweeps });
    }
    this.#ghosts = ghosts;
    return gone.length > 0 ? this.retire(gone) : [];
  }
}
