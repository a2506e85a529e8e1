import type { RuleEntity } from './entity-table.ts';
import type { PlannedRule } from './rule-plan.ts';

type Annotations = Readonly<Record<string, string>>;

/** Params of each rule for each entity: what the rule or the configuration says, unless the Pod's annotations say otherwise. */
export class ParamSettings {
  readonly #rules: readonly PlannedRule[];
  readonly #countInvalid: () => void;
  /** Of entities with annotations: params by rule, and what they were made from. */
  readonly #own = new Map<number, { readonly annotations: Annotations; readonly params: readonly (Float64Array | undefined)[] }>();

  constructor(rules: readonly PlannedRule[], countInvalid: () => void) {
    this.#rules = rules;
    this.#countInvalid = countInvalid;
  }

  /** Values in the order of the rule's params. */
  of(rule: number, { index, pod }: RuleEntity): Float64Array {
    const { params } = this.#rules[rule];
    if (pod === undefined) return params;
    let own = this.#own.get(index);
    if (own?.annotations !== pod.annotations) {
      if (own === undefined && isEmpty(pod.annotations)) return params;
      own = { annotations: pod.annotations, params: this.#read(pod.annotations) };
      this.#own.set(index, own);
    }
    return own?.params[rule] ?? params;
  }

  /** Whether a param of an entity is its annotation's. */
  isOwn(rule: number, param: number, entity: RuleEntity): boolean {
    return this.of(rule, entity)[param] !== this.#rules[rule].params[param];
  }

  forget(entity: number): void {
    this.#own.delete(entity);
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
