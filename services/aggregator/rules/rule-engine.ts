import type { RecordReader } from '../../../schema/record.ts';
import type { Ends } from '../end-names.ts';
import type { Contribution } from '../series/contribution.ts';
import type { SampleWatcher } from '../series/sample-watcher.ts';
import type { SourceFields } from '../series/source-fields.ts';
import type { SessionState } from '../session.ts';
import type { Explanation } from './explanation.ts';
import type { FindingEntity, Transition } from './finding.ts';
import type { CounterLabels, Rule, RuleSet, Severity } from './rule.ts';

export interface RuleEngineOptions {
  /** orchestrator.cluster.name: part of every finding's id. */
  readonly cluster: string;
  /** Number of the raw partition. */
  readonly partition: number;
}

/** A finding that is open now. */
export interface OpenFinding {
  readonly rule: Rule;
  readonly entity: FindingEntity;
  readonly severity: Severity;
  readonly anomalyId: string;
  readonly startS: number;
}

/** What the engine did not take. Whole numbers since the state began. */
export interface RuleCounters {
  /** Records and readings that were older than a window that asked for them. */
  late: number;
  /** Records whose local end nobody can name. */
  unidentified: number;
  /** Entities that found no room. */
  refusedEntities: number;
  /** Values of annotations that are no numbers, or of a parameter that the rule does not have. */
  invalidParams: number;
  /** Findings that were not opened because a rule had too many, by rule. */
  readonly evictions: Record<string, number>;
}

/**
 * The rules of one raw partition: windows over its records and samples, conditions once for each second of event time,
 * and the findings' states. A pure function of the partition's messages, whatever the sizes of the batches.
 */
export class RuleEngine implements SampleWatcher {
  /** Called with each step of a finding's life, in an order that follows from the messages alone. */
  onTransition: (transition: Transition) => void = () => undefined;
  readonly counters: RuleCounters = { late: 0, unidentified: 0, refusedEntities: 0, invalidParams: 0, evictions: {} };
  #rules: RuleSet;
  readonly options: RuleEngineOptions;

  constructor(rules: RuleSet, options: RuleEngineOptions) {
    this.#rules = rules;
    this.options = options;
  }

  /** The rules that run. */
  get rules(): RuleSet {
    return this.#rules;
  }

  /** A message of the session came, before anything of it is taken in: its node is not silent. */
  heard(_session: SessionState): void {}

  /** `session.watermarkNs` may have risen: seconds that are due are evaluated. Before the record that moved it is told. */
  watermark(_session: SessionState): void {}

  /** Items of the session that were lost: gaps, skipped ranges, losses of the kernel. They lower the confidence of findings. */
  lost(_session: SessionState, _items: number): void {}

  /**
   * A record whose ends are found (`ends.find`, not necessarily `ends.name`).
   * @param item number of the record in its session
   * @param isEvent it became an event, and was not only counted
   */
  record(_session: SessionState, _record: RecordReader, _ends: Ends, _item: number, _isEvent: boolean): void {}

  watched(_source: SourceFields): Uint8Array | undefined {
    return undefined;
  }

  reading(_session: SessionState, _contribution: Contribution, _readNs: number): void {}

  counted(_contribution: Contribution, _field: number, _increment: number, _isFirst: boolean): void {}

  gauged(_contribution: Contribution, _field: number, _value: number): void {}

  cycle(_session: SessionState, _isFull: boolean): void {}

  keyframe(_session: SessionState): void {}

  /**
   * What the aggregator knows of a node, or of the pipeline (node undefined), on the partition's clock: told before the
   * tick at which it is so.
   * @param source node, pipeline
   * @param value of a counter the total, of a gauge what is now
   */
  self(_node: string | undefined, _source: string, _field: string, _labels: CounterLabels, _value: number): void {}

  /** A tick of the partition: rules on its clock are evaluated, nodes fall silent. */
  tick(_appendedMs: number): void {}

  /** Other rules. What did not change keeps its windows and states; findings of rules that did are resolved. */
  replace(rules: RuleSet): void {
    this.#rules = rules;
  }

  /** Findings that are open, in a fixed order. */
  *open(): Iterable<OpenFinding> {}

  /** Blocks for a checkpoint. */
  snapshot(): Uint8Array[] {
    return [];
  }

  /** Fills an engine that has taken in nothing. Rules may have changed since. @param sessionOf sessions as the checkpoint had them */
  restore(_blocks: readonly Uint8Array[], _sessionOf: (node: string, session: string) => SessionState | undefined): void {}

  /** Why a rule fired or did not; undefined when there is no such rule or entity. @param entity shop/web-0, name or cookie of a namespace, a node */
  explain(_ruleId: string, _entity: string): Explanation | undefined {
    return undefined;
  }
}
