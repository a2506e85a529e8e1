import { readFileSync } from 'node:fs';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

/** How long the event loop of this thread stood still. */
export interface Stalls {
  /** By the clock: what other processes took of the CPU is in it. */
  readonly longestMs: number;
  readonly p99Ms: number;
  /** Time on a CPU between two turns of the loop: what the thread did itself. */
  readonly longestCpuMs: number;
}

const lookMs = 5;

/** Watches the event loop: by perf_hooks, and by the scheduler's own account of the thread (proc_pid_schedstat). */
export class StallMonitor {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: lookMs });
  readonly #timer: NodeJS.Timeout;
  #longestCpuMs = 0;

  constructor() {
    this.#delay.enable();
    let before = cpuMs();
    this.#timer = setInterval(() => {
      const now = cpuMs();
      this.#longestCpuMs = Math.max(this.#longestCpuMs, now - before);
      before = now;
    }, lookMs);
  }

  stop(): Stalls {
    clearInterval(this.#timer);
    this.#delay.disable();
    return { longestMs: this.#delay.max / 1e6, p99Ms: this.#delay.percentile(99) / 1e6, longestCpuMs: this.#longestCpuMs };
  }
}

function cpuMs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e6;
}
