import type { Samples, TargetSamples } from '../../proto/collect.ts';

/** One target as the samples tell it. */
export interface LedgerTarget {
  readonly source: string;
  readonly netns: number;
  readonly cgroup: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Value by field. */
  readonly values: Map<string, number>;
  ended: boolean;
}

/** Adds up what messages with samples tell, as a reader would that trusts nothing but them. */
export class SampleLedger {
  readonly #layouts = new Map<number, { readonly source: string; readonly fields: readonly string[] }>();
  readonly #targets = new Map<string, LedgerTarget>();
  /** Probes' counters: value by "net metric bucket label". */
  readonly counters = new Map<string, number>();
  /** What no reader could make sense of. */
  readonly problems: string[] = [];
  unseenNetns = 0;
  /** Cycles that ended. */
  cycles = 0;

  take(samples: Samples): void {
    for (const { id, source, fields } of samples.layouts ?? []) this.#layouts.set(id ?? 0, { source: source ?? '', fields: fields ?? [] });
    for (const target of samples.targets ?? []) this.#take(target);
    for (const { net, metric, bucket, label, value } of samples.counters ?? [])
      this.counters.set(`${net ?? 0} ${metric ?? 0} ${bucket ?? 0} ${label ?? 0}`, value ?? 0);
    this.unseenNetns = Math.max(this.unseenNetns, samples.unseenNetns ?? 0);
    if (samples.end) this.cycles++;
  }

  /** The target of a source in a namespace; of several those with these labels. */
  target(source: string, netns: number, labels: Readonly<Record<string, string>> = {}): LedgerTarget | undefined {
    return this.#targets.get(keyOf(source, netns, 0, labels));
  }

  targets(): Iterable<LedgerTarget> {
    return this.#targets.values();
  }

  #take({ layout, netns, cgroup, labels, indexes, values, all, last }: TargetSamples): void {
    const known = this.#layouts.get(layout ?? 0);
    if (known === undefined) {
      this.problems.push(`layout ${layout} was never told`);
      return;
    }
    const key = keyOf(known.source, netns ?? 0, cgroup ?? 0, labels ?? {});
    const before = this.#targets.get(key);
    const isNew = before === undefined || before.ended;
    if (isNew && !all) this.problems.push(`${key}: the first sample is not whole`);
    const target: LedgerTarget = isNew
      ? { source: known.source, netns: netns ?? 0, cgroup: cgroup ?? 0, labels: { ...labels }, values: new Map(), ended: false }
      : before;
    this.#targets.set(key, target);
    for (const [at, value] of (values ?? []).entries()) {
      const field = known.fields[all ? at : (indexes?.[at] ?? -1)];
      if (field === undefined) this.problems.push(`${key}: value ${at} has no field`);
      else target.values.set(field, value);
    }
    target.ended = last ?? false;
  }
}

function keyOf(source: string, netns: number, cgroup: number, labels: Readonly<Record<string, string>>): string {
  const text = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  return [source, netns, cgroup, ...text].join(' ');
}
