import { slices } from '../../../core/slices.ts';
import type { EntityTableImage, RuleEntity } from './entity-table.ts';
import type { Transition } from './finding.ts';
import type { Finding } from './finding-book.ts';
import type { FindingState } from './finding-state.ts';
import type { NamedGroups } from './named-groups.ts';
import type { RecentImage } from './recent-records.ts';
import type { Rule, Signal } from './rule.ts';
import type { RuleDomain } from './rule-domain.ts';
import type { PlannedRule } from './rule-plan.ts';
import type { SightImage } from './signal-sight.ts';
import type { SignalImage } from './signal-windows.ts';

/** A finding in a checkpoint: what its rule says is kept, as the rule may be gone. */
interface FindingImage extends FindingState, NamedGroups, Pick<Finding, 'entity' | 'anomalyId' | 'number' | 'causedBy' | 'message'> {
  readonly rule: Pick<Rule, 'id' | 'title' | 'why' | 'version' | 'entity' | 'clock' | 'runbook'>;
}

/** The first part of a domain in a checkpoint. Signals and rules are told by what they are, so that it fits other rules, too. */
interface DomainHead {
  readonly evaluatedS: number;
  readonly sight: SightImage;
  readonly isSilenced: boolean;
  readonly entities: EntityTableImage;
  readonly keys: readonly string[];
  /** By probe: the keys of all its signals, for whose selectors its last records are. */
  readonly probes: readonly (readonly [probe: number, keys: string])[];
}

/** Entities from one place on, and what is known of them. */
interface EntitiesPart {
  readonly from: number;
  readonly entities: readonly RuleEntity[];
  /** In the order of the head's keys. */
  readonly signals: readonly (readonly [image: SignalImage, values: Float64Array])[];
  readonly recent: readonly (readonly [probe: number, image: RecentImage])[];
}

/** A domain in a checkpoint, in parts that do not grow with it: the head, then entities, then findings. */
export type DomainPart =
  | { readonly head: DomainHead }
  | { readonly some: EntitiesPart }
  | { readonly findings: readonly FindingImage[] }
  | { readonly refused: readonly (readonly [ruleId: string, entity: number])[] };

/** Windows of one part: entities times signals. */
const windowsPerPart = 2048;
const findingsPerPart = 100;
const refusedPerPart = 10_000;

/** All that a domain knows. Each part is made when it is asked for: nothing may change until the last one is taken. */
export function* domainParts(domain: RuleDomain): Generator<DomainPart, void, undefined> {
  const { plan, evaluatedS, isSilenced, values, entities, windows, book } = domain;
  const probes = windows.intakes.flatMap((intake, probe) => (intake === undefined ? [] : [[probe, keysOf(plan, probe)] as const]));
  yield { head: { evaluatedS, sight: values.sight.image(), isSilenced, entities: entities.image(), keys: plan.keys, probes } };
  const each = Math.max(1, Math.floor(windowsPerPart / Math.max(1, plan.keys.length)));
  for (let from = 0; from < entities.all.length; from += each)
    yield { some: entitiesPart(domain, from, Math.min(from + each, entities.all.length)) };
  for (const findings of slices(book.sorted(), findingsPerPart)) yield { findings: findings.map(findingImage) };
  for (const refused of slices(book.refused(), refusedPerPart))
    yield { refused: refused.map(([entity, rule]) => [plan.rules[rule].rule.id, entity] as const) };
}

function entitiesPart({ plan, values, entities, windows }: RuleDomain, from: number, to: number): EntitiesPart {
  return {
    from,
    entities: entities.all.slice(from, to).filter((entity) => entity !== undefined),
    signals: plan.keys.map((_, signal) => [windows.image(signal, entities.node, from, to), values.image(signal, from, to)] as const),
    recent: windows.intakes.flatMap((intake, probe) => (intake === undefined ? [] : [[probe, intake.recent.image(from, to)] as const])),
  };
}

function findingImage({ rule: { rule }, ...finding }: Finding): FindingImage {
  const { id, title, why, version, entity, clock, runbook } = rule;
  return { ...finding, rule: { id, title, why, version, entity, clock, runbook } };
}

/** Fills a new domain with the parts of one, in their order. Windows of signals that it does not have are left out. */
export class DomainRestore {
  /** Transitions of findings whose rules are gone or say something else now. */
  readonly ended: Transition[] = [];
  readonly #domain: RuleDomain;
  readonly #rules: ReadonlyMap<string, PlannedRule>;
  /** Place here of each signal of the image; -1: there is no such. */
  #signals: readonly number[] = [];
  /** Probes whose selectors are the same. */
  #probes = new Set<number>();

  constructor(domain: RuleDomain) {
    this.#domain = domain;
    this.#rules = new Map(domain.plan.rules.map((planned) => [planned.rule.id, planned]));
  }

  add(part: DomainPart): void {
    if ('head' in part) this.#begin(part.head);
    else if ('some' in part) this.#entities(part.some);
    else if ('findings' in part) for (const finding of part.findings) this.#finding(finding);
    else for (const [ruleId, entity] of part.refused) this.#refused(ruleId, entity);
  }

  #begin({ evaluatedS, sight, isSilenced, entities, keys, probes }: DomainHead): void {
    const domain = this.#domain;
    const places = new Map(domain.plan.keys.map((key, place) => [key, place]));
    this.#signals = keys.map((key) => places.get(key) ?? -1);
    this.#probes = new Set(probes.flatMap(([probe, told]) => (keysOf(domain.plan, probe) === told ? [probe] : [])));
    domain.entities.restore(entities);
    domain.skipTo(evaluatedS);
    domain.isSilenced = isSilenced;
    domain.values.sight.restore(sight);
  }

  #entities({ from, entities, signals, recent }: EntitiesPart): void {
    const { windows, values } = this.#domain;
    for (const entity of entities) {
      this.#domain.entities.put(entity);
      this.#domain.added(entity);
    }
    signals.forEach(([image, told], index) => {
      const place = this.#signals[index];
      if (place < 0) return;
      windows.restore(place, image);
      values.restore(place, from, told);
    });
    for (const [probe, image] of recent) if (this.#probes.has(probe)) windows.intakes[probe]?.recent.restore(image);
  }

  #finding({ rule: told, ...finding }: FindingImage): void {
    const { book, entities, evaluatedS } = this.#domain;
    const rule = this.#rules.get(told.id);
    if (rule?.rule.version === told.version) {
      book.put({ ...finding, causedBy: [...finding.causedBy], rule });
      return;
    }
    const entity = entities.all[finding.entity];
    if (finding.firing && entity !== undefined) this.ended.push(changedRule({ rule: told, ...finding }, entity, evaluatedS));
  }

  #refused(ruleId: string, entity: number): void {
    const rule = this.#rules.get(ruleId);
    if (rule !== undefined) this.#domain.book.refuse(entity, rule.index);
  }
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
  { rule, message, anomalyId, number, severity, startS, causedBy, named }: FindingImage,
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
    by: named.by,
    evidence: [],
    confidence: 0,
    causedBy,
    samples: [],
    peers: named.peers,
  };
}
