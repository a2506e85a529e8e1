import type { FindingEntity } from './finding.ts';
import type { Rule, Severity } from './rule.ts';

/** Why a rule fired or did not: everything that it looks at, as of its last evaluation. */
export interface Explanation {
  readonly rule: Rule;
  readonly entity: FindingEntity;
  /** The second that was evaluated last, Unix seconds; undefined before the first. */
  readonly atS: number | undefined;
  readonly signals: readonly SignalExplanation[];
  readonly params: readonly { readonly name: string; readonly value: number; readonly from: 'default' | 'configuration' | 'annotation' }[];
  readonly when: readonly { readonly severity: Severity; readonly holds: boolean }[];
  /** Undefined where the rule has none of its own: it resolves when no `when` holds. */
  readonly resolves: boolean | undefined;
  readonly evidence: readonly { readonly text: string; readonly weight: number; readonly holds: boolean }[];
  readonly state: FindingState;
}

/** A signal of the rule as it was read. */
export interface SignalExplanation {
  readonly name: string;
  /** NaN: no data. */
  readonly value: number;
  /** What `minVolume` is compared with. */
  readonly volume: number;
  /** Why it has no value of its own: no cycle or record in the window, too little of it, or nobody looks. */
  readonly absent: 'NO_DATA' | 'BELOW_MIN_VOLUME' | 'PROBE_OFF' | 'READ_LATE' | undefined;
  /** What keeps it from being seen as it should, and what to do about it. */
  readonly note: string | undefined;
  /** The groups of a signal with `by`, the worst first. */
  readonly groups: readonly { readonly label: string; readonly value: number }[];
}

/** Where a rule is with an entity. */
export interface FindingState {
  readonly state: 'idle' | 'pending' | 'firing' | 'refused';
  /** First second in which `when` held; undefined when idle. */
  readonly startS: number | undefined;
  /** The last second in which it held. */
  readonly heldS: number | undefined;
  readonly severity: Severity | undefined;
  readonly anomalyId: string | undefined;
  readonly causedBy: readonly string[];
}
