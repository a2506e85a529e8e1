import { createHash } from 'node:crypto';
import { probes } from '../../../../bpf/registry.ts';
import type { CollectorBody, Identity, Keyframe, RecordBatch } from '../../../../proto/collect.ts';
import type { RuleSet } from '../rule.ts';
import type { NodeNames } from './record-solver.ts';
import { SimulatedCounters, valueAt } from './simulated-counters.ts';
import { netnsMessage, podMessage, type SimulatedPlace, type SimulatedPlaces } from './simulated-places.ts';
import { recordsOf, type SimulatedRecord } from './simulated-records.ts';
import type { CounterInputRow, InputRow } from './test-input.ts';

/** Seconds from the boot of a node to the begin of a test. */
const upS = 100_000;
/** When a node was booted, Unix seconds. */
const bootedUnixS = 1_790_000_000;
/** Unix time at which a test begins. */
export const testUnixS = bootedUnixS + upS;
/** Pods' sources and the counter map are read this often. */
const cycleS = 2;
/** Within its second. */
const readAtMs = 300;

const firstOffset = { seconds: bootedUnixS, nanos: 0 };

/** Names of a node's kernel, numbered as a test uses them. */
class KernelNames implements NodeNames {
  readonly enums = new Map<string, Map<string, number>>();
  readonly symbols = new Map<string, number>();

  enumValue(enumeration: string, name: string): number {
    const values = this.enums.get(enumeration) ?? new Map<string, number>();
    this.enums.set(enumeration, values);
    // The lowest numbers mean something of their own: no reason.
    const value = values.get(name) ?? values.size + 2;
    values.set(name, value);
    return value;
  }

  symbolOffset(name: string): number {
    const offset = this.symbols.get(name) ?? 4096 * (this.symbols.size + 1);
    this.symbols.set(name, offset);
    return offset;
  }
}

/** The collector of one node: what it sends, second by second. */
export class SimulatedNode {
  readonly name: string;
  /** 16 bytes: one life of its collector. */
  readonly session: Uint8Array;
  readonly #places: readonly SimulatedPlace[];
  readonly #names = new KernelNames();
  readonly #counters: SimulatedCounters;
  readonly #records: readonly SimulatedRecord[];
  readonly #own: readonly CounterInputRow[];
  readonly #silence: readonly { readonly from: number; readonly to: number }[];
  #nextRecord = 0;
  #seq = 0;
  #nextItem = 0;

  constructor(name: string, places: SimulatedPlaces, rules: RuleSet, rows: readonly InputRow[]) {
    this.name = name;
    this.session = createHash('sha256').update(name).digest().subarray(0, 16);
    this.#places = places.all.filter(({ node }) => node === name);
    const isHere = (row: InputRow): boolean =>
      row.kind !== 'silent' && row.target.kind !== 'pipeline' && places.of(row.target).node === name;
    const counters = rows.filter((row): row is CounterInputRow => row.kind === 'counter' && isHere(row));
    this.#own = counters.filter(({ counter }) => counter.reference.source === 'node');
    this.#counters = new SimulatedCounters(
      name,
      places,
      rules,
      counters.filter((row) => !this.#own.includes(row)),
      this.#names,
    );
    this.#records = rows
      .flatMap((row) => (row.kind === 'record' && isHere(row) ? recordsOf(row, places, this.#names, (ms) => bootNsOf(ms / 1000)) : []))
      .sort((a, b) => a.drainedMs - b.drainedMs);
    this.#silence = rows.flatMap((row) =>
      row.kind === 'silent' && row.row.silent === name ? [{ from: row.row.from, to: row.row.to ?? Number.POSITIVE_INFINITY }] : [],
    );
  }

  /** What the collector sends in a second of the test, in its order. */
  *second(second: number): Generator<CollectorBody> {
    const records = this.#drain(second);
    if (this.#silence.some(({ from, to }) => second >= from && second <= to)) return;
    if (second === 0) yield this.#message({ keyframe: this.#keyframe() });
    else {
      const begun = this.#places.filter(({ fromS }) => fromS === second && second > 0);
      if (begun.length > 0) yield this.#message({ identity: identityOf(begun) });
    }
    yield* this.#batches(second, records);
    const gone = new Set(this.#places.filter(({ toS }) => toS === second));
    if (second % cycleS === 0 || gone.size > 0) {
      const full = second === 0;
      const read = this.#counters.read(second, bootNsOf(second + readAtMs / 1000), full, (place) => livesAt(place, second), gone);
      yield this.#message({ samples: { ...read, full, end: second % cycleS === 0 } });
    }
    if (gone.size > 0) yield this.#message({ identity: identityOf([...gone]) });
    yield this.#message({ heartbeat: { bootNs: bootNsOf(second + 1), clockOffset: firstOffset, nextItem: this.#nextItem } });
  }

  #message(body: CollectorBody): CollectorBody {
    return { ...body, seq: ++this.#seq };
  }

  #drain(second: number): SimulatedRecord[] {
    const first = this.#nextRecord;
    while (this.#records[this.#nextRecord]?.drainedMs < (second + 1) * 1000) this.#nextRecord++;
    return this.#records.slice(first, this.#nextRecord);
  }

  *#batches(second: number, records: readonly SimulatedRecord[]): Generator<CollectorBody> {
    const skipped = this.#rising(second, 'skipped_items').map(([label, count]) => {
      const firstItem = this.#nextItem;
      this.#nextItem += count;
      return { firstItem, count, reason: label || 'spool_full' };
    });
    for (const [, count] of this.#rising(second, 'gap_items')) this.#nextItem += count;
    const kernelLosses = this.#rising(second, 'kernel_lost_records').map(([label, , total]) => ({
      probe: probes.find(({ name }) => name === label)?.number ?? 1,
      count: total,
      reason: 'ring_full',
    }));
    if (records.length + skipped.length + kernelLosses.length === 0) return;
    const batch: RecordBatch = {
      firstItem: this.#nextItem,
      count: records.length,
      records: Buffer.concat(records.map(({ bytes }) => bytes)),
      skipped,
      kernelLosses,
      clockOffset: firstOffset,
    };
    this.#nextItem += records.length;
    yield this.#message({ batch });
  }

  /** What a counter of the node itself rose by in a second: label, increment, total. */
  #rising(second: number, field: string): (readonly [label: string, count: number, total: number])[] {
    const rows = this.#own.filter(({ counter }) => counter.reference.field === field);
    const labels = new Set(rows.map(labelOf));
    return [...labels].flatMap((label) => {
      const ofLabel = rows.filter((row) => labelOf(row) === label);
      const total = valueAt(ofLabel, second);
      const count = total - (second === 0 ? 0 : valueAt(ofLabel, second - 1));
      return count > 0 ? [[label, count, total] as const] : [];
    });
  }

  #keyframe(): Keyframe {
    const enums = [...this.#names.enums].map(([name, values]) => ({
      name,
      values: [...values].map(([text, value]) => ({ name: text, value })),
    }));
    const symbols = [...this.#names.symbols].map(([name, offset]) => ({ name, offset }));
    const living = this.#places.filter((place) => livesAt(place, 0));
    return {
      nextItem: 0,
      firstOffset,
      part: 0,
      parts: 1,
      bootNs: bootNsOf(0),
      bootId: `boot of ${this.name}`,
      identity: { ...identityOf(living), nodeCgroups: [1], symbols },
      enums,
      counters: this.#counters.probeCounters(-1, true),
    };
  }
}

function labelOf({ row }: CounterInputRow): string {
  return Object.values(row.labels)[0] ?? '';
}

function livesAt({ fromS = 0, toS = Number.POSITIVE_INFINITY }: SimulatedPlace, second: number): boolean {
  return second >= fromS && second < toS;
}

/** Boot time of a second of the test. */
function bootNsOf(second: number): number {
  return Math.round((upS + second) * 1e9);
}

/** Boot time of a begin or an end; 0: none. */
function boundNs(second: number | undefined): number {
  return second === undefined ? 0 : bootNsOf(second);
}

function identityOf(places: readonly SimulatedPlace[]): Identity {
  return {
    netns: places.map((place) => netnsMessage(place, boundNs)),
    pods: places.flatMap((place) => podMessage(place, boundNs) ?? []),
  };
}
