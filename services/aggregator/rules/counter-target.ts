import type { Contribution } from '../series/contribution.ts';
import type { SourceFields } from '../series/source-fields.ts';
import type { NodeSession } from './node-session.ts';
import type { CounterLabels } from './rule.ts';
import type { CounterAdd, SourcePlan } from './window-plan.ts';

/** A thing whose counters rules look at: a contribution to series, and whose it is. */
export interface CounterTarget {
  readonly contribution: Contribution;
  readonly source: SourcePlan;
  session: NodeSession;
  /** Boot time of the newest reading, ns, and its second. */
  readNs: number;
  second: number;
  /** Second of the newest reading behind an outage: what rose until then is in no window; 0: none. */
  resumedS: number;
  /** -1 while nobody knows. */
  entity: number;
  /** Name of its container; empty without one. */
  container: string;
  /** When it was first read, second. */
  readonly firstS: number;
  /** Increments by field that wait for the entity. */
  waiting: Map<number, number> | undefined;
  /** What each field adds to, once it was asked; made from these labels. */
  adds: (readonly CounterAdd[] | undefined)[];
  own: Contribution['own'];
}

/** A target in a checkpoint. */
export interface TargetImage extends Pick<CounterTarget, 'readNs' | 'second' | 'resumedS' | 'entity' | 'container' | 'firstS' | 'waiting'> {
  /** Key of its contribution. */
  readonly key: string;
  readonly session: string;
}

/** What a field of a target adds to: by its labels. */
export function addsOf(target: CounterTarget, field: number): readonly CounterAdd[] {
  const known = target.adds[field];
  if (known !== undefined) return known;
  const name = fieldName(target.contribution.source, field);
  const labels = labelsOf(target);
  const adds = (target.source.fields.get(name) ?? []).filter(({ where }) => where === undefined || where(labels));
  while (target.adds.length < field) target.adds.push(undefined);
  target.adds[field] = adds;
  return adds;
}

/** Fields of a source that a plan asks for, 1 each. */
export function watchedFields(source: SourceFields, plan: SourcePlan): Uint8Array {
  return Uint8Array.from(source.fields, (_, field) => (plan.fields.has(fieldName(source, field)) ? 1 : 0));
}

/** A field as rules call it: of a histogram's bucket the metric. */
function fieldName({ ofProbe, fields }: SourceFields, field: number): string {
  const name = fields[field];
  const slash = ofProbe ? name.indexOf('/') : -1;
  return slash < 0 ? name : name.slice(0, slash);
}

/** Bits of the values that a histogram's bucket counts; undefined: it is their sum. */
export function bitsOf({ fields }: SourceFields, field: number): number | undefined {
  const bits = Number(fields[field].slice(fields[field].indexOf('/') + 1));
  return Number.isInteger(bits) ? bits : undefined;
}

function labelsOf({ own, container }: CounterTarget): CounterLabels {
  const labels: Record<string, string> = {};
  own.names.forEach((name, at) => {
    labels[name] = own.values[at];
  });
  if (container !== '') Object.assign(labels, { container });
  return labels;
}

/** A label of a target by its name, as findings are grouped by. */
export function labelOf({ own, container }: CounterTarget, name: string): string | undefined {
  const at = own.names.indexOf(name);
  if (at >= 0) return own.values[at];
  return name === 'container' && container !== '' ? container : undefined;
}
