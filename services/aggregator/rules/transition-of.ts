import { createHash } from 'node:crypto';
import { idOfEntity, labelOfEntity, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { FarEndName } from './far-ends.ts';
import type { Peer, ResolvedReason, Transition } from './finding.ts';
import type { Finding } from './finding-book.ts';
import type { NamedParts } from './named-groups.ts';
import type { SeenEvent } from './recent-records.ts';
import { groupNames, type TemplateValues } from './rule.ts';
import type { PlannedRule } from './rule-plan.ts';
import type { SignalValues } from './signal-values.ts';
import type { SignalWindows } from './signal-windows.ts';

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
  readonly names: OriginNames;
}

/** What the last records are called. */
export interface OriginNames {
  /** Who held an address in a second. */
  farEnd(words: Int32Array, second: number): FarEndName;
  /** First half of the ids of a session's events. */
  idPrefix(origin: number): string;
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
  const isPast = namesLast(finding, action, atS);
  const peers = isPast ? finding.named.peers : peersOf(input);
  const texts = templateValuesOf(input, peers, isPast ? finding.named.parts : partsOf(input));
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
    by: isPast
      ? finding.named.by
      : rule.rule.signals.flatMap(({ name, signal }, slot) => groupEntries(name, groupNames(signal.input), texts, slot)),
    evidence,
    confidence: Math.round(Math.min(1, Math.max(0, sum)) * input.heardShare * 1000) / 1000,
    causedBy: [...finding.causedBy],
    samples: samplesOf(input),
    peers,
  };
}

/** Whether a transition names what was named last: windows hold nothing of the condition any more. */
export function namesLast({ heldS }: Finding, action: Transition['action'], atS: number): boolean {
  return action === 'resolved' || heldS < atS;
}

/** The parts of each signal's worst group now, by slot; of signals without groups none. */
export function partsOf({ rule, entity, node, values }: TransitionInput): NamedParts {
  return Array.from(rule.signals, (signal, slot) => values.worstGroup(rule.ofNode[slot] === 1 ? nodeIndex : entity.index, signal, node));
}

/** The worst group of a signal as documents name it: by the signal, or by signal and part: worst_peer. */
function groupEntries(signal: string, names: readonly string[], { by }: TemplateValues, slot: number): (readonly [string, string])[] {
  return names.flatMap((name, part) => {
    const label = by(slot, part);
    return label === '' ? [] : [[names.length === 1 ? signal : `${signal}_${name}`, label] as const];
  });
}

/** What templates of the rule may ask for. */
export function templateValuesOf(input: TransitionInput, peers: readonly Peer[], parts: NamedParts): TemplateValues {
  const { rule, entity, node, slots } = input;
  return {
    entity: labelOfEntity(entity.info),
    node,
    signal: (index) => slots[index],
    by: (index, part) => {
      const labels = parts[index] ?? [];
      return part === undefined ? labels.join(' ') : (labels[part] ?? '');
    },
    param: (index) => slots[rule.paramsAt + index],
    peer: peers[0]?.label ?? '',
  };
}

/** The most frequent far ends of the rule's last records. */
export function peersOf({ rule, entity, windows, atS, names }: TransitionInput): Peer[] {
  const counts = new Map<string, { count: number; words: Int32Array; second: number }>();
  for (const [probe, selectors] of rule.selectors) {
    for (const { words, weight, second } of windows.intakes[probe]?.recent.peers(entity.index, selectors, atS - rule.longestS) ?? []) {
      const key = words.join();
      const known = counts.get(key);
      counts.set(key, { count: (known?.count ?? 0) + weight, words, second: Math.max(second, known?.second ?? 0) });
    }
  }
  const most = [...counts].sort(([a, one], [b, other]) => other.count - one.count || (a < b ? -1 : 1)).slice(0, maxPeers);
  return most.map(([, { count, words, second }]) => {
    const name = names.farEnd(words, second);
    return { ...name, ...(isLoopback(words) ? selfOf(entity) : {}), count };
  });
}

/** 127.0.0.0/8 as an IPv4-mapped address, or ::1, as little-endian words. */
function isLoopback([w0, w1, w2, w3]: Int32Array): boolean {
  if (w0 !== 0 || w1 !== 0) return false;
  return w2 === 0 ? w3 === 0x0100_0000 : w2 === (0xffff_0000 | 0) && (w3 & 0xff) === 127;
}

/** Who is at the other end of loopback: the entity itself, called as a signal by peer calls it. */
function selfOf({ info }: RuleEntity): Omit<FarEndName, 'address'> {
  const isPod = info.kind === 'pod';
  return {
    label: labelOfEntity(info),
    namespace: isPod ? info.namespace : '',
    pod: isPod ? info.pod : '',
    uid: isPod ? info.uid : '',
  };
}

/** The last events of the rule's records, in order. */
function samplesOf({ rule, entity, windows, atS, names }: TransitionInput): string[] {
  const found: SeenEvent[] = [];
  for (const [probe, selectors] of rule.selectors) {
    for (const event of windows.intakes[probe]?.recent.events(entity.index, selectors, atS - rule.longestS) ?? []) found.push(event);
  }
  return found
    .sort((a, b) => a.order - b.order)
    .slice(-maxSamples)
    .map(({ origin, item }) => `${names.idPrefix(origin)}-${item}`);
}
