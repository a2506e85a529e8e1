import type { Samples } from '../../../proto/collect.ts';
import type { Counter } from '../counters.ts';
import type { LiveNetns } from './netns-samplers.ts';
import { Pace } from './pace.ts';
import { SampleReader, type SampleReaderParts, type SampleUnit } from './sample-reader.ts';

export interface SamplerParts extends SampleReaderParts {
  /** Interval of cycles, where they cost no more than their share. */
  readonly intervalMs: number;
}

/** Work is done in slices of at most this length, so that nothing else waits longer. */
const maxSliceMs = 5;
/** Slices come this often at most ... */
const leastPauseMs = 100;
/** ... and are worth waking up for: that many units are read in one, if they take no longer than a slice may. */
const unitsPerSlice = 8;
const betweenFirstMs = 5;
/** Samples wait no longer than this for others to share a message. */
const maxWaitMs = 1_000;
const baselineIntervalMs = 5_000;
/**
 * Reads all sources, over and over: a cycle reads every namespace, the node and every container once, spread over the
 * interval, then the probes' counters, and ends with a message that says so.
 */
export class Sampler {
  readonly #parts: SamplerParts;
  readonly #reader: SampleReader;
  readonly #pace: Pace;
  #timer: NodeJS.Timeout | undefined;
  /** What is read before its turn: namespaces that are new, or gone. */
  readonly #first: SampleUnit[] = [];
  #firstTimer: NodeJS.Timeout | undefined;
  /** What is still to be read in this cycle, last first. */
  #todo: SampleUnit[] = [];
  #cycleUnits = 0;
  #cycleStartMs = 0;
  #cycleCostMs = 0;
  #fullDue = true;
  #nextBaselinesMs = 0;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
    this.#reader = new SampleReader(parts);
    this.#pace = new Pace(parts.intervalMs);
  }

  /** Begins the first cycle, a full one. */
  start(): void {
    this.#beginCycle();
  }

  /** A keyframe was sent: a full cycle begins at once. */
  keyframe(): void {
    this.#fullDue = true;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#beginCycle();
  }

  /** The interval is configured anew: it holds for the cycle that runs, too. */
  setInterval(intervalMs: number): void {
    this.#pace.setLeast(intervalMs);
    this.#parts.metrics.sampling.intervalSeconds = this.#pace.intervalMs / 1e3;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    if (this.#todo.length > 0) this.#wait();
    else this.#waitForCycle();
  }

  /** Takes hold of namespaces that are new; they are read before all others. */
  follow(live: Iterable<LiveNetns>): void {
    this.#measured(() => {
      this.#first.push(...this.#reader.follow(live));
    });
    if (this.#first.length > 0) this.#readFirst();
  }

  /**
   * Namespaces are gone: they are read a last time, told and let go.
   * @param finals what the probes counted in them, deleted in the kernel
   */
  retire(gone: readonly number[], finals: readonly Counter[]): void {
    this.#first.push(...this.#reader.retire(gone));
    this.#measured(() => this.#reader.putFinals(finals));
    this.#readFirst();
  }

  /** A message found no room; a keyframe follows. */
  refused(samples: Samples): void {
    this.#reader.refused(samples);
  }

  /** Reads everything a last time and lets go of it. */
  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#firstTimer);
    this.#timer = undefined;
    if (this.#cycleUnits === 0) return;
    for (const read of [...this.#first.splice(0), ...this.#reader.units()]) read();
    this.#reader.endCycle();
    this.#reader.writeBaselines();
    this.#reader.close();
  }

  /** What cannot wait for its turn in the cycle, a slice at a time. */
  #readFirst(): void {
    if (this.#firstTimer !== undefined) return;
    const beganMs = performance.now();
    this.#measured(() => {
      while (this.#first.length > 0 && performance.now() - beganMs < maxSliceMs) this.#first.shift()?.();
      if (this.#first.length === 0) this.#reader.flush();
    });
    this.#noteSlice(beganMs);
    if (this.#first.length === 0) return;
    this.#firstTimer = setTimeout(() => {
      this.#firstTimer = undefined;
      this.#readFirst();
    }, betweenFirstMs);
  }

  #noteSlice(beganMs: number): void {
    const { sampling } = this.#parts.metrics;
    sampling.longestSliceSeconds = Math.max(sampling.longestSliceSeconds, (performance.now() - beganMs) / 1e3);
  }

  #beginCycle(): void {
    const full = this.#fullDue;
    this.#fullDue = false;
    this.#cycleStartMs = performance.now();
    this.#cycleCostMs = 0;
    this.#measured(() => {
      this.#reader.beginCycle(full);
      this.#todo = this.#reader.units();
      this.#cycleUnits = this.#todo.length;
    });
    this.#wait();
  }

  /** Reads what is due by now, a slice at a time. */
  #slice(): void {
    const beganMs = performance.now();
    const due = Math.ceil(((beganMs - this.#cycleStartMs) / this.#pace.intervalMs) * this.#cycleUnits);
    this.#measured(() => {
      while (this.#todo.length > 0 && this.#cycleUnits - this.#todo.length < due && performance.now() - beganMs < maxSliceMs)
        this.#todo.pop()?.();
      this.#reader.flushOlderThan(beganMs - maxWaitMs);
    });
    this.#noteSlice(beganMs);
    if (this.#todo.length > 0) this.#wait();
    else this.#finish();
  }

  /** Until the next units are due. */
  #wait(): void {
    const last = this.#cycleUnits - this.#todo.length + Math.min(unitsPerSlice, this.#todo.length) - 1;
    const dueMs = this.#cycleStartMs + (last / this.#cycleUnits) * this.#pace.intervalMs;
    this.#timer = setTimeout(() => this.#slice(), Math.max(leastPauseMs, dueMs - performance.now()));
  }

  /** Until the next cycle is due. */
  #waitForCycle(): void {
    const dueMs = this.#cycleStartMs + this.#pace.intervalMs;
    this.#timer = setTimeout(() => this.#beginCycle(), Math.max(leastPauseMs, dueMs - performance.now()));
  }

  #finish(): void {
    const { sampling } = this.#parts.metrics;
    this.#measured(() => this.#reader.endCycle());
    if (performance.now() >= this.#nextBaselinesMs) {
      this.#measured(() => this.#reader.writeBaselines());
      this.#nextBaselinesMs = performance.now() + baselineIntervalMs;
    }
    const { log, limiter } = this.#parts;
    // The first cycles run code that is not compiled yet.
    if (sampling.cycles > 2 && this.#pace.cycleCost(this.#cycleCostMs)) {
      const { intervalMs, costMs } = this.#pace;
      limiter.once('sample-interval', (heldBack) =>
        log.info(
          { heldBack, intervalMs: Math.round(intervalMs), costMs: Math.round(costMs) },
          'counters are read at another interval, for what it costs',
        ),
      );
    }
    sampling.intervalSeconds = this.#pace.intervalMs / 1e3;
    sampling.cycleSeconds = this.#cycleCostMs / 1e3;
    this.#waitForCycle();
  }

  #measured(work: () => void): void {
    const beganMs = performance.now();
    work();
    this.#cycleCostMs += performance.now() - beganMs;
  }
}
