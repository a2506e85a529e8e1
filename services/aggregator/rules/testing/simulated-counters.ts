import { probes } from '../../../../bpf/registry.ts';
import type { CounterSample, SampleLayout, TargetSamples } from '../../../../proto/collect.ts';
import type { CounterReference, RuleSet } from '../rule.ts';
import type { NodeNames } from './record-solver.ts';
import { cgroupOf, defaultContainer, type SimulatedPlace, type SimulatedPlaces } from './simulated-places.ts';
import type { CounterInputRow } from './test-input.ts';

/** What counters stand at when a test begins: reading starts in the middle of their life. */
const baseTotal = 1000;

/** Value of a counter or gauge at the end of a second of the test, as the rows say it. */
export function valueAt(rows: readonly CounterInputRow[], second: number): number {
  let total = 0;
  let gauge: number | undefined;
  for (const { row, counter } of rows) {
    const { from, to = Number.POSITIVE_INFINITY } = row;
    if (row.at !== undefined) total += second >= row.at ? (row.add ?? 0) : 0;
    else if (counter.reference.kind !== 'gauge') total += (row.per_second ?? 0) * Math.max(0, Math.min(second, to) - from + 1);
    else if (second >= from && second <= to) gauge = row.value;
  }
  return gauge ?? Math.floor(total);
}

/** One target that a source reads: a namespace, a device of it, a container, the node. */
interface Target {
  readonly place: SimulatedPlace;
  readonly netns: number;
  readonly cgroup: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly rows: Map<string, CounterInputRow[]>;
  told: number[] | undefined;
}

interface Source {
  readonly id: number;
  readonly name: string;
  readonly fields: string[];
  readonly gauges: Set<string>;
  readonly targets: Map<string, Target>;
}

/** Labels of targets that are there without a row: the first CPU, the Pod's interface. */
const defaultLabels: Readonly<Record<string, Readonly<Record<string, string>>>> = { softnet: { cpu: '0' }, netdev: { device: 'eth0' } };
/** Targets of these sources come and go: none is there without a row. */
const onlyByRow = new Set(['sockdiag']);

/** What the sources and probes of one node count during a test. */
export class SimulatedCounters {
  readonly #places: readonly SimulatedPlace[];
  readonly #names: NodeNames;
  readonly #sources = new Map<string, Source>();
  readonly #ofProbes = new Map<
    string,
    { readonly place: SimulatedPlace; readonly key: CounterSample; readonly rows: CounterInputRow[]; told: number }
  >();

  /** @param rows those of this node */
  constructor(node: string, places: SimulatedPlaces, rules: RuleSet, rows: readonly CounterInputRow[], names: NodeNames) {
    this.#names = names;
    this.#places = places.all.filter((place) => place.node === node);
    for (const { reference, isAsked } of [
      ...askedBy(rules),
      ...rows.map(({ counter }) => ({ reference: counter.reference, isAsked: false })),
    ]) {
      if (isSource(reference)) this.#field(reference, isAsked);
    }
    for (const row of rows) {
      const place = places.of(row.target);
      if (isSource(row.counter.reference)) this.#addToSource(row, place);
      else this.#addToProbe(row, place);
    }
  }

  /** Readings of a cycle. @param full all values of all that lives @param gone those that are read a last time */
  read(second: number, bootNs: number, full: boolean, lives: (place: SimulatedPlace) => boolean, gone: ReadonlySet<SimulatedPlace>) {
    const layouts: SampleLayout[] = full ? [...this.#sources.values()].map(({ id, name, fields }) => ({ id, source: name, fields })) : [];
    const targets: TargetSamples[] = [];
    for (const source of this.#sources.values()) {
      for (const target of source.targets.values()) {
        const isLast = gone.has(target.place);
        if (!isLast && !lives(target.place)) continue;
        const reading = readingOf(source, target, second);
        const changed = reading.flatMap((value, index) => (target.told?.[index] === value ? [] : [index]));
        const all = full || isLast || target.told === undefined;
        target.told = reading;
        if (!all && changed.length === 0) continue;
        const { netns, cgroup, labels } = target;
        const told = all
          ? { indexes: [], values: reading, all: true }
          : { indexes: changed, values: changed.map((index) => reading[index]) };
        targets.push({ layout: source.id, netns, cgroup, labels, bootNs, ...told, last: isLast });
      }
    }
    return { layouts, targets, counters: this.probeCounters(second, full) };
  }

  /** Counters of probes that changed, or all that count something. */
  probeCounters(second: number, all: boolean): CounterSample[] {
    const samples: CounterSample[] = [];
    for (const counter of this.#ofProbes.values()) {
      const value = sumOf(counter.key, counter.rows, second);
      if (value === 0 || (!all && value === counter.told)) continue;
      counter.told = value;
      samples.push({ ...counter.key, value });
    }
    return samples;
  }

  #field({ source: name, field, kind }: CounterReference, isAsked: boolean): Source {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = { id: this.#sources.size + 1, name, fields: [], gauges: new Set(), targets: new Map() };
      this.#sources.set(name, source);
    }
    if (!source.fields.includes(field)) source.fields.push(field);
    if (kind === 'gauge') source.gauges.add(field);
    if (isAsked && !onlyByRow.has(name))
      for (const place of this.#places) this.#target(source, place, defaultContainer, defaultLabels[name] ?? {});
    return source;
  }

  /** Undefined: no such target is there, as a container's counter of a node. */
  #target(source: Source, place: SimulatedPlace, container: string, labels: Readonly<Record<string, string>>): Target | undefined {
    const isOfNode = source.name === 'softnet';
    const isOfContainer = source.name === 'cgroup';
    if ((isOfNode && place.kind !== 'host') || (isOfContainer && place.kind !== 'pod')) return undefined;
    if (isOfContainer) place.containers.add(container);
    const cgroup = isOfContainer ? cgroupOf(place, container) : 0;
    const key = JSON.stringify([place.cookie, cgroup, labels]);
    let target = source.targets.get(key);
    if (target === undefined) {
      target = { place, netns: isOfNode || isOfContainer ? 0 : place.cookie, cgroup, labels, rows: new Map(), told: undefined };
      source.targets.set(key, target);
    }
    return target;
  }

  #addToSource(row: CounterInputRow, place: SimulatedPlace): void {
    const { source: name, field } = row.counter.reference;
    const source = this.#field(row.counter.reference, false);
    const { container: named, ...labels } = row.row.labels;
    const container = row.row.container ?? named ?? defaultContainer;
    const target = this.#target(source, place, container, { ...defaultLabels[name], ...labels });
    if (target === undefined) return;
    target.rows.set(field, [...(target.rows.get(field) ?? []), row]);
  }

  #addToProbe(row: CounterInputRow, place: SimulatedPlace): void {
    const { source, field } = row.counter.reference;
    const metric = probes.find(({ name }) => name === source)?.metrics.find(({ number }) => String(number) === field);
    if (metric === undefined) return;
    const net = place.cookie;
    if (metric.kind === 'histogram') {
      this.#count(place, { net, metric: metric.number, bucket: bitsOf(row.row.value ?? 0), label: 0 }, row);
      this.#count(place, { net, metric: metric.sum, bucket: 0, label: 0, value: row.row.value ?? 0 }, row);
      return;
    }
    const { labels } = row.row;
    const bucketText = metric.bucket === undefined ? undefined : labels[metric.bucket.label];
    const labelText = metric.label === undefined ? undefined : labels[metric.label.label];
    const named = [...(metric.bucket?.names ?? [])].find(([, text]) => text === bucketText)?.[0];
    const bucket = bucketText === undefined ? 0 : (named ?? this.#names.enumValue(metric.bucket?.enumeration ?? '', bucketText));
    const label = labelText === undefined ? 0 : metric.label?.kind === 'symbol' ? this.#names.symbolOffset(labelText) : Number(labelText);
    this.#count(place, { net, metric: metric.number, bucket, label }, row);
  }

  /** @param key its value, where it has one, is how much each count adds */
  #count(place: SimulatedPlace, key: CounterSample, row: CounterInputRow): void {
    const text = `${key.net} ${key.metric} ${key.bucket} ${key.label} ${key.value ?? ''}`;
    const known = this.#ofProbes.get(text);
    if (known === undefined) this.#ofProbes.set(text, { place, key, rows: [row], told: 0 });
    else known.rows.push(row);
  }
}

function* askedBy(rules: RuleSet): Generator<{ readonly reference: CounterReference; readonly isAsked: true }> {
  for (const { input } of rules.signals) {
    if (input.kind !== 'counter') continue;
    yield { reference: input.counter, isAsked: true };
    if (input.per !== undefined) yield { reference: input.per, isAsked: true };
  }
}

function isSource({ source }: CounterReference): boolean {
  return source !== 'node' && source !== 'pipeline' && !probes.some(({ name }) => name === source);
}

function readingOf({ fields, gauges }: Source, { place, rows }: Target, second: number): number[] {
  // What is made during the test counts from 0.
  const base = place.fromS === undefined ? baseTotal : 0;
  return fields.map((field) => valueAt(rows.get(field) ?? [], second) + (gauges.has(field) ? 0 : base));
}

function sumOf({ value: each = 1 }: CounterSample, rows: readonly CounterInputRow[], second: number): number {
  return valueAt(rows, second) * (each ?? 1);
}

/** Bucket of a log2 histogram (bpf/include/histogram.h): the number of bits of the value. */
function bitsOf(value: number): number {
  return Math.trunc(value) === 0 ? 0 : Math.floor(Math.log2(Math.trunc(value))) + 1;
}
