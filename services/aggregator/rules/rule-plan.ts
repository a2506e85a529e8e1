import type { Rule, RuleSet, Signal } from './rule.ts';
import { planWindows, signalsOf, type WindowPlan } from './window-plan.ts';

/** Seconds that may not be evaluated yet when something is told. */
const openS = 2;

/** A rule as one set of entities runs it. */
export interface PlannedRule {
  readonly index: number;
  readonly rule: Rule;
  /** Every entity has it; else only the node (or the pipeline) itself. */
  readonly ofEveryEntity: boolean;
  /** Place of each signal in the plan. */
  readonly signals: Int32Array;
  /** 1: the signal is the node's. */
  readonly ofNode: Uint8Array;
  /** Slots of the signals that decide. */
  readonly deciding: readonly number[];
  /** Signals that make it fire while they are absent. */
  readonly firing: readonly number[];
  /** Place of the first param among the slots. */
  readonly paramsAt: number;
  readonly params: Float64Array;
  readonly longestS: number;
  /** Selectors of its records, by probe. */
  readonly selectors: ReadonlyMap<number, readonly number[]>;
  /** Place of each rule of `causedBy`; -1: it runs elsewhere. */
  readonly causes: readonly { readonly id: string; readonly index: number }[];
}

/** The rules of one kind of entities and clock, and what they need. */
export interface RulePlan {
  readonly rules: readonly PlannedRule[];
  readonly windows: WindowPlan;
  /** Keys of the signals, by place. */
  readonly keys: readonly string[];
  /** Rules that read a signal of the entity itself, by signal. */
  readonly readers: readonly Int32Array[];
  /** Rules of every entity that read the node's. */
  readonly nodeReaders: readonly Int32Array[];
  /** Longer than this nothing is kept or waited for, seconds. */
  readonly memoryS: number;
}

/** Plans the rules that a filter takes, in the order of the set. */
export function planRules(set: RuleSet, takes: (rule: Rule) => boolean): RulePlan {
  const rules = set.rules.filter(takes);
  const scoped = new Map<Rule, Signal[]>(rules.map((rule) => [rule, rule.signals.map(({ signal }) => withScopeInKey(signal))]));
  const signals = signalsOf(
    rules.map((rule) => ({ signals: (scoped.get(rule) ?? []).map((signal) => ({ name: '', unit: undefined, signal })) })),
  );
  const places = new Map(signals.map((signal, place) => [signal.key, place]));
  const ofEveryEntity = (rule: Rule): boolean => rule.entity === 'pod' && rule.clock === 'node';
  const wide = new Set(rules.filter(ofEveryEntity).flatMap((rule) => (scoped.get(rule) ?? []).map(({ key }) => key)));
  const windows = planWindows(signals, ({ key, scope }) => scope === 'node' || !wide.has(key));
  const indexes = new Map(rules.map(({ id }, index) => [id, index]));
  const planned = rules.map((rule, index): PlannedRule => {
    const own = (scoped.get(rule) ?? []).map(({ key }) => places.get(key) as number);
    return {
      index,
      rule,
      ofEveryEntity: ofEveryEntity(rule),
      signals: Int32Array.from(own),
      ofNode: Uint8Array.from(rule.signals, ({ signal }) => (signal.scope === 'node' ? 1 : 0)),
      deciding: rule.deciding ?? own.map((_, slot) => slot),
      firing: rule.signals.flatMap(({ signal }, slot) => (signal.absent === 'fires' ? [slot] : [])),
      paramsAt: own.length,
      params: set.params(rule),
      longestS: rule.signals.reduce((longest, { signal }) => Math.max(longest, signal.windowS), 1),
      selectors: selectorsOf(windows, new Set(own)),
      causes: rule.causedBy.map((id) => ({ id, index: indexes.get(id) ?? -1 })),
    };
  });
  return {
    rules: planned,
    windows,
    keys: signals.map(({ key }) => key),
    readers: signals.map((_, place) => readersOf(planned, place, 0)),
    nodeReaders: signals.map((_, place) => readersOf(planned, place, 1)),
    memoryS:
      openS + windows.longestS + rules.reduce((longest, rule) => Math.max(longest, rule.keepFiringForS, rule.forS + rule.settleS), 0),
  };
}

/** A signal of the entity and one of its node are two. */
function withScopeInKey(signal: Signal): Signal {
  return { ...signal, key: `${signal.scope} ${signal.key}` };
}

function readersOf(rules: readonly PlannedRule[], place: number, ofNode: 0 | 1): Int32Array {
  return Int32Array.from(
    rules.filter((rule) => rule.signals.some((signal, slot) => signal === place && rule.ofNode[slot] === ofNode)).map(({ index }) => index),
  );
}

function selectorsOf({ probes, signals }: WindowPlan, own: ReadonlySet<number>): Map<number, number[]> {
  const selected = new Map<number, number[]>();
  probes.forEach((probe, number) => {
    const isOwn = (cell: number): boolean => [...own].some((place) => signals[place].feed === probe?.feed && signals[place].main === cell);
    const found = (probe?.selectors ?? []).filter(({ adds, counts }) => adds.some(({ index }) => own.has(index)) || counts.some(isOwn));
    if (found.length > 0)
      selected.set(
        number,
        found.map(({ index }) => index),
      );
  });
  return selected;
}
