import { probeMaps } from '../../bpf/settings.ts';
import type { BpfObject } from '../../native/addon.ts';
import { counterKeyOffsets as at, counterKeyBytes, metrics } from '../../schema/record.gen.ts';

/** One counter of the kernel's counter map (bpf/include/counter.h). */
export interface Counter {
  /** Namespace cookie (or inode); 0: the map was full. */
  readonly net: number;
  readonly metric: number;
  readonly bucket: number;
  readonly label: number;
  readonly value: number;
}

const entryBytes = counterKeyBytes + 8;

/** Reads all of a counter map. */
export function readCounters(object: BpfObject): Counter[] {
  const bytes = object.readMap(probeMaps.counters);
  const counters: Counter[] = [];
  for (let entry = 0; entry + entryBytes <= bytes.length; entry += entryBytes) {
    counters.push({
      net: u64(bytes, entry + at.net),
      metric: bytes.readUInt16LE(entry + at.metric),
      bucket: bytes.readUInt16LE(entry + at.bucket),
      label: bytes.readUInt32LE(entry + at.label),
      value: u64(bytes, entry + counterKeyBytes),
    });
  }
  return counters;
}

/** Increments that found room in no key of the map: they are in no counter. */
export function readUncounted(object: BpfObject): number {
  const bytes = object.readMap(probeMaps.counterLost);
  return bytes.length < 12 ? 0 : u64(bytes, 4);
}

/** Removes the counters of a namespace; the caller has read them a last time. */
export function deleteCounters(object: BpfObject, counters: readonly Counter[], net: number): void {
  for (const counter of counters) {
    if (counter.net !== net) continue;
    const key = Buffer.alloc(counterKeyBytes);
    key.writeBigUInt64LE(BigInt(net), at.net);
    key.writeUInt16LE(counter.metric, at.metric);
    key.writeUInt16LE(counter.bucket, at.bucket);
    key.writeUInt32LE(counter.label, at.label);
    object.mapDelete(probeMaps.counters, key);
  }
}

/** Counters of namespaces that are gone are kept by namespace up to so many; then without it. */
const maxRetired = 8_192;

/**
 * Totals since the session's start, those of namespaces that are gone included: what the kernel counted, whatever
 * became of the events.
 */
export class CounterTotals {
  #live: readonly Counter[] = [];
  /** Deleted in the kernel. A late timer of a dying namespace may count on from 0: both belong to its total. */
  readonly #retired = new Map<string, Counter>();
  readonly #gone = new Map<string, Counter>();

  /** Increments that are in no counter, because the map was full. */
  uncounted = 0;

  /** Takes in what was read now, of all probes. */
  update(live: readonly Counter[], uncounted: number): void {
    this.#live = live;
    this.uncounted = uncounted;
  }

  /** A namespace is gone and its counters are deleted: they stay in the totals. Returns what they were at last. */
  retire(net: number): Counter[] {
    const finals = this.#live.filter((c) => c.net === net).map((counter) => this.#whole(counter));
    for (const counter of finals) this.#retired.set(keyOf(counter), counter);
    this.#live = this.#live.filter((c) => c.net !== net);
    for (const [key, counter] of this.#retired) {
      if (this.#retired.size <= maxRetired) break;
      this.#retired.delete(key);
      const nameless = { ...counter, net: 0 };
      this.#gone.set(keyOf(nameless), { ...nameless, value: counter.value + (this.#gone.get(keyOf(nameless))?.value ?? 0) });
    }
    return finals;
  }

  /** Counters of namespaces that live; net 0: those that the full map could not tell apart. */
  live(): readonly Counter[] {
    return this.#retired.size === 0 ? this.#live : this.#live.map((counter) => this.#whole(counter));
  }

  /** Everything, what is gone included. */
  all(): readonly Counter[] {
    return [...this.#live, ...this.#retired.values(), ...this.#gone.values()];
  }

  /** Sum of a metric, of one bucket or of all. */
  sum(metric: number, bucket?: number): number {
    let sum = 0;
    for (const c of this.all()) if (c.metric === metric && (bucket === undefined || c.bucket === bucket)) sum += c.value;
    return sum;
  }

  /** Records that a probe's ring had no room for since the session's start. */
  kernelLosses(probe: number): number {
    return this.sum(metrics.RING_FULL, probe);
  }

  #whole(counter: Counter): Counter {
    const before = this.#retired.get(keyOf(counter));
    return before === undefined ? counter : { ...counter, value: counter.value + before.value };
  }
}

function keyOf({ net, metric, bucket, label }: Counter): string {
  return `${net} ${metric} ${bucket} ${label}`;
}

function u64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32;
}
