import type { Probe } from '../../../../bpf/probe.ts';
import { probes } from '../../../../bpf/registry.ts';
import { suggestion } from '../../../../core/suggestion.ts';
import { findCounter, type KnownCounter } from '../language/counter-names.ts';
import { recordNamesOf } from '../language/record-names.ts';
import type { Path, RuleText } from '../language/rule-text.ts';
import { noteIssues } from '../language/schema-problems.ts';
import type { EntityKind } from '../rule.ts';
import { unsolved } from './simulated-records.ts';
import { type CounterRow, counterRow, type RecordRow, recordRow, type SilentRow, silentRow, type TestDocument } from './test-schema.ts';

/** Whom a row is about. */
export interface RowTarget {
  readonly kind: 'pod' | 'netns' | 'node' | 'pipeline';
  /** shop/web-0, the name of a namespace, of a node. */
  readonly name: string;
  /** The node that is named beside a namespace. */
  readonly node: string | undefined;
}

/** A counter of a test: what it is by second. */
export interface CounterInputRow {
  readonly kind: 'counter';
  readonly counter: KnownCounter;
  readonly target: RowTarget;
  readonly row: CounterRow;
}

/** Records of a test. */
export interface RecordInputRow {
  readonly kind: 'record';
  readonly probe: Probe;
  readonly variant: number;
  readonly target: RowTarget;
  readonly row: RecordRow;
  readonly numbers: readonly (readonly [string, number])[];
  readonly texts: readonly (readonly [string, string])[];
}

export interface SilentInputRow {
  readonly kind: 'silent';
  readonly row: SilentRow;
}

export type InputRow = CounterInputRow | RecordInputRow | SilentInputRow;

export const defaultNode = 'node1';
const defaultPod = 'shop/web-0';

/** Reads the rows of a test's input; what is wrong is noted at its place. */
export function readInput(document: TestDocument, entity: EntityKind, text: RuleText, path: Path): InputRow[] {
  return document.input.flatMap((row, index): InputRow[] => {
    const at = [...path, 'input', index];
    if ('counter' in row) return readCounter(row, entity, text, at);
    if ('record' in row) return readRecord(row, entity, text, at);
    if ('silent' in row) {
      const parsed = silentRow.safeParse(row);
      if (parsed.success) return [{ kind: 'silent', row: parsed.data }];
      noteIssues(text, parsed.error, silentRow, row, at);
      return [];
    }
    text.note(at, `found ${Object.keys(row).join(', ') || 'nothing'}, expected a row with counter, record or silent`);
    return [];
  });
}

function readCounter(given: unknown, entity: EntityKind, text: RuleText, path: Path): CounterInputRow[] {
  const parsed = counterRow.safeParse(given);
  if (!parsed.success) {
    noteIssues(text, parsed.error, counterRow, given, path);
    return [];
  }
  const row = parsed.data;
  const counter = findCounter(row.counter);
  if (typeof counter === 'string') {
    text.note([...path, 'counter'], counter);
    return [];
  }
  const { kind, source, field } = counter.reference;
  if (source === 'node' && field === 'silent_seconds')
    text.note([...path, 'counter'], 'found what follows from silence, expected {silent: node1, from: 10}');
  for (const name of Object.keys(row.labels)) {
    if (!counter.labels.includes(name))
      text.note([...path, 'labels', name], `${row.counter} has no label ${name}${suggestion(name, counter.labels)}`, 0, 'key');
  }
  const isOnce = row.add !== undefined;
  if (kind === 'gauge' && (row.value === undefined || row.per_second !== undefined || isOnce))
    text.note(path, `${row.counter} is a gauge, expected {counter, from, to, value}`);
  if (kind === 'counter' && (row.value !== undefined || isOnce === (row.per_second !== undefined)))
    text.note(path, `${row.counter} is a counter, expected {counter, from, to, per_second} or {counter, at, add}`);
  if (kind === 'histogram' && (row.value === undefined || row.per_second === undefined))
    text.note(path, `${row.counter} is a histogram, expected {counter, from, to, per_second, value}: so many of this value`);
  if (isOnce !== (row.at !== undefined)) text.note(path, 'found one of at and add, expected both: at a second, so much at once');
  return [{ kind: 'counter', counter, target: targetOf(row, entity, counter), row }];
}

function readRecord(given: Record<string, unknown>, entity: EntityKind, text: RuleText, path: Path): RecordInputRow[] {
  const parsed = recordRow.safeParse(given);
  if (!parsed.success) {
    noteIssues(text, parsed.error, recordRow, given, path);
    return [];
  }
  const row = parsed.data;
  const probe = probes.find(({ name }) => name === row.record);
  if (probe === undefined) {
    text.note(
      [...path, 'record'],
      `there is no probe ${row.record}${suggestion(
        row.record,
        probes.map(({ name }) => name),
      )}`,
    );
    return [];
  }
  if (row.at === undefined && (row.from === undefined || row.to === undefined))
    text.note(path, 'found no time, expected at, or from and to');
  const variant = variantOf(probe, row, text, path);
  const { numbers, texts } = recordNamesOf(probe);
  const fields = Object.entries(row).filter(([name]) => !ownKeys.has(name));
  const known = [...numbers, ...texts].map(({ name }) => name).filter((name) => !['severity', 'action'].includes(name));
  for (const [name, value] of fields) {
    const wanted = numbers.some((one) => one.name === name) ? 'number' : 'string';
    if (!known.includes(name))
      text.note(
        [...path, name],
        `there is no value ${name} of ${probe.name}'s records${suggestion(name, [...known, ...ownKeys])}`,
        0,
        'key',
      );
    else if (typeof value !== wanted)
      text.note([...path, name], `found ${JSON.stringify(value)}, expected a ${wanted === 'number' ? 'number' : 'text'}`);
  }
  const input: RecordInputRow = {
    kind: 'record',
    probe,
    variant,
    target: targetOf(row, entity, undefined),
    row,
    numbers: fields.filter((field): field is [string, number] => typeof field[1] === 'number'),
    texts: fields.filter((field): field is [string, string] => typeof field[1] === 'string'),
  };
  const what = probe.event.variants.get(variant)?.action ?? probe.name;
  for (const name of unsolved(input).filter((one) => known.includes(one)))
    text.note([...path, name], `no ${what} record says ${name}: ${String(row[name])}`, 0, 'key');
  return [input];
}

/** Fields of a row that are no values of its records. */
const ownKeys = new Set([
  'record',
  'pod',
  'netns',
  'node',
  'action',
  'variant',
  'peer',
  'side',
  'from',
  'to',
  'at',
  'every',
  'count',
  'late',
]);

function variantOf({ name, variants, event }: Probe, row: RecordRow, text: RuleText, path: Path): number {
  const numbers = [...variants.keys()];
  const actions = [...new Set([...event.variants.values()].map(({ action }) => action))];
  const fits = numbers.filter(
    (number) =>
      (row.variant === undefined || variants.get(number) === row.variant) &&
      (row.action === undefined || event.variants.get(number)?.action === row.action),
  );
  const known = [...variants.values()];
  if (fits.length === 0)
    text.note(
      [...path, row.variant === undefined ? 'action' : 'variant'],
      row.variant === undefined
        ? `${name} has no action ${row.action}${suggestion(row.action ?? '', actions)}`
        : `${name} has no variant ${row.variant}${suggestion(row.variant, known)}`,
    );
  else if (fits.length > 1 && row.variant === undefined && row.action === undefined)
    text.note(path, `found neither action nor variant, expected an action (${actions.join(', ')}) or a variant (${known.join(', ')})`);
  return fits[0] ?? numbers[0];
}

function targetOf(row: CounterRow | RecordRow, entity: EntityKind, counter: KnownCounter | undefined): RowTarget {
  const { node } = row;
  if (counter?.of === 'pipeline') return { kind: 'pipeline', name: '', node: undefined };
  if (row.pod !== undefined) return { kind: 'pod', name: row.pod, node };
  if (row.netns !== undefined) return { kind: 'netns', name: row.netns, node };
  const isOfNode = node !== undefined || entity !== 'pod' || counter?.of === 'node';
  return isOfNode ? { kind: 'node', name: node ?? defaultNode, node } : { kind: 'pod', name: defaultPod, node };
}
