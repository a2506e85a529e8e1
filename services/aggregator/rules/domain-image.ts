import type { EntityTableImage, RuleEntity } from './entity-table.ts';
import type { Transition } from './finding.ts';
import type { Finding } from './finding-book.ts';
import type { FindingState } from './finding-state.ts';
import type { RecentImage } from './recent-records.ts';
import type { Rule, Signal } from './rule.ts';
import type { RuleDomain } from './rule-domain.ts';
import type { SignalImage } from './signal-windows.ts';

/** A finding in a checkpoint: what its rule says is kept, as the rule may be gone. */
interface FindingImage extends FindingState, Pick<Finding, 'entity' | 'anomalyId' | 'number' | 'causedBy' | 'message'> {
  readonly rule: Pick<Rule, 'id' | 'title' | 'why' | 'version' | 'entity' | 'clock' | 'runbook'>;
}

/** A domain in a checkpoint. Signals and rules are told by what they are, so that it fits other rules, too. */
export interface DomainImage {
  readonly evaluatedS: number;
  readonly cycleS: number;
  /** Absent in checkpoints of versions without it. */
  readonly isSilenced?: boolean;
  readonly entities: EntityTableImage;
  readonly signals: readonly (readonly [key: string, image: SignalImage, values: Float64Array | undefined])[];
  /** By probe; with the keys of all its signals, for whose selectors it is. */
  readonly recent: readonly (readonly [probe: number, keys: string, image: RecentImage])[];
  readonly findings: readonly FindingImage[];
  readonly refused: readonly (readonly [ruleId: string, entity: number])[];
}

/** All that a domain knows. */
export function imageOf({ plan, evaluatedS, isSilenced, values, entities, windows, book }: RuleDomain): DomainImage {
  return {
    evaluatedS,
    cycleS: values.cycleS,
    isSilenced,
    entities: entities.image(),
    signals: plan.keys.map((key, signal) => [key, windows.image(signal, entities.node), values.image(signal)] as const),
    recent: windows.intakes.flatMap((intake, probe) =>
      intake === undefined ? [] : [[probe, keysOf(plan, probe), intake.recent.image()] as const],
    ),
    findings: book.sorted().map(({ rule: { rule }, ...finding }) => {
      const { id, title, why, version, entity, clock, runbook } = rule;
      return { ...finding, rule: { id, title, why, version, entity, clock, runbook } };
    }),
    refused: book.refused().map(([entity, rule]) => [plan.rules[rule].rule.id, entity] as const),
  };
}

/**
 * Fills a new domain. Windows of signals that it does not have are left out.
 * @returns transitions of findings whose rules are gone or say something else now
 */
export function restoreDomain(domain: RuleDomain, image: DomainImage): Transition[] {
  const { plan, windows, values, entities, book } = domain;
  entities.restore(image.entities);
  domain.skipTo(image.evaluatedS);
  domain.isSilenced = image.isSilenced ?? false;
  values.cycle(image.cycleS);
  for (const entity of entities.all) if (entity !== undefined) domain.added(entity);
  for (const [key, signal, told] of image.signals) {
    const place = plan.keys.indexOf(key);
    if (place < 0) continue;
    windows.restore(place, signal);
    if (told !== undefined) values.restore(place, told);
  }
  for (const [probe, keys, recent] of image.recent) if (keysOf(plan, probe) === keys) windows.intakes[probe]?.recent.restore(recent);
  const rules = new Map(plan.rules.map((planned) => [planned.rule.id, planned]));
  for (const [ruleId, entity] of image.refused) {
    const rule = rules.get(ruleId);
    if (rule !== undefined) book.refuse(entity, rule.index);
  }
  return image.findings.flatMap(({ rule: told, ...finding }) => {
    const rule = rules.get(told.id);
    if (rule?.rule.version === told.version) {
      book.put({ ...finding, causedBy: [...finding.causedBy], rule });
      return [];
    }
    const entity = entities.all[finding.entity];
    return finding.firing && entity !== undefined ? [changedRule({ rule: told, ...finding }, entity, image.evaluatedS)] : [];
  });
}

/** Which signals decide about the selectors of a probe. */
function keysOf({ keys, windows }: RuleDomain['plan'], probe: number): string {
  return keys.filter((_, signal) => probeOf(windows.signals[signal].signal) === probe).join('\n');
}

function probeOf({ input }: Signal): number | undefined {
  return input.kind === 'record' ? input.probe : undefined;
}

/** The end of a finding whose rule is not there any more to say anything. */
function changedRule(
  { rule, message, anomalyId, number, severity, startS, causedBy }: FindingImage,
  { info }: RuleEntity,
  atS: number,
): Transition {
  return {
    rule: {
      ...rule,
      signals: [],
      params: [],
      when: [],
      resolve: undefined,
      forS: 0,
      keepFiringForS: 0,
      settleS: 0,
      causedBy: [],
      summary: { source: '', render: () => message },
      evidence: [],
      maxActive: 0,
    },
    entity: info,
    anomalyId,
    number: number + 1,
    action: 'resolved',
    severity,
    startS,
    atS,
    reason: 'RULE_CHANGED',
    message,
    values: [],
    by: [],
    evidence: [],
    confidence: 0,
    causedBy,
    samples: [],
    peers: [],
  };
}
