import { labelOfEntity, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { Explanation, SignalExplanation } from './explanation.ts';
import type { RuleSet } from './rule.ts';
import type { RuleDomain } from './rule-domain.ts';
import type { PlannedRule } from './rule-plan.ts';
import { sightNote } from './sight-note.ts';
import { partsOf, peersOf, templateValuesOf } from './transition-of.ts';

/** All that a rule looks at for an entity, as of the last second; undefined when the domain has no such rule or entity. */
export function explain(domain: RuleDomain, rules: RuleSet, ruleId: string, label: string): Explanation | undefined {
  const rule = domain.plan.rules.find((one) => one.rule.id === ruleId);
  const entity = domain.entities.all.find((one) => one !== undefined && isCalled(one, label));
  if (rule === undefined || entity === undefined) return undefined;
  if (!rule.ofEveryEntity && entity.index !== nodeIndex) return undefined;
  const input = domain.inputs.of(rule, entity, domain.evaluatedS);
  const texts = templateValuesOf(input, peersOf(input), partsOf(input));
  const { slots } = input;
  return {
    rule: rule.rule,
    entity: entity.info,
    atS: domain.evaluatedS === 0 ? undefined : domain.evaluatedS,
    signals: rule.rule.signals.map(({ name }, slot) => signalOf(domain, rule, entity, slot, name, slots[slot])),
    params: rule.rule.params.map(({ name, default: fallback }, place) => ({
      name,
      value: slots[rule.paramsAt + place],
      from: domain.params.isOwn(rule.index, place, entity)
        ? ('annotation' as const)
        : rules.params(rule.rule)[place] === fallback
          ? ('default' as const)
          : ('configuration' as const),
    })),
    when: rule.rule.when.map(({ severity, condition }) => ({ severity, holds: condition(slots) })),
    resolves: rule.rule.resolve?.(slots),
    evidence: rule.rule.evidence.map(({ when, say, weight }) => ({ text: say.render(texts), weight, holds: when(slots) })),
    state: stateOf(domain, rule, entity),
  };
}

function signalOf(domain: RuleDomain, rule: PlannedRule, entity: RuleEntity, slot: number, name: string, value: number): SignalExplanation {
  const at = rule.ofNode[slot] === 1 ? nodeIndex : entity.index;
  const signal = rule.signals[slot];
  const groups = domain.values.groups(at, signal, domain.entities.node);
  return { name, value, ...domain.values.volume(at, signal), note: sightNote(domain, { index: at }, signal), groups };
}

function stateOf({ book }: RuleDomain, rule: PlannedRule, entity: RuleEntity): Explanation['state'] {
  const finding = book.get(entity.index, rule.index);
  if (finding === undefined) {
    const state = book.isRefused(entity.index, rule.index) ? 'refused' : 'idle';
    return { state, startS: undefined, heldS: undefined, severity: undefined, anomalyId: undefined, causedBy: [] };
  }
  const { firing, startS, heldS, severity, anomalyId, causedBy } = finding;
  return { state: firing ? 'firing' : 'pending', startS, heldS, severity, anomalyId: anomalyId === '' ? undefined : anomalyId, causedBy };
}

/** People name Pods with their namespace, namespaces by name or cookie. */
function isCalled({ info }: RuleEntity, label: string): boolean {
  return (
    labelOfEntity(info) === label || (info.kind === 'netns' && String(info.cookie) === label) || (info.uid !== '' && info.uid === label)
  );
}
