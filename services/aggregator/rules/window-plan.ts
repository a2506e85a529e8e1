import type { Cell } from './cell.ts';
import type { GroupParts } from './group-table.ts';
import {
  type CounterReference,
  groupNames,
  type LabelPredicate,
  type RecordInput,
  type RecordPredicate,
  type RuleSignal,
  type Signal,
} from './rule.ts';

/** Numbers of rows of one kind: of the entities themselves, or of the groups of one signal. */
export interface FeedPlan {
  readonly cells: readonly Cell[];
  /** Rows are groups: 16 of an entity. */
  readonly grouped: boolean;
}

/** Where a signal's windows are. */
export interface SignalPlan {
  readonly signal: Signal;
  readonly feed: number;
  /** Cell of the value; of a sketch that of the volume. -1: none. */
  readonly main: number;
  /** Cell of the denominator, or of the number of values; -1: none is kept. */
  readonly second: number;
  readonly group: GroupParts | undefined;
  readonly sketch: 'distinct' | 'quantile' | undefined;
  /** Only the node's own is asked for. */
  readonly nodeOnly: boolean;
}

/** What a record adds to one signal. */
export interface RecordAdd {
  readonly index: number;
  readonly plan: SignalPlan;
  readonly input: RecordInput;
}

/** Records of a probe that signals ask for in the same words. */
export interface Selector {
  /** Place among the selectors of its probe. */
  readonly index: number;
  readonly probe: number;
  readonly eventsOnly: boolean;
  readonly where: RecordPredicate | undefined;
  /** Only the node's own records are asked for. */
  readonly nodeOnly: boolean;
  /** Cells of the probe's feed that count each record. */
  readonly counts: readonly number[];
  /** All other signals. */
  readonly adds: readonly RecordAdd[];
}

/** What is made of a probe's records. */
export interface ProbePlan {
  /** Feed of the signals without groups. */
  readonly feed: number;
  readonly selectors: readonly Selector[];
}

/** What a counter or gauge adds to one signal. */
export interface CounterAdd {
  readonly index: number;
  readonly plan: SignalPlan;
  readonly cell: number;
  readonly kind: CounterReference['kind'];
  readonly where: LabelPredicate | undefined;
  readonly by: readonly string[] | undefined;
}

/** Fields of a source that are asked for, by name; of a histogram the name of its metric. */
export interface SourcePlan {
  readonly index: number;
  readonly fields: ReadonlyMap<string, readonly CounterAdd[]>;
}

/** All windows that one set of signals needs. */
export interface WindowPlan {
  readonly feeds: readonly FeedPlan[];
  readonly signals: readonly SignalPlan[];
  /** By number. */
  readonly probes: readonly (ProbePlan | undefined)[];
  readonly sources: ReadonlyMap<string, SourcePlan>;
  /** Seconds. */
  readonly longestS: number;
}

/** @param nodeOnly signals that are read of the node alone */
export function planWindows(signals: readonly Signal[], nodeOnly: (signal: Signal) => boolean): WindowPlan {
  const planner = new WindowPlanner();
  signals.forEach((signal, index) => {
    planner.add(signal, index, nodeOnly(signal));
  });
  return planner.finish();
}

/** The signals of rules, each once, in the order in which they are first used. */
export function signalsOf(rules: readonly { readonly signals: readonly RuleSignal[] }[]): Signal[] {
  const byKey = new Map<string, Signal>();
  for (const rule of rules) for (const { signal } of rule.signals) if (!byKey.has(signal.key)) byKey.set(signal.key, signal);
  return [...byKey.values()];
}

class WindowPlanner {
  readonly #feeds: { cells: Cell[]; grouped: boolean }[] = [];
  readonly #signals: SignalPlan[] = [];
  readonly #probes: ({ feed: number; selectors: SelectorDraft[] } | undefined)[] = [];
  readonly #sources = new Map<string, { index: number; fields: Map<string, CounterAdd[]> }>();
  #counterFeed = -1;

  add(signal: Signal, index: number, nodeOnly: boolean): void {
    if (signal.input.kind === 'record') this.#record(signal, signal.input, index, nodeOnly);
    else this.#counter(signal, index, nodeOnly);
  }

  finish(): WindowPlan {
    return {
      feeds: this.#feeds,
      signals: this.#signals,
      probes: this.#probes,
      sources: this.#sources,
      longestS: this.#signals.reduce((longest, { signal }) => Math.max(longest, signal.windowS), 1),
    };
  }

  #record(signal: Signal, input: RecordInput, index: number, nodeOnly: boolean): void {
    const probe = (this.#probes[input.probe] ??= { feed: this.#newFeed(false), selectors: [] });
    const group = partsOf(input);
    const feed = group === undefined ? probe.feed : this.#newFeed(true);
    const { aggregation, windowS, minVolume } = signal;
    const sketch = sketchOf(signal);
    const countsRecords = isAdditive(signal) && (input.value === undefined || aggregation === 'count');
    const kind =
      isAdditive(signal) || aggregation === 'slope' ? 'sum' : aggregation === 'max' || aggregation === 'min' ? aggregation : 'last';
    const needsVolume = sketch !== undefined || aggregation === 'slope' || (minVolume > 0 && !countsRecords);
    const main = sketch === undefined ? this.#cell(feed, { kind, windowS, signal: index }) : -1;
    const second = needsVolume ? this.#cell(feed, { kind: 'sum', windowS, signal: index }) : -1;
    const plan: SignalPlan = { signal, feed, main, second, group, sketch, nodeOnly };
    this.#signals.push(plan);
    const selector = this.#selector(probe.selectors, input, nodeOnly);
    if (countsRecords && input.value === undefined && group === undefined) selector.counts.push(main);
    else selector.adds.push({ index, plan, input });
  }

  #selector(selectors: SelectorDraft[], { probe, eventsOnly, where }: RecordInput, nodeOnly: boolean): SelectorDraft {
    const known = selectors.find((one) => one.eventsOnly === eventsOnly && one.where === where && one.nodeOnly === nodeOnly);
    if (known !== undefined) return known;
    const created: SelectorDraft = { index: selectors.length, probe, eventsOnly, where, nodeOnly, counts: [], adds: [] };
    selectors.push(created);
    return created;
  }

  #counter(signal: Signal, index: number, nodeOnly: boolean): void {
    if (signal.input.kind !== 'counter') return;
    const { counter, per, where, by } = signal.input;
    const group = partsOf(signal.input);
    if (group === undefined && this.#counterFeed < 0) this.#counterFeed = this.#newFeed(false);
    const feed = group === undefined ? this.#counterFeed : this.#newFeed(true);
    const { windowS } = signal;
    const sketch = sketchOf(signal);
    const kind = counter.kind === 'gauge' ? 'held' : 'sum';
    const main = sketch === undefined ? this.#cell(feed, { kind, windowS, signal: index }) : -1;
    const second = sketch !== undefined || per !== undefined ? this.#cell(feed, { kind: 'sum', windowS, signal: index }) : -1;
    const plan: SignalPlan = { signal, feed, main, second, group, sketch, nodeOnly };
    this.#signals.push(plan);
    this.#field(counter, { index, plan, cell: main, kind: counter.kind, where, by });
    if (per !== undefined) this.#field(per, { index, plan, cell: second, kind: per.kind, where, by });
  }

  #field({ source, field }: CounterReference, add: CounterAdd): void {
    const known = this.#sources.get(source) ?? { index: this.#sources.size, fields: new Map<string, CounterAdd[]>() };
    this.#sources.set(source, known);
    known.fields.set(field, [...(known.fields.get(field) ?? []), add]);
  }

  #newFeed(grouped: boolean): number {
    return this.#feeds.push({ cells: [], grouped }) - 1;
  }

  #cell(feed: number, cell: Cell): number {
    return this.#feeds[feed].cells.push(cell) - 1;
  }
}

type SelectorDraft = { -readonly [Key in keyof Selector]: Selector[Key] extends readonly (infer Item)[] ? Item[] : Selector[Key] };

/** Whether a signal is a sum over the window. */
export function isAdditive({ aggregation }: Signal): boolean {
  return aggregation === 'rate' || aggregation === 'delta' || aggregation === 'sum' || aggregation === 'count';
}

function partsOf(input: Signal['input']): GroupParts | undefined {
  const names = groupNames(input);
  return names.length === 0 ? undefined : { count: names.length, peerAt: input.kind === 'record' ? names.indexOf('peer') : -1 };
}

function sketchOf({ aggregation, input }: Signal): SignalPlan['sketch'] {
  if (aggregation === 'distinct') return 'distinct';
  const isQuantile = aggregation === 'p50' || aggregation === 'p95' || aggregation === 'p99';
  return isQuantile && !(input.kind === 'counter' && input.counter.kind === 'gauge') ? 'quantile' : undefined;
}
