import type { Rule, Severity } from './rule.ts';

/** Whom a finding is about. */
export interface FindingEntity {
  readonly kind: 'pod' | 'netns' | 'node' | 'pipeline';
  readonly node: string;
  /** Kubernetes namespace; empty without a Pod. */
  readonly namespace: string;
  /** Name of the Pod; empty without one. */
  readonly pod: string;
  readonly uid: string;
  /** Name of a network namespace that is no Pod's, or of a partition: `partition 0`; else empty. */
  readonly name: string;
  /** Cookie and inode of the network namespace; 0: not known. */
  readonly cookie: number;
  readonly inode: number;
}

/** A far end that a rule's records were about. */
export interface Peer {
  /** shop/client-0, a node, an address. */
  readonly label: string;
  readonly address: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  /** Records; of those that were not kept at most this many more. */
  readonly count: number;
}

/** Why a finding ended. */
export type ResolvedReason = 'CONDITION_ENDED' | 'NO_DATA' | 'ENTITY_GONE' | 'RULE_CHANGED';

/** One step of a finding's life: a document of its own that never changes. */
export interface Transition {
  readonly rule: Rule;
  readonly entity: FindingEntity;
  /** 16 hex digits, the same for all transitions of one finding. */
  readonly anomalyId: string;
  /** From 1. */
  readonly number: number;
  readonly action: 'opened' | 'updated' | 'resolved';
  readonly severity: Severity;
  /** First second in which `when` held, Unix seconds. */
  readonly startS: number;
  /** The second that was evaluated, Unix seconds: `@timestamp`. */
  readonly atS: number;
  readonly reason: ResolvedReason | undefined;
  readonly message: string;
  /** Key with its unit (overflows_per_second) and value; signals without data are left out. */
  readonly values: readonly (readonly [string, number])[];
  /** Worst groups by signal; of one that is resolved those that were named last, as its far ends. */
  readonly by: readonly (readonly [string, string])[];
  readonly evidence: readonly { readonly text: string; readonly weight: number }[];
  /** 0 to 1. */
  readonly confidence: number;
  readonly causedBy: readonly string[];
  /** Ids of events, the newest last. */
  readonly samples: readonly string[];
  /** Most frequent first. */
  readonly peers: readonly Peer[];
}
