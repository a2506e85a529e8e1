import type { Baselines } from '../sources/baselines.ts';
import { type DifferCounts, TargetTotals } from '../sources/differ.ts';
import type { FieldTable, Reading } from '../sources/field-table.ts';
import type { SourceTarget, TargetLabels } from '../sources/source.ts';

/** Whose counters they are: a namespace's, a container's, or the node's when both are 0. */
export interface SampleOwner {
  /** Cookie or inode of the namespace; 0: none. */
  readonly netns: number;
  /** Id of the container's cgroup; 0: none. */
  readonly cgroup: number;
}

/** What one source reads of one target, and what was told of it. */
export interface SampleTarget {
  readonly owner: SampleOwner;
  readonly labels: TargetLabels;
  readonly totals: TargetTotals;
  /** Name of the target among all of the node, for its baseline. */
  readonly key: string;
  /** Whether all of it was told once. */
  told: boolean;
  /** Number of the read that found it last. */
  foundIn: number;
}

/** Takes what was read and tells what changed. */
export interface SampleSink {
  put(target: SampleTarget, changed: Int32Array, count: number, last: boolean): void;
}

/** Indexes of one reading that changed; one read at a time uses it. */
const changed = new Int32Array(4096);

/** The targets of one owner: they come with what is read, and go when a read no longer finds them. */
export class OwnedTargets {
  readonly #owner: SampleOwner;
  readonly #baselines: Pick<Baselines, 'of'>;
  readonly #counts: DifferCounts;
  readonly #targets = new Map<string, SampleTarget>();
  #read = 0;

  constructor(owner: SampleOwner, baselines: Pick<Baselines, 'of'>, counts: DifferCounts) {
    this.#owner = owner;
    this.#baselines = baselines;
    this.#counts = counts;
  }

  get size(): number {
    return this.#targets.size;
  }

  values(): Iterable<SampleTarget> {
    return this.#targets.values();
  }

  /** Begins a read: targets of a source that it does not find are gone when the source ends. */
  begin(): void {
    this.#read++;
  }

  take(found: SourceTarget, reading: Reading, sink: SampleSink): void {
    const target = this.#target(found, reading.table);
    target.foundIn = this.#read;
    const count = target.totals.update(reading, this.#counts, changed);
    sink.put(target, changed, count, false);
  }

  /** Whether a counter of a known target is below what was read last. */
  falls({ key }: SourceTarget, reading: Reading): boolean {
    return this.#targets.get(idOf(reading.table, key))?.totals.falls(reading) ?? false;
  }

  /** The whole of a source was read: what was not found has ended. */
  end(source: string, sink: SampleSink): void {
    for (const [id, target] of this.#targets) {
      if (target.foundIn === this.#read || target.totals.table.source !== source) continue;
      this.#targets.delete(id);
      sink.put(target, changed, 0, true);
    }
  }

  /** One target has ended. */
  endOne(source: string, key: string, sink: SampleSink): void {
    const id = `${source} ${key}`;
    const target = this.#targets.get(id);
    if (target === undefined) return;
    this.#targets.delete(id);
    sink.put(target, changed, 0, true);
  }

  /** The owner is gone. */
  endAll(sink: SampleSink): void {
    for (const target of this.#targets.values()) sink.put(target, changed, 0, true);
    this.#targets.clear();
  }

  /** Before a keyframe. Totals that are held go on from what the kernel says. */
  repair(): void {
    for (const { totals } of this.#targets.values()) this.#counts.repairs += totals.repair();
  }

  #target({ key, labels }: SourceTarget, table: FieldTable): SampleTarget {
    const id = idOf(table, key);
    const known = this.#targets.get(id);
    if (known !== undefined) return known;
    const fullKey = `${this.#owner.netns} ${this.#owner.cgroup} ${id}`;
    const totals = new TargetTotals(table, this.#baselines.of(fullKey));
    const target: SampleTarget = { owner: this.#owner, labels, totals, key: fullKey, told: false, foundIn: 0 };
    this.#targets.set(id, target);
    return target;
  }
}

function idOf(table: FieldTable, key: string): string {
  return key === '' ? table.source : `${table.source} ${key}`;
}
