import { severities } from '../../../schema/batch.ts';
import type { Explanation } from './explanation.ts';
import { nameOfEntity } from './finding-line.ts';

/** An explanation as JSON: what a person or a program reads. */
export interface ExplanationReport {
  readonly rule: { readonly id: string; readonly title: string; readonly version: string; readonly runbook: string };
  /** shop/web-0, a namespace, a node. */
  readonly entity: string;
  readonly node: string;
  /** The second that was evaluated last, ISO 8601; null: none yet. */
  readonly at: string | null;
  readonly state: 'idle' | 'pending' | 'firing' | 'refused';
  /** First second in which the condition held, and the last one. */
  readonly start: string | null;
  readonly held: string | null;
  readonly severity: string | null;
  readonly anomaly: string | null;
  readonly causedBy: readonly string[];
  readonly signals: readonly {
    readonly name: string;
    /** null: no data. */
    readonly value: number | null;
    readonly unit: string | null;
    readonly aggregation: string;
    readonly windowSeconds: number;
    readonly volume: number | null;
    readonly minVolume: number;
    readonly absent: string | null;
    /** What keeps it from being seen as it should, and what to do about it. */
    readonly note: string | null;
    readonly groups: readonly { readonly label: string; readonly value: number | null }[];
  }[];
  readonly params: readonly { readonly name: string; readonly value: number; readonly from: string }[];
  readonly when: readonly { readonly severity: string; readonly expression: string | null; readonly holds: boolean }[];
  /** null: it ends when no condition of `when` holds. */
  readonly resolve: { readonly expression: string | null; readonly holds: boolean } | null;
  readonly evidence: readonly { readonly text: string; readonly weight: number; readonly holds: boolean }[];
}

export function explanationReport({ rule, entity, atS, state, ...explanation }: Explanation): ExplanationReport {
  const { startS, heldS, severity, anomalyId, causedBy } = state;
  return {
    rule: { id: rule.id, title: rule.title, version: rule.version, runbook: rule.runbook },
    entity: nameOfEntity(entity),
    node: entity.node,
    at: time(atS),
    state: state.state,
    start: time(startS),
    held: time(heldS),
    severity: severity === undefined ? null : severities[severity],
    anomaly: anomalyId ?? null,
    causedBy,
    signals: explanation.signals.map(({ name, value, volume, absent, note, groups }) => {
      const ruleSignal = rule.signals.find((one) => one.name === name);
      return {
        name,
        value: known(value),
        unit: ruleSignal?.unit ?? null,
        aggregation: ruleSignal?.signal.aggregation ?? '',
        windowSeconds: ruleSignal?.signal.windowS ?? 0,
        volume: known(volume),
        minVolume: ruleSignal?.signal.minVolume ?? 0,
        absent: absent ?? null,
        note: note ?? null,
        groups: groups.map((group) => ({ label: group.label, value: known(group.value) })),
      };
    }),
    params: explanation.params,
    when: explanation.when.map(({ severity: level, holds }) => ({
      severity: severities[level],
      expression: rule.when.find((one) => one.severity === level)?.expression ?? null,
      holds,
    })),
    resolve: explanation.resolves === undefined ? null : { expression: rule.resolveExpression ?? null, holds: explanation.resolves },
    evidence: explanation.evidence,
  };
}

function known(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function time(unixSeconds: number | undefined): string | null {
  return unixSeconds === undefined ? null : `${new Date(unixSeconds * 1000).toISOString().slice(0, 19)}Z`;
}
