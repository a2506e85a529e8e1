import type { Probe } from '../../../../bpf/probe.ts';
import { probes } from '../../../../bpf/registry.ts';
import { suggestion } from '../../../../core/suggestion.ts';
import type { Aggregation, CounterInput, CounterLabels, CounterReference, EntityKind, RecordGroup, RecordInput, Signal } from '../rule.ts';
import { aggregationsOf } from './aggregations.ts';
import { Closures } from './closures.ts';
import { findCounter, type KnownCounter } from './counter-names.ts';
import { type NameType, parseExpression } from './expression.ts';
import { recordNamesOf } from './record-names.ts';
import { namesOfBy, type SignalDocument } from './rule-schema.ts';
import type { Path, RuleText } from './rule-text.ts';
import { TextError } from './text-error.ts';

/** What a signal of a file is judged by. */
export interface SignalContext {
  readonly text: RuleText;
  readonly path: Path;
  readonly entity: EntityKind;
  /** How often sources are read, seconds. */
  readonly sampleIntervalS: number;
}

/** Windows of what the partition's ticks tell. */
const tickIntervalS = 1;
/** A rule is checked against it, whatever is configured: it is right or wrong everywhere. */
const defaultIntervalS = 2;

/** Reads one signal; what is wrong is noted, and then there is none. */
export function readSignal(document: SignalDocument, context: SignalContext): Signal | undefined {
  const { text, path } = context;
  const named = (['counter', 'record', 'event'] as const).filter((kind) => document[kind] !== undefined);
  if (named.length !== 1) {
    text.note(path, `found ${named.length === 0 ? 'none' : named.join(' and ')}, expected one of counter, record, event`, 0, 'key');
    return undefined;
  }
  const before = text.problems.length;
  const input = document.counter === undefined ? readRecordInput(document, context) : readCounterInput(document, document.counter, context);
  if (input === undefined || text.problems.length > before) return undefined;
  const { min_volume: minVolume, absent, scope } = document;
  const windowS = input.kind === 'record' ? document.window : Math.max(document.window, 2 * configuredS(input, context));
  const aggregation = input.kind === 'counter' && input.per !== undefined ? 'delta' : (document.agg ?? defaultAggregation(input));
  return { key: keyOf({ ...document, window: windowS }, aggregation), input, aggregation, windowS, minVolume, absent, scope };
}

function defaultAggregation(input: CounterInput | RecordInput): Aggregation {
  if (input.kind === 'counter') return aggregationsOf[input.counter.kind][0];
  return aggregationsOf[input.value === undefined ? 'records' : 'values'][0];
}

function keyOf(document: SignalDocument, agg: Aggregation): string {
  const { counter, record, event, field, where, per, by, scope, window, min_volume, absent } = document;
  const plain = (expression: string | undefined): string | undefined => expression?.replace(/\s+/g, ' ').trim();
  const parts = { counter, record, event, field: plain(field), where: plain(where), agg, per, by, scope, window, min_volume, absent };
  return JSON.stringify(parts);
}

function readCounterInput(document: SignalDocument, name: string, context: SignalContext): CounterInput | undefined {
  const { text, path } = context;
  const { agg, per, by, field, where } = document;
  const counter = knownCounter(name, 'counter', context);
  const divisor = per === undefined ? undefined : knownCounter(per, 'per', context);
  if (counter === undefined || (per !== undefined && divisor === undefined)) return undefined;
  checkEntity(counter, document, context);
  if (field !== undefined)
    text.note([...path, 'field'], 'found field with counter; a counter is one number already: leave it out', 0, 'key');
  const { kind } = counter.reference;
  if (per !== undefined && (kind !== 'counter' || divisor?.reference.kind !== 'counter'))
    text.note([...path, 'per'], 'found a gauge or histogram, expected two counters: `per` divides what they rose by');
  if (per !== undefined && agg !== undefined && agg !== 'delta')
    text.note([...path, 'agg'], `found ${agg} with per, expected none: the signal is the ratio of the two deltas`);
  if (per === undefined) checkAggregation(agg, aggregationsOf[kind], `of the ${kind} ${name}`, context);
  checkWindow(document, counter.toldBy, isTold(counter.reference) ? tickIntervalS : defaultIntervalS, context);
  const labels = divisor === undefined ? counter.labels : counter.labels.filter((label) => divisor.labels.includes(label));
  checkGroups(by, 'label', labels, context);
  return {
    kind: 'counter',
    counter: counter.reference,
    per: divisor?.reference,
    where: where === undefined ? undefined : labelPredicate(where, labels, context),
    by: by === undefined ? undefined : namesOfBy(by),
  };
}

function knownCounter(name: string, key: 'counter' | 'per', { text, path }: SignalContext): KnownCounter | undefined {
  const found = findCounter(name);
  if (typeof found !== 'string') return found;
  text.note([...path, key], found);
  return undefined;
}

/** What the aggregator knows itself is told with each tick; all else is read. */
function isTold({ source }: CounterReference): boolean {
  return source === 'node' || source === 'pipeline';
}

/** How often a counter is read, whole seconds: where that is seldom, its windows are longer than the rule says. */
function configuredS({ counter }: CounterInput, { sampleIntervalS }: SignalContext): number {
  return isTold(counter) ? tickIntervalS : Math.ceil(sampleIntervalS);
}

/** Whose counter it is must go together with whom the rule speaks of. */
function checkEntity({ reference, of }: KnownCounter, { scope }: SignalDocument, { text, path, entity }: SignalContext): void {
  const own = reference.source === 'node' || reference.source === 'pipeline' ? reference.source : undefined;
  const at = [...path, 'counter'];
  if (own !== undefined && own !== entity)
    text.note(at, `found ${own}.${reference.field} in a rule with entity: ${entity}, expected entity: ${own}`);
  else if (own === undefined && entity === 'pipeline')
    text.note(at, `found ${reference.source} in a rule with entity: pipeline, expected counters such as pipeline.queue_fill_ratio`);
  else if (of === 'node' && own === undefined && entity === 'pod' && scope === 'entity')
    text.note(at, `${reference.source} is counted by node, no Pod has it; add scope: node`);
  else if (of === 'container' && (entity === 'node' || scope === 'node'))
    text.note(at, `${reference.source} is counted by container, no node has it; expected entity: pod and scope: entity`);
  else if (own !== undefined && scope === 'node') text.note([...path, 'scope'], 'found node; the entity itself is meant: leave it out');
}

function checkAggregation(agg: Aggregation | undefined, known: readonly Aggregation[], what: string, { text, path }: SignalContext): void {
  if (agg !== undefined && !known.includes(agg)) text.note([...path, 'agg'], `found ${agg} ${what}, expected one of ${known.join(', ')}`);
}

/** A window must hold at least two readings, or it would often hold none. */
function checkWindow({ window }: SignalDocument, toldBy: string, intervalS: number, { text, path }: SignalContext): void {
  const least = Math.max(1, 2 * intervalS);
  if (window >= least) return;
  text.note(
    [...path, 'window'],
    `found ${window}s, expected at least ${least}s: ${toldBy} is read each ${intervalS} s, and a window must hold two readings`,
  );
}

function labelPredicate(where: string, labels: readonly string[], { text, path }: SignalContext): CounterInput['where'] {
  const variables = new Map(labels.map((label): [string, NameType] => [label, 'string']));
  const texts = new Map(labels.map((label) => [label, (own: CounterLabels) => own[label] ?? '']));
  return placed(text, [...path, 'where'], () => {
    if (labels.length === 0) throw new TextError('the counter has no labels that could be asked for', 0);
    const { ast } = parseExpression(where, { variables, params: [], called: 'label' }, 'bool');
    const compiled = new Closures<CounterLabels, undefined>({ numbers: new Map(), texts }).boolean(ast);
    return (own: CounterLabels) => compiled(own, undefined);
  });
}

function readRecordInput(document: SignalDocument, context: SignalContext): RecordInput | undefined {
  const { text, path, entity } = context;
  const { agg, per, by, field, where } = document;
  const key = document.record === undefined ? 'event' : 'record';
  const name = document[key] ?? '';
  const probe = probes.find((one) => one.name === name);
  if (probe === undefined) {
    const known = probes.map((one) => one.name);
    text.note([...path, key], `there is no probe ${name}${suggestion(name, known)}`);
    return undefined;
  }
  if (entity === 'pipeline')
    text.note([...path, key], 'found records in a rule with entity: pipeline, expected counters such as pipeline.queue_fill_ratio');
  if (per !== undefined)
    text.note([...path, 'per'], 'found per with records, expected counters: `per` divides what two counters rose by', 0, 'key');
  const known = aggregationsOf[field === undefined ? 'records' : 'values'];
  checkAggregation(agg, known, field === undefined ? 'without field' : 'of records', context);
  return { kind: 'record', probe: probe.number, eventsOnly: key === 'event', ...readRecordParts(probe, { field, where, by }, context) };
}

type RecordParts = Pick<SignalDocument, 'field' | 'where' | 'by'>;

function readRecordParts(
  probe: Probe,
  { field, where, by }: RecordParts,
  context: SignalContext,
): Pick<RecordInput, 'value' | 'where' | 'by'> {
  const { text, path } = context;
  const { numbers, texts } = recordNamesOf(probe);
  const variables = new Map<string, NameType>([
    ...numbers.map(({ name }): [string, NameType] => [name, 'double']),
    ...texts.map(({ name }): [string, NameType] => [name, 'string']),
  ]);
  const names = { variables, params: [], called: `value of ${probe.name}'s records` };
  const closures = new Closures({
    numbers: new Map(numbers.map(({ name, read }) => [name, read])),
    texts: new Map(texts.map(({ name, read }) => [name, read])),
  });
  checkGroups(by, names.called, ['peer', ...variables.keys()], context);
  const groups = namesOfBy(by).flatMap((name): RecordGroup[] => {
    const of = name === 'peer' ? 'peer' : [...numbers, ...texts].find((one) => one.name === name)?.read;
    return of === undefined ? [] : [{ name, of }];
  });
  return {
    value:
      field === undefined
        ? undefined
        : placed(text, [...path, 'field'], () => closures.number(parseExpression(field, names, 'double').ast)),
    where:
      where === undefined
        ? undefined
        : placed(text, [...path, 'where'], () =>
            sharedPredicate(probe, where, () => {
              const { ast, used } = parseExpression(where, names, 'bool');
              const ofKind = [...numbers, ...texts].every((one) => one.ofKind === true || !used.has(one.name));
              return Object.assign(closures.boolean(ast), { ofKind });
            }),
          ),
    by: groups.length === 0 ? undefined : groups,
  };
}

type RecordPredicate = NonNullable<RecordInput['where']>;

/** Predicates of records that were made last, by probe and expression: where many signals ask the same, the engine asks once. */
const predicates = new WeakMap<Probe, Map<string, RecordPredicate>>();
const maxPredicates = 4096;

function sharedPredicate(probe: Probe, where: string, make: () => RecordPredicate): RecordPredicate {
  const known = predicates.get(probe) ?? new Map<string, RecordPredicate>();
  predicates.set(probe, known);
  const shared = known.get(where) ?? make();
  if (known.size >= maxPredicates) known.clear();
  known.set(where, shared);
  return shared;
}

function checkGroups(by: SignalDocument['by'], what: string, known: readonly string[], { text, path }: SignalContext): void {
  const names = namesOfBy(by);
  for (const [place, name] of names.entries()) {
    const at = typeof by === 'string' ? [...path, 'by'] : [...path, 'by', place];
    if (!known.includes(name)) text.note(at, notAmong(what, name, known));
    else if (names.indexOf(name) !== place) text.note(at, `found ${name} twice, expected each name once`);
  }
}

function notAmong(what: string, word: string, known: readonly string[]): string {
  return known.length === 0
    ? `found ${word}, but there is no ${what} to group by`
    : `there is no ${what} ${word}${suggestion(word, known)}`;
}

/** What the function makes; what is wrong with an expression is noted at its place. */
export function placed<Made>(text: RuleText, path: Path, make: () => Made): Made | undefined {
  try {
    return make();
  } catch (thrown) {
    if (!(thrown instanceof TextError)) throw thrown;
    text.note(path, thrown.message, thrown.at);
    return undefined;
  }
}
