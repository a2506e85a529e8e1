import { type FindingState, pendingSince, type Sight, type Step, step } from './finding-state.ts';
import { type NamedGroups, namesNobody } from './named-groups.ts';
import type { Severity } from './rule.ts';
import type { PlannedRule } from './rule-plan.ts';

/** A finding with what was said of it. */
export interface Finding extends FindingState, NamedGroups {
  readonly entity: number;
  readonly rule: PlannedRule;
  /** 16 hex digits; empty while it is pending. */
  anomalyId: string;
  /** Number of its last transition. */
  number: number;
  readonly causedBy: string[];
  /** Of its last transition. */
  message: string;
}

/** How many findings each rule has in the partition, and how many found no room. */
export class FindingLimits {
  /** By rule id. */
  readonly active = new Map<string, number>();
  readonly evictions: Record<string, number>;

  constructor(evictions: Record<string, number>) {
    this.evictions = evictions;
  }

  add(ruleId: string, count: number): void {
    this.active.set(ruleId, (this.active.get(ruleId) ?? 0) + count);
  }
}

/** The findings of one set of entities: where each rule is with each of them. Idle ones take no room. */
export class FindingBook {
  readonly #rules: readonly PlannedRule[];
  readonly #limits: FindingLimits;
  /** By entity * rules + rule. */
  readonly #findings = new Map<number, Finding>();
  /** Those that found no room and were counted, or whose entity may have none now: they are judged again each second. */
  readonly #refused = new Set<number>();

  constructor(rules: readonly PlannedRule[], limits: FindingLimits) {
    this.#rules = rules;
    this.#limits = limits;
  }

  /** In the order of their entities, then rules. */
  sorted(): Finding[] {
    return [...this.#findings.entries()].sort(([a], [b]) => a - b).map(([, finding]) => finding);
  }

  /** Pairs of which something is known: they are judged each second. */
  *keys(): Iterable<number> {
    yield* this.#findings.keys();
    yield* this.#refused;
  }

  get(entity: number, rule: number): Finding | undefined {
    return this.#findings.get(entity * this.#rules.length + rule);
  }

  isRefused(entity: number, rule: number): boolean {
    return this.#refused.has(entity * this.#rules.length + rule);
  }

  /** Whether something is known of the pair: then it is evaluated each second. */
  has(key: number): boolean {
    return this.#findings.has(key) || this.#refused.has(key);
  }

  /**
   * Takes a second in. Returns what it did, undefined without a finding.
   * @param mayBegin whether the entity may have a new finding
   */
  step(
    key: number,
    second: number,
    severity: Severity | 0,
    resolves: boolean,
    goneS: number,
    mayBegin: boolean,
    sight: Sight,
  ): { finding: Finding; step: Step } | undefined {
    const known = this.#findings.get(key);
    if (known === undefined) {
      if (severity > 0 && !mayBegin) this.#refused.add(key);
      else this.#begin(key, second, severity);
      const created = this.#findings.get(key);
      if (created === undefined) return undefined;
      return { finding: created, step: step(created, created.rule.rule, second, severity, resolves, goneS) };
    }
    const taken = step(known, known.rule.rule, second, severity, resolves, goneS, sight);
    if (taken === 'resolve' || taken === 'drop' || taken === 'lose') this.remove(known);
    return { finding: known, step: taken };
  }

  remove({ entity, rule }: Finding): void {
    this.#findings.delete(entity * this.#rules.length + rule.index);
    this.#limits.add(rule.rule.id, -1);
  }

  /** Puts a finding of a checkpoint back. */
  put(finding: Finding): void {
    this.#findings.set(finding.entity * this.#rules.length + finding.rule.index, finding);
    this.#limits.add(finding.rule.rule.id, 1);
  }

  /** Those that found no room: entity and rule. */
  refused(): (readonly [entity: number, rule: number])[] {
    const rules = this.#rules.length;
    return [...this.#refused].sort((a, b) => a - b).map((key) => [Math.floor(key / rules), key % rules] as const);
  }

  refuse(entity: number, rule: number): void {
    this.#refused.add(entity * this.#rules.length + rule);
  }

  /** An entity's place is given up. */
  forget(entity: number): void {
    for (let rule = 0; rule < this.#rules.length; rule++) this.#refused.delete(entity * this.#rules.length + rule);
  }

  #begin(key: number, second: number, severity: Severity | 0): void {
    if (severity === 0) {
      this.#refused.delete(key);
      return;
    }
    const rule = this.#rules[key % this.#rules.length];
    const { id, maxActive } = rule.rule;
    if ((this.#limits.active.get(id) ?? 0) >= maxActive) {
      if (!this.#refused.has(key)) this.#limits.evictions[id] = (this.#limits.evictions[id] ?? 0) + 1;
      this.#refused.add(key);
      return;
    }
    this.#refused.delete(key);
    const entity = Math.floor(key / this.#rules.length);
    this.put({ ...pendingSince(second, severity), entity, rule, anomalyId: '', number: 0, causedBy: [], message: '', ...namesNobody() });
  }
}
