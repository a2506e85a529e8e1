import { messageOf } from '../../../core/app-error.ts';
import type { Log, LogLimiter } from '../../../core/log.ts';
import type { Native } from '../../../native/addon.ts';
import type { CollectorBody, Samples } from '../../../proto/collect.ts';
import type { Counter } from '../counters.ts';
import { collectorError } from '../errors.ts';
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
import type { OwnedTargets } from './sample-target.ts';
import { SampleWriter } from './sample-writer.ts';

/** What is read, with what, and where it goes. */
export interface SampleReaderParts {
  readonly native: Pick<Native, 'openNetns'>;
  readonly baselines: Baselines;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  bootNs(): number;
  ship(body: CollectorBody): void;
  /** Counters of the probes, read now: those of live namespaces, and what was deleted with this read. */
  counters(): readonly Counter[];
  /** Containers that live now. */
  cgroups(): readonly CgroupTarget[];
}

/** The kernel's counters are unsigned long: 32 bits on 32-bit machines. */
const counterBits = ['arm', 'ia32', 'mipsel', 'mips'].includes(process.arch) ? 32 : 64;

/** One thing to read. */
export type SampleUnit = () => void;

/** Reads namespaces, containers, the node and the probes' counters into messages, one at a time; when is the sampler's. */
export class SampleReader {
  readonly #parts: SampleReaderParts;
  readonly #writer: SampleWriter;
  readonly #samplers: NetnsSamplers;
  readonly #node: NodeSampler;
  readonly #cgroups: CgroupSamplers;
  readonly #counters = new CounterSamples();
  #full = false;

  constructor(parts: SampleReaderParts) {
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
  }

  /** A cycle begins: in a full one everything is told, not only what changed. */
  beginCycle(full: boolean): void {
    this.#full = full;
    this.#writer.beginCycle(full);
    if (full) for (const targets of this.#owners()) targets.repair();
  }

  /** One thing to read each, in a new order of namespaces only when they come and go. */
  units(): SampleUnit[] {
    const namespaces = [...this.#samplers.values()].map((sampler) => () => {
      this.#readNetns(sampler);
    });
    const containers = [...this.#cgroups.look(this.#writer)].map(
      (container) => () => this.#cgroups.read(container, this.#writer, this.#parts.metrics.sampling, this.#full),
    );
    return [...namespaces, ...containers, () => this.#readNode()].reverse();
  }

  /** Takes hold of namespaces that are new. Returns what is to be read of them before all others. */
  follow(live: Iterable<LiveNetns>): SampleUnit[] {
    return this.#samplers.follow(live).map((sampler) => () => this.#readNetns(sampler));
  }

  /** Namespaces are gone. Returns what reads them a last time, tells and lets them go. */
  retire(gone: readonly number[]): SampleUnit[] {
    return gone.flatMap((cookie) => {
      const sampler = this.#samplers.remove(cookie);
      return sampler === undefined ? [] : [() => this.#end(sampler)];
    });
  }

  /** What the probes counted in namespaces that are gone. */
  putFinals(finals: readonly Counter[]): void {
    this.#writer.putCounters(finals);
    this.#writer.flush(false);
  }

  /** Sends what waits since before a moment. @param beforeMs of performance.now() */
  flushOlderThan(beforeMs: number): void {
    this.#writer.flushOlderThan(beforeMs);
  }

  /** Sends what was read out of turn. */
  flush(): void {
    this.#publish();
    this.#writer.flush(false);
  }

  /** A message found no room; a keyframe follows. */
  refused(samples: Samples): void {
    this.#writer.refused(samples, (net) => net !== 0 && !this.#samplers.has(net));
  }

  /** Reads the probes' counters, and sends all with a message that says so. */
  endCycle(): void {
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

  /** Keeps what totals go on from at the next start. */
  writeBaselines(): void {
    const { baselines, limiter, log } = this.#parts;
    try {
      baselines.write(this.#baselinesOf());
    } catch (thrown) {
      const { code, remedy, message } = collectorError('COLLECTOR_BASELINES_NOT_WRITTEN', { cause: messageOf(thrown) }, thrown);
      limiter.once(code, (heldBack) => log.warn({ code, heldBack, remedy }, message));
    }
  }

  /** Lets go of everything. */
  close(): void {
    this.#samplers.close();
  }

  #end(sampler: NetnsSampler): void {
    this.#readNetns(sampler);
    sampler.targets.endAll(this.#writer);
    sampler.close();
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

  *#baselinesOf() {
    for (const targets of this.#owners()) {
      for (const { key, totals } of targets.values()) {
        const baseline = totals.baseline();
        if (baseline !== undefined) yield [key, baseline] as const;
      }
    }
  }
}
