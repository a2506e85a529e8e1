import type { EventNames } from '../../../bpf/event.ts';
import type { RecordReader } from '../../../schema/record.ts';

/** Of whom a rule speaks. `pod`: a Pod, else the network namespace that is no Pod's, else the node itself. */
export type EntityKind = 'pod' | 'node' | 'pipeline';

/** 1 info, 2 warning, 3 critical: as `event.severity`. */
export type Severity = 1 | 2 | 3;

/** How what fell into a signal's window becomes one number. */
export type Aggregation = 'rate' | 'delta' | 'sum' | 'max' | 'min' | 'p50' | 'p95' | 'p99' | 'count' | 'distinct' | 'last' | 'slope';

/** What a signal is while nothing fell into its window: NaN, 0, what it was before, or a reason to fire. */
export type AbsentPolicy = 'false' | 'zero' | 'hold' | 'fires';

/** Clock that a rule follows: the event time of its node, or the append time of the partition (for what a silent node cannot say). */
export type RuleClock = 'node' | 'partition';

/** A boolean over a rule's slots: its signals in their order, then its params. NaN is no data: every comparison with it is false. */
export type Condition = (slots: Float64Array) => boolean;

/** A number of a record; NaN: this record does not have it. */
export type RecordNumber = (record: RecordReader, names: EventNames) => number;
export type RecordText = (record: RecordReader, names: EventNames) => string;
export type RecordPredicate = ((record: RecordReader, names: EventNames) => boolean) & {
  /** It says the same of all records of the same kind (variant, code, protocol, role) while the names of the node's kernel are the same. */
  readonly ofKind?: boolean;
};

/** Labels of a counter's contribution, its own only: reason, site, port, device; the container's name as `container`. */
export type CounterLabels = Readonly<Record<string, string>>;
export type LabelPredicate = (labels: CounterLabels) => boolean;

/** Where a counter comes from: a source of samples (`netstat`), a probe's counters (`tcpreset`), or the pipeline itself (`node`, `pipeline`). */
export interface CounterReference {
  /** netstat, cgroup, tcpreset, node, pipeline */
  readonly source: string;
  /** As SampleLayout names it (TcpExt.ListenOverflows); of a probe the number of the metric, as text; of a histogram likewise. */
  readonly field: string;
  /** Gauges hold what is now: rate and delta mean nothing. */
  readonly kind: 'counter' | 'gauge' | 'histogram';
}

/** A signal that is read from totals: what the kernel, a probe or the pipeline counts. */
export interface CounterInput {
  readonly kind: 'counter';
  readonly counter: CounterReference;
  /** The signal is the ratio of the two deltas. */
  readonly per: CounterReference | undefined;
  readonly where: LabelPredicate | undefined;
  /** Names of the labels whose worst values, together, are the signal. */
  readonly by: readonly string[] | undefined;
}

/** A signal that is made of a probe's records; `event` in a rule file is the same, over what became an event. */
export interface RecordInput {
  readonly kind: 'record';
  /** Number of the probe. */
  readonly probe: number;
  /** `event`: only what became an event counts; else every record. */
  readonly eventsOnly: boolean;
  /** What is aggregated; undefined: records are counted. */
  readonly value: RecordNumber | undefined;
  readonly where: RecordPredicate | undefined;
  /** What records are grouped by. The worst group is the signal. */
  readonly by: readonly RecordGroup[] | undefined;
}

/** What records are grouped by: `port`, `far_port`, `peer`, or a text of the record (`reason`). */
export interface RecordGroup {
  readonly name: string;
  readonly of: RecordNumber | RecordText | 'peer';
}

export type SignalInput = CounterInput | RecordInput;

/** One input of rules. Rules that ask for the same thing share it. */
export interface Signal {
  /** The same text for the same signal: what it reads and how, without its name in a rule. */
  readonly key: string;
  readonly input: SignalInput;
  readonly aggregation: Aggregation;
  /** Whole seconds. */
  readonly windowS: number;
  /** Below this volume in the window the signal is absent: of a ratio the delta of `per`, of records their number, else the delta. */
  readonly minVolume: number;
  readonly absent: AbsentPolicy;
  /** `entity`: the rule's own entity; `node`: its node. */
  readonly scope: 'entity' | 'node';
}

/** What a signal groups by, each in its place; empty: it does not. */
export function groupNames({ by }: SignalInput): readonly string[] {
  return by?.map((one) => (typeof one === 'string' ? one : one.name)) ?? [];
}

/** A signal as one rule names it. */
export interface RuleSignal {
  readonly name: string;
  /** per_second, ratio, seconds: ends the name in `jitterscope.values`. */
  readonly unit: string | undefined;
  readonly signal: Signal;
}

/** A threshold of a rule, which a configuration or an annotation may change. */
export interface RuleParam {
  readonly name: string;
  readonly default: number;
}

/** A sentence with places: what the engine knows at that moment is put in. */
export interface Template {
  /** The text as it stands in the rule. */
  readonly source: string;
  render(values: TemplateValues): string;
}

/** What a template may ask for. */
export interface TemplateValues {
  /** shop/web-0, the name of a namespace, the node. */
  readonly entity: string;
  readonly node: string;
  /** By place in the rule; NaN: no data. */
  signal(index: number): number;
  /** The worst group of a signal with `by`, or one part of it where `by` names several; empty without one. */
  by(index: number, part?: number): string;
  param(index: number): number;
  /** The far end that was seen most in the rule's records; empty when there is none. */
  readonly peer: string;
}

/** Something that makes a finding more or less sure. */
export interface Evidence {
  readonly when: Condition;
  readonly say: Template;
  readonly weight: number;
}

/** A rule as the engine runs it. */
export interface Rule {
  readonly id: string;
  readonly title: string;
  /** rule.description */
  readonly why: string;
  /** `sha256:` and 16 hex digits of what the rule says and how long its windows are: its state outlives a reload that does not change it. */
  readonly version: string;
  readonly entity: EntityKind;
  readonly clock: RuleClock;
  readonly signals: readonly RuleSignal[];
  /** Places of the signals that `when` and `resolve` read; left out: all of them. What only evidence reads decides nothing. */
  readonly deciding?: readonly number[];
  /** Places of the signals whose worst group `summary` names: when another one is named, the finding is told anew. */
  readonly named?: readonly number[];
  readonly params: readonly RuleParam[];
  /** The most severe one first. */
  readonly when: readonly { readonly severity: Severity; readonly condition: Condition; readonly expression?: string }[];
  /** Undefined: it resolves when no `when` holds. */
  readonly resolve: Condition | undefined;
  /** `resolve` as it stands in the rule. */
  readonly resolveExpression?: string;
  readonly forS: number;
  readonly keepFiringForS: number;
  readonly settleS: number;
  /** Ids of rules whose finding on the same entity or its node explains this one. */
  readonly causedBy: readonly string[];
  readonly summary: Template;
  readonly evidence: readonly Evidence[];
  /** docs/runbooks/<id>.md */
  readonly runbook: string;
  /** Findings of the rule that may be pending or firing in a partition; what comes beyond evicts the oldest pending one, or is counted. */
  readonly maxActive: number;
}

/** Rules that run together. */
export interface RuleSet {
  readonly rules: readonly Rule[];
  /** All signals of all rules, each once. */
  readonly signals: readonly Signal[];
  /** sha256 over the versions of all rules and the params that are set. */
  readonly version: string;
  /** Params of a rule as the configuration sets them, in the order of `rule.params`. */
  params(rule: Rule): Float64Array;
}
