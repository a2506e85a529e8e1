import { type EntityTable, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { Finding } from './finding-book.ts';
import type { ParamSettings } from './param-settings.ts';
import type { PlannedRule, RulePlan } from './rule-plan.ts';
import type { SignalValues } from './signal-values.ts';
import type { SignalWindows } from './signal-windows.ts';
import type { OriginNames, TransitionInput } from './transition-of.ts';

/** Where rules of a domain see entities. */
export interface RuleInputParts {
  readonly entities: EntityTable;
  readonly windows: SignalWindows;
  readonly values: SignalValues;
  readonly params: ParamSettings;
  readonly names: OriginNames;
  /** Share of the node's items that came in the last seconds: 0 to 1. */
  heardShare(windowS: number): number;
}

/** What rules see of an entity: values of signals and params for their conditions, and all that findings are told with. */
export class RuleInputs {
  readonly #parts: RuleInputParts;
  readonly #slots: Float64Array;

  constructor(plan: RulePlan, parts: RuleInputParts) {
    this.#parts = parts;
    this.#slots = new Float64Array(plan.rules.reduce((most, { paramsAt, params }) => Math.max(most, paramsAt + params.length), 0));
  }

  /** What a rule's conditions see of an entity now. The same array each time. */
  slots({ signals, ofNode, paramsAt, index }: PlannedRule, entity: RuleEntity): Float64Array {
    const { values, width } = this.#parts.values;
    const own = entity.index * width;
    for (let slot = 0; slot < signals.length; slot++) this.#slots[slot] = values[(ofNode[slot] === 1 ? 0 : own) + signals[slot]];
    const params = this.#parts.params.of(index, entity);
    for (let param = 0; param < params.length; param++) this.#slots[paramsAt + param] = params[param];
    return this.#slots;
  }

  /** What is told of an entity now. */
  of(rule: PlannedRule, entity: RuleEntity, atS: number): TransitionInput {
    const { entities, values, windows, names } = this.#parts;
    const heardShare = this.#parts.heardShare(rule.longestS);
    return { rule, entity, node: entities.node, slots: this.slots(rule, entity), values, windows, atS, heardShare, names };
  }

  /** The groups that the sentence of a finding names; '' when one of them has no data. */
  groupsOf({ entity, rule }: Finding): string {
    const { values, entities } = this.#parts;
    const groups = (rule.rule.named ?? []).map((slot) =>
      values.worstGroup(rule.ofNode[slot] === 1 ? nodeIndex : entity, rule.signals[slot], entities.node).join(' '),
    );
    return groups.includes('') ? '' : groups.join('\n');
  }
}
