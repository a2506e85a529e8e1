import type { CollectorBody, CounterSample, SampleLayout, Samples, TargetSamples } from '../../../proto/collect.ts';
import type { GrownLayout } from '../sources/field-table.ts';
import type { SampleSink, SampleTarget } from './sample-target.ts';

/** A message is sent when it is about this large. */
const maxMessageBytes = 512 * 1024;
const targetBytes = 48;
const counterBytes = 32;
/** What could not be told of targets and namespaces that are gone is kept until there is room again. */
const maxKept = 8192;

/** Puts samples into messages. */
export class SampleWriter implements SampleSink {
  readonly #ship: (body: CollectorBody) => void;
  readonly #bootNs: () => number;
  /** Layouts as they were used last. */
  readonly #layouts = new Map<number, GrownLayout>();
  /** Fields of each layout that were told since the last full cycle began. */
  readonly #toldFields = new Map<number, number>();
  #message: { layouts: SampleLayout[]; targets: TargetSamples[]; counters: CounterSample[] } = emptyMessage();
  #bytes = 0;
  #full = false;
  #oldestMs = 0;
  /** What a refused message told a last time: told again with a cycle's begin or end. */
  #kept: { targets: TargetSamples[]; counters: CounterSample[] } = { targets: [], counters: [] };

  /** Reported with each message. */
  unseenNetns = 0;

  constructor(ship: (body: CollectorBody) => void, bootNs: () => number) {
    this.#ship = ship;
    this.#bootNs = bootNs;
  }

  /** Begins a cycle; a full one tells all of each target, and layouts anew. */
  beginCycle(full: boolean): void {
    this.flush(false);
    this.#full = full;
    if (full) this.#toldFields.clear();
    this.#tellKept();
  }

  /** Tells what changed of a target; all of it when it is new, is told a last time or the cycle is full. */
  put(target: SampleTarget, changed: Int32Array, count: number, last: boolean): void {
    const { totals } = target;
    const all = this.#full || last || !target.told;
    if (!all && count === 0) return;
    target.told = true;
    const layout = totals.table.layout();
    const indexes = all ? [] : Array.from(changed.subarray(0, count)).sort((a, b) => a - b);
    const values = all ? Array.from({ length: totals.length }, (_, index) => totals.total(index)) : indexes.map((i) => totals.total(i));
    const { netns, cgroup } = target.owner;
    this.#layouts.set(layout.id, layout);
    this.#add({ layout: layout.id, netns, cgroup, labels: target.labels, bootNs: this.#bootNs(), indexes, values, all, last });
  }

  /** Adds counters of probes. */
  putCounters(counters: readonly CounterSample[]): void {
    for (const counter of counters) {
      this.#message.counters.push(counter);
      this.#grow(counterBytes);
    }
  }

  /** Sends what waits since before `sinceMs` (performance.now). */
  flushOlderThan(sinceMs: number): void {
    if (this.#bytes > 0 && this.#oldestMs < sinceMs) this.flush(false);
  }

  /** Sends what waits. @param end the last part of the cycle: sent also when it is empty */
  flush(end: boolean): void {
    if (end) this.#tellKept();
    if (this.#bytes === 0 && !end) return;
    const samples: Samples = { ...this.#message, full: this.#full, end, unseenNetns: this.unseenNetns };
    this.#message = emptyMessage();
    this.#bytes = 0;
    this.#ship({ samples });
  }

  /**
   * A message found no room. A keyframe repeats what lives; what was told a last time is kept to be told again.
   * @param isGone whether a namespace's probe counters are deleted in the kernel
   */
  refused(samples: Samples, isGone: (net: number) => boolean): void {
    const kept = this.#kept;
    const room = (): number => Math.max(0, maxKept - kept.targets.length - kept.counters.length);
    kept.targets.push(...(samples.targets ?? []).filter(({ last }) => last).slice(0, room()));
    kept.counters.push(...(samples.counters ?? []).filter(({ net }) => isGone(net ?? 0)).slice(0, room()));
  }

  /** A message that is refused at once keeps its own again: for the next time, not for this one. */
  #tellKept(): void {
    const { targets, counters } = this.#kept;
    this.#kept = { targets: [], counters: [] };
    for (const target of targets) {
      this.#toldFields.delete(target.layout ?? 0);
      this.#add(target);
    }
    this.putCounters(counters);
  }

  #add(target: TargetSamples): void {
    const id = target.layout ?? 0;
    const layout = this.#layouts.get(id);
    let bytes = targetBytes;
    if (layout !== undefined && layout.fields.length > (this.#toldFields.get(id) ?? 0)) {
      this.#toldFields.set(id, layout.fields.length);
      this.#message.layouts.push(layout);
      bytes += layout.fields.reduce((sum, field) => sum + field.length + 2, 0);
    }
    this.#message.targets.push(target);
    const labels = Object.entries(target.labels ?? {}).reduce((sum, [name, value]) => sum + name.length + value.length + 8, 0);
    this.#grow(bytes + labels + (target.values?.length ?? 0) * 8 + (target.indexes?.length ?? 0) * 2);
  }

  #grow(bytes: number): void {
    if (this.#bytes === 0) this.#oldestMs = performance.now();
    this.#bytes += bytes;
    if (this.#bytes >= maxMessageBytes) this.flush(false);
  }
}

function emptyMessage(): { layouts: SampleLayout[]; targets: TargetSamples[]; counters: CounterSample[] } {
  return { layouts: [], targets: [], counters: [] };
}
