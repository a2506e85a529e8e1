import { createHash } from 'node:crypto';
import { idOfEntity, labelOfEntity, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { Peer, ResolvedReason, Transition } from './finding.ts';
import type { Finding } from './finding-book.ts';
import type { TemplateValues } from './rule.ts';
import type { PlannedRule } from './rule-plan.ts';
import type { SignalValues } from './signal-values.ts';
import type { SignalWindows } from './signal-windows.ts';
import type { Sample } from './trail.ts';

/** Far ends that a transition names, and events. */
const maxPeers = 5;
const maxSamples = 5;
/** How sure a finding is without evidence for or against it. */
const baseConfidence = 0.7;

/** What a transition is made from. */
export interface TransitionInput {
  readonly rule: PlannedRule;
  readonly entity: RuleEntity;
  readonly node: string;
  readonly slots: Float64Array;
  readonly values: SignalValues;
  readonly windows: SignalWindows;
  readonly atS: number;
  /** Share of the node's items that came, in the rule's longest window: 0 to 1. */
  readonly heardShare: number;
}

/** First 8 bytes of SHA-256(cluster NUL rule NUL entity NUL start), hex. */
export function anomalyIdOf(cluster: string, ruleId: string, entity: RuleEntity, startS: number): string {
  return createHash('sha256')
    .update([cluster, ruleId, idOfEntity(entity.info), String(startS)].join('\0'))
    .digest('hex')
    .slice(0, 16);
}

/** The document of one step. */
export function transitionOf(
  input: TransitionInput,
  finding: Finding,
  action: Transition['action'],
  reason: ResolvedReason | undefined,
): Transition {
  const { rule, entity, slots, atS } = input;
  const peers = peersOf(input);
  const texts = templateValuesOf(input, peers);
  const evidence = rule.rule.evidence.filter(({ when }) => when(slots)).map(({ say, weight }) => ({ text: say.render(texts), weight }));
  const sum = evidence.reduce((total, { weight }) => total + weight, baseConfidence);
  return {
    rule: rule.rule,
    entity: entity.info,
    anomalyId: finding.anomalyId,
    number: finding.number,
    action,
    severity: finding.severity,
    startS: finding.startS,
    atS,
    reason,
    message: rule.rule.summary.render(texts),
    values: rule.rule.signals.flatMap(({ name, unit }, slot) =>
      Number.isNaN(slots[slot]) ? [] : [[unit === undefined ? name : `${name}_${unit}`, slots[slot]] as const],
    ),
    by: rule.rule.signals.flatMap(({ name }, slot) => {
      const group = texts.by(slot);
      return group === '' ? [] : [[name, group] as const];
    }),
    evidence,
    confidence: Math.round(Math.min(1, Math.max(0, sum)) * input.heardShare * 1000) / 1000,
    causedBy: [...finding.causedBy],
    samples: samplesOf(input).map(({ id }) => id),
    peers,
  };
}

/** What templates of the rule may ask for. */
export function templateValuesOf(input: TransitionInput, peers: readonly Peer[]): TemplateValues {
  const { rule, entity, node, slots, values } = input;
  return {
    entity: labelOfEntity(entity.info),
    node,
    signal: (index) => slots[index],
    by: (index) => values.worstGroup(rule.ofNode[index] === 1 ? nodeIndex : entity.index, rule.signals[index], node),
    param: (index) => slots[rule.paramsAt + index],
    peer: peers[0]?.label ?? '',
  };
}

/** The most frequent far ends of the rule's records, joined by address. */
export function peersOf({ rule, entity, node, windows, atS }: TransitionInput): Peer[] {
  const byAddress = new Map<string, Peer>();
  for (const selector of rule.selectors) {
    const { windowS } = windows.selectors[selector];
    for (const peer of windows.trails[selector][entity.index]?.peers(Math.floor(atS / windowS), node) ?? []) {
      const known = byAddress.get(peer.address);
      byAddress.set(peer.address, known === undefined ? peer : { ...known, count: known.count + peer.count });
    }
  }
  return [...byAddress.values()].sort((a, b) => b.count - a.count || (a.address < b.address ? -1 : 1)).slice(0, maxPeers);
}

function samplesOf({ rule, entity, windows, atS }: TransitionInput): Sample[] {
  const byId = new Map<string, Sample>();
  for (const selector of rule.selectors) {
    for (const sample of windows.trails[selector][entity.index]?.samples(atS - rule.longestS) ?? []) byId.set(sample.id, sample);
  }
  return [...byId.values()].sort((a, b) => a.order - b.order).slice(-maxSamples);
}
