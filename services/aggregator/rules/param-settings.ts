import type { RuleEntity } from './entity-table.ts';
import type { PlannedRule } from './rule-plan.ts';

type Annotations = Readonly<Record<string, string>>;

/** Params of each rule for each entity: what the rule or the configuration says, unless the Pod's annotations say otherwise. */
export class ParamSettings {
  readonly #rules: readonly PlannedRule[];
  readonly #countInvalid: () => void;
  /** By entity: the annotations that were read last, and params by rule that they set. */
  readonly #from: (Annotations | undefined)[] = [];
  readonly #own: (readonly (Float64Array | undefined)[] | undefined)[] = [];

  constructor(rules: readonly PlannedRule[], countInvalid: () => void) {
    this.#rules = rules;
    this.#countInvalid = countInvalid;
  }

  /** Values in the order of the rule's params. */
  of(rule: number, { index, pod }: RuleEntity): Float64Array {
    const { params } = this.#rules[rule];
    if (pod === undefined) return params;
    if (this.#from[index] !== pod.annotations) this.#learn(index, pod.annotations);
    return this.#own[index]?.[rule] ?? params;
  }

  /** Whether a param of an entity is its annotation's. */
  isOwn(rule: number, param: number, entity: RuleEntity): boolean {
    return this.of(rule, entity)[param] !== this.#rules[rule].params[param];
  }

  forget(entity: number): void {
    if (entity >= this.#from.length) return;
    this.#from[entity] = undefined;
    this.#own[entity] = undefined;
  }

  #learn(entity: number, annotations: Annotations): void {
    while (this.#from.length <= entity) {
      this.#from.push(undefined);
      this.#own.push(undefined);
    }
    this.#from[entity] = annotations;
    this.#own[entity] = isEmpty(annotations) ? undefined : this.#read(annotations);
  }

  #read(annotations: Annotations): (Float64Array | undefined)[] {
    const byRule: (Float64Array | undefined)[] = [];
    for (const { rule, params, index } of this.#rules) {
      rule.params.forEach(({ name }, place) => {
        const text = annotations[`${rule.id}.${name}`];
        if (text === undefined) return;
        const value = text.trim() === '' ? Number.NaN : Number(text);
        if (Number.isFinite(value)) (byRule[index] ??= Float64Array.from(params))[place] = value;
        else this.#countInvalid();
      });
    }
    return byRule;
  }
}

function isEmpty(annotations: Annotations): boolean {
  for (const _ in annotations) return false;
  return true;
}
