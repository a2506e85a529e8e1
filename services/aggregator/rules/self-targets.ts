import { nodeIndex } from './entity-table.ts';
import { groupKey } from './group-table.ts';
import { selfSignals } from './language/self-signals.ts';
import type { CounterLabels } from './rule.ts';
import type { RuleDomain } from './rule-domain.ts';

/** What was told last of one thing that the aggregator knows of itself. */
interface SelfTarget {
  readonly source: string;
  readonly field: string;
  readonly labels: CounterLabels;
  value: number;
  /** How often less than the value was told since. */
  fallen: number;
  /** The tick that told it last, counted. */
  round: number;
}

/** Label sets of one domain that are told apart. */
const maxTargets = 4096;
/** A total that falls is told by a gateway that knows less, or has begun anew: when it stays so for so many ticks. */
const maxFallen = 10;
/** Ticks after which a gauge that none of them told is forgotten: names of gateways come and go with their hosts. */
const maxUntold = 60;

/**
 * What the aggregator knows of a node or of the pipeline, as counters and gauges of rules. All of it is remembered,
 * whether a rule asks for it or not: a rule that is new starts with what is.
 */
export class SelfTargets {
  readonly #domain: RuleDomain;
  readonly #targets = new Map<string, SelfTarget>();
  /** Second in which something was told first; 0: nothing yet. */
  #sinceS = 0;
  /** Ticks so far, and whether anything was told since the last one. */
  #round = 0;
  #isTold = false;

  constructor(domain: RuleDomain) {
    this.#domain = domain;
  }

  /** Counters begin at 0; those that are told with the very first values, where they are. */
  told(source: string, field: string, labels: CounterLabels, value: number): void {
    if (!Number.isFinite(value)) return;
    const second = this.#domain.evaluatedS + 1;
    if (this.#targets.size === 0) this.#sinceS = second;
    const key = JSON.stringify([source, field, Object.entries(labels).sort()]);
    const known = this.#targets.get(key);
    if (known === undefined && this.#targets.size >= maxTargets) return;
    const begins = known === undefined && second === this.#sinceS ? value : 0;
    const increment = value - (known?.value ?? begins);
    const target = known ?? { source, field, labels, value, fallen: 0, round: this.#round };
    target.fallen = increment < 0 && isTotal(source, field) ? target.fallen + 1 : 0;
    if (target.fallen === 0 || target.fallen >= maxFallen) {
      target.value = value;
      target.fallen = 0;
    }
    target.round = this.#round;
    this.#isTold = true;
    this.#targets.set(key, target);
    const plan = this.#domain.plan.windows.sources.get(source);
    if (plan === undefined) return;
    this.#domain.values.setPresent(nodeIndex, plan.index, true);
    for (const add of plan.fields.get(field) ?? []) {
      if (add.where?.(labels) === false) continue;
      const group = groupKey(add.by, (name) => labels[name]);
      if (group === undefined) continue;
      if (add.kind === 'gauge') this.#domain.windows.counter(add, nodeIndex, group, second, this.#sum(target, add), 0);
      else if (increment > 0) this.#domain.windows.counter(add, nodeIndex, group, second, increment, 0);
    }
  }

  /**
   * All of a tick is told. A gauge that it did not tell is no more, like that of a queue whose sink is gone: 0 from now on,
   * and forgotten when it stays untold. Totals stay what they are. A tick that told nothing changes nothing.
   */
  tick(): void {
    if (!this.#isTold) return;
    for (const [key, target] of this.#targets) {
      if (target.round === this.#round || isTotal(target.source, target.field)) continue;
      if (target.value !== 0) this.#empty(target);
      if (this.#round - target.round >= maxUntold) this.#targets.delete(key);
    }
    this.#isTold = false;
    this.#round++;
  }

  image(): SelfTargetImage[] {
    return [...this.#targets.values()].map(({ source, field, labels, value, fallen, round }) => ({
      ...{ source, field, labels, value },
      ...(fallen > 0 && { fallen }),
      ...(round < this.#round - 1 && { untold: this.#round - 1 - round }),
    }));
  }

  /** @param gauges told anew: windows may not have them, as those of rules that are new */
  restore(targets: readonly SelfTargetImage[], gauges: boolean): void {
    for (const { source, field, labels, value, fallen = 0, untold = 0 } of targets) {
      const key = JSON.stringify([source, field, Object.entries(labels).sort()]);
      this.#targets.set(key, { source, field, labels, value, fallen, round: this.#round - 1 - untold });
      const plan = this.#domain.plan.windows.sources.get(source);
      if (plan !== undefined) this.#domain.values.setPresent(nodeIndex, plan.index, true);
    }
    if (gauges) for (const { source, field, labels, value } of targets) this.told(source, field, labels, value);
  }

  #empty(target: SelfTarget): void {
    const { source, field, labels } = target;
    target.value = 0;
    for (const add of this.#domain.plan.windows.sources.get(source)?.fields.get(field) ?? []) {
      const group = groupKey(add.by, (name) => labels[name]);
      if (add.kind !== 'gauge' || group === undefined || add.where?.(labels) === false) continue;
      this.#domain.windows.counter(add, nodeIndex, group, this.#domain.evaluatedS + 1, this.#sum(target, add), 0);
    }
  }

  /** A gauge over all label sets that the signal takes. */
  #sum(
    { source, field, labels }: SelfTargetImage,
    { where, by }: { where: ((labels: CounterLabels) => boolean) | undefined; by: readonly string[] | undefined },
  ): number {
    let total = 0;
    for (const other of this.#targets.values()) {
      if (other.source !== source || other.field !== field || where?.(other.labels) === false) continue;
      if ((by ?? []).every((name) => other.labels[name] === labels[name])) total += other.value;
    }
    return total;
  }
}

/** A target in a checkpoint. */
export type SelfTargetImage = Omit<SelfTarget, 'round' | 'fallen'> & {
  readonly fallen?: number;
  /** Ticks that told others since the one that told it. */
  readonly untold?: number;
};

function isTotal(source: string, field: string): boolean {
  return selfSignals.some((signal) => signal.source === source && signal.field === field && signal.kind === 'counter');
}
