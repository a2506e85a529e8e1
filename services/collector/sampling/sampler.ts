import { messageOf } from '../../../core/app-error.ts';
import type { Log, LogLimiter } from '../../../core/log.ts';
import type { Native } from '../../../native/addon.ts';
import type { CollectorBody, Samples } from '../../../proto/collect.ts';
import type { Counter } from '../counters.ts';
import type { CgroupTarget } from '../identity/cri/container-cgroup.ts';
import type { CollectorMetrics } from '../metrics.ts';
import type { Baselines } from '../sources/baselines.ts';
import { LayoutNumbers } from '../sources/field-table.ts';
import { openNetnsFileSources } from '../sources/registry.ts';
import { SockdiagSource } from '../sources/sockdiag.ts';
import { CgroupSamplers } from './cgroup-samplers.ts';
import { CounterSamples } from './counter-samples.ts';
import { NetnsSampler } from './netns-sampler.ts';
import { type LiveNetns, NetnsSamplers } from './netns-samplers.ts';
import { NodeSampler } from './node-sampler.ts';
import { Pace } from './pace.ts';
import type { OwnedTargets } from './sample-target.ts';
import { SampleWriter } from './sample-writer.ts';

export interface SamplerParts {
  readonly native: Pick<Native, 'openNetns'>;
  readonly baselines: Baselines;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** Interval of cycles, where they cost no more than their share. */
  readonly intervalMs: number;
  bootNs(): number;
  ship(body: CollectorBody): void;
  /** Counters of the probes, read now: those of live namespaces, and what was deleted with this read. */
  counters(): readonly Counter[];
  /** Containers that live now. */
  cgroups(): readonly CgroupTarget[];
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
/** The kernel's counters are unsigned long: 32 bits on 32-bit machines. */
const counterBits = ['arm', 'ia32', 'mipsel', 'mips'].includes(process.arch) ? 32 : 64;

/**
 * Reads all sources, over and over: a cycle reads every namespace, the node and every container once, spread over the
 * interval, then the probes' counters, and ends with a message that says so.
 */
export class Sampler {
  readonly #parts: SamplerParts;
  readonly #writer: SampleWriter;
  readonly #samplers: NetnsSamplers;
  readonly #node: NodeSampler;
  readonly #cgroups: CgroupSamplers;
  readonly #counters = new CounterSamples();
  readonly #pace: Pace;
  #timer: NodeJS.Timeout | undefined;
  /** What is read before its turn: namespaces that are new, or gone. */
  readonly #first: (() => void)[] = [];
  #firstTimer: NodeJS.Timeout | undefined;
  /** What is still to be read in this cycle, last first. */
  #todo: (() => void)[] = [];
  #cycleUnits = 0;
  #cycleStartMs = 0;
  #cycleCostMs = 0;
  #fullDue = true;
  #full = false;
  #nextBaselinesMs = 0;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
    const { native, baselines, metrics, log, limiter } = parts;
    const numbers = new LayoutNumbers();
    const sources = { files: openNetnsFileSources(numbers, counterBits), sockdiag: new SockdiagSource(numbers) };
    this.#writer = new SampleWriter((body) => {
      metrics.sampling.messages++;
      parts.ship(body);
    }, parts.bootNs);
    this.#samplers = new NetnsSamplers(
      native,
      (handle, cookie) => new NetnsSampler(handle, cookie, sources, baselines, metrics.sampling),
      log,
      limiter,
    );
    this.#node = new NodeSampler(numbers, baselines, metrics.sampling);
    this.#cgroups = new CgroupSamplers(parts.cgroups, numbers, baselines, metrics.sampling);
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
      for (const sampler of this.#samplers.follow(live)) this.#first.push(() => this.#readNetns(sampler));
    });
    if (this.#first.length > 0) this.#readFirst();
  }

  /**
   * Namespaces are gone: they are read a last time, told and let go.
   * @param finals what the probes counted in them, deleted in the kernel
   */
  retire(gone: readonly number[], finals: readonly Counter[]): void {
    for (const cookie of gone) {
      const sampler = this.#samplers.remove(cookie);
      if (sampler !== undefined) this.#first.push(() => this.#end(sampler));
    }
    this.#measured(() => {
      this.#writer.putCounters(finals);
      this.#writer.flush(false);
    });
    this.#readFirst();
  }

  /** A message found no room; a keyframe follows. */
  refused(samples: Samples): void {
    this.#writer.refused(samples, (net) => net !== 0 && !this.#samplers.has(net));
  }

  /** Reads everything a last time and lets go of it. */
  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#firstTimer);
    this.#timer = undefined;
    if (this.#cycleUnits === 0) return;
    for (const read of [...this.#first.splice(0), ...this.#units()]) read();
    this.#endCycle();
    this.#writeBaselines();
    this.#samplers.close();
  }

  /** What cannot wait for its turn in the cycle, a slice at a time. */
  #readFirst(): void {
    if (this.#firstTimer !== undefined) return;
    const beganMs = performance.now();
    this.#measured(() => {
      while (this.#first.length > 0 && performance.now() - beganMs < maxSliceMs) this.#first.shift()?.();
      if (this.#first.length === 0) {
        this.#publish();
        this.#writer.flush(false);
      }
    });
    this.#noteSlice(beganMs);
    if (this.#first.length === 0) return;
    this.#firstTimer = setTimeout(() => {
      this.#firstTimer = undefined;
      this.#readFirst();
    }, betweenFirstMs);
  }

  #end(sampler: NetnsSampler): void {
    this.#readNetns(sampler);
    sampler.targets.endAll(this.#writer);
    sampler.close();
  }

  #noteSlice(beganMs: number): void {
    const { sampling } = this.#parts.metrics;
    sampling.longestSliceSeconds = Math.max(sampling.longestSliceSeconds, (performance.now() - beganMs) / 1e3);
  }

  #beginCycle(): void {
    this.#full = this.#fullDue;
    this.#fullDue = false;
    this.#cycleStartMs = performance.now();
    this.#cycleCostMs = 0;
    this.#measured(() => {
      this.#writer.beginCycle(this.#full);
      if (this.#full) for (const targets of this.#owners()) targets.repair();
      this.#todo = this.#units();
      this.#cycleUnits = this.#todo.length;
    });
    this.#wait();
  }

  /** One thing to read each, in a new order of namespaces only when they come and go. */
  #units(): (() => void)[] {
    const namespaces = [...this.#samplers.values()].map((sampler) => () => {
      this.#readNetns(sampler);
    });
    const containers = [...this.#cgroups.look(this.#writer)].map(
      (container) => () => this.#cgroups.read(container, this.#writer, this.#parts.metrics.sampling, this.#full),
    );
    return [...namespaces, ...containers, () => this.#readNode()].reverse();
  }

  /** Reads what is due by now, a slice at a time. */
  #slice(): void {
    const beganMs = performance.now();
    const due = Math.ceil(((beganMs - this.#cycleStartMs) / this.#pace.intervalMs) * this.#cycleUnits);
    this.#measured(() => {
      while (this.#todo.length > 0 && this.#cycleUnits - this.#todo.length < due && performance.now() - beganMs < maxSliceMs)
        this.#todo.pop()?.();
      this.#writer.flushOlderThan(beganMs - maxWaitMs);
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
    this.#measured(() => this.#endCycle());
    if (performance.now() >= this.#nextBaselinesMs) this.#measured(() => this.#writeBaselines());
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

  #endCycle(): void {
    const { counters, metrics } = this.#parts;
    try {
      this.#writer.putCounters(this.#counters.changed(counters(), this.#full));
    } catch (thrown) {
      this.#failed(thrown);
    }
    this.#publish();
    this.#writer.flush(true);
    metrics.sampling.cycles++;
  }

  #readNetns(sampler: NetnsSampler): void {
    try {
      sampler.read(this.#writer, this.#parts.metrics.sampling, this.#full);
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #readNode(): void {
    try {
      this.#node.read(this.#writer, this.#parts.metrics.sampling);
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #failed(thrown: unknown): void {
    const { metrics, limiter, log } = this.#parts;
    metrics.sampling.failures++;
    limiter.once('sample', (heldBack) =>
      log.warn({ heldBack, code: 'COLLECTOR_SAMPLE_FAILED', cause: messageOf(thrown) }, 'counters cannot be read; they are tried again'),
    );
  }

  #measured(work: () => void): void {
    const beganMs = performance.now();
    work();
    this.#cycleCostMs += performance.now() - beganMs;
  }

  #publish(): void {
    const { sampling } = this.#parts.metrics;
    this.#writer.unseenNetns = this.#samplers.unseen;
    sampling.unseenNetns = this.#samplers.unseen;
    sampling.netns = this.#samplers.size;
    sampling.targets = this.#owners().reduce((sum, { size }) => sum + size, 0);
  }

  #owners(): OwnedTargets[] {
    return [...[...this.#samplers.values()].map(({ targets }) => targets), ...this.#cgroups.targets(), this.#node.targets];
  }

  #writeBaselines(): void {
    this.#nextBaselinesMs = performance.now() + baselineIntervalMs;
    const { baselines, limiter, log } = this.#parts;
    try {
      baselines.write(this.#baselinesOf());
    } catch (thrown) {
      limiter.once('baselines', (heldBack) =>
        log.warn(
          { heldBack, code: 'COLLECTOR_BASELINES_NOT_WRITTEN', cause: messageOf(thrown) },
          'baselines of counters cannot be written: totals may begin anew at the next start',
        ),
      );
    }
  }

  *#baselinesOf() {
    for (const targets of this.#owners()) {
      for (const { key, totals } of targets.values()) {
        const baseline = totals.baseline();
        if (baseline !== undefined) yield [key, baseline] as const;
      }
    }
  }
}
