import { onTestFinished } from 'vitest';
import type { Probe } from '../../bpf/probe.ts';
import {
  bucketKey,
  defaultSettings,
  encodeSettings,
  encodeThreshold,
  netFilterKey,
  netFilterValue,
  type ProbeSettings,
  probeMaps,
  settingsSection,
} from '../../bpf/settings.ts';
import type { Transport } from '../../bpf/transport.ts';
import type { BpfObject, Reader } from '../../native/addon.ts';
import { loadNative, readBpfObject } from '../../native/index.ts';
import { metrics } from '../../schema/record.gen.ts';
import { RecordReader } from '../../schema/record.ts';
import { type Counter, readCounters } from '../../services/collector/counters.ts';
import { LiveSymbols } from '../../services/collector/live-symbols.ts';
import {
  attachSelected,
  type BaseOptions,
  kernelFacts,
  loadBase,
  loadProbe,
  prepareObject,
  startBaseReader,
} from '../../services/collector/probe-object.ts';
import { keepFixture } from '../support/probe-fixtures.ts';
import { eventually } from './eventually.ts';

/** A record's own bytes, and a reader that stands on them. */
export interface SeenRecord {
  readonly bytes: Uint8Array;
  readonly record: RecordReader;
}

/** By what records, or entries of the counter map, are chosen: all that have these values. */
type RecordChoice = Partial<Pick<RecordReader, 'variant' | 'code'>>;
type CounterChoice = Partial<Pick<Counter, 'bucket' | 'label'>>;

/** Every event is told. */
export const unlimited: ProbeSettings = { ...defaultSettings, intervalNs: 0 };

export interface ProbeRunOptions extends BaseOptions {
  readonly drainMs?: number;
  /** Cookies of the only namespaces to look at, from before the first event on; default: all of the machine. */
  readonly only?: readonly bigint[];
  /** Default: those of the object. */
  readonly settings?: ProbeSettings;
}

/** `JITTERSCOPE_TEST_TRANSPORT=perf` runs the tests of probes over the perf buffers. */
function transportOfTests(): Transport | 'auto' {
  const wanted = process.env.JITTERSCOPE_TEST_TRANSPORT ?? 'auto';
  if (wanted === 'auto' || wanted === 'ring' || wanted === 'perf') return wanted;
  throw new Error(`JITTERSCOPE_TEST_TRANSPORT must be auto, ring or perf, found ${wanted}`);
}

/** What this kernel calls the values of the first enumeration that a probe's codes are of; empty where it has none. */
export function codeNames({ enumerations: [{ name, prefix }] }: Probe): ReadonlyMap<number, string> {
  const values = loadNative().enumValues(name) ?? [];
  return new Map(values.map(([value, text]) => [value, text.replace(prefix, '')]));
}

/** A probe that runs in this kernel, as the collector would run it, and what it told. It stops when its test is finished. */
export class ProbeRun {
  /** Holds the maps that all probes share. */
  readonly base: BpfObject;
  /** The probe's own programs, settings and maps. */
  readonly object: BpfObject;
  readonly transport: Transport;
  /** Of probes that ask for the kernel's names. */
  readonly symbols: LiveSymbols | undefined;
  readonly #probe: Probe;
  readonly #chunks: Uint8Array[] = [];
  readonly #reader: Reader;

  constructor(probe: Probe, options: ProbeRunOptions = {}) {
    this.#probe = probe;
    const native = loadNative();
    const base = loadBase(native, { transport: transportOfTests(), ...options });
    this.base = base.object;
    this.transport = base.transport;
    this.#reader = startBaseReader(base, { drainMs: options.drainMs ?? 10, chunkBytes: 256 * 1024, maxChunks: 16 }, (chunk) =>
      this.#chunks.push(Uint8Array.from(chunk)),
    );
    attachSelected(this.base, base.selection);
    const selection = probe.select(kernelFacts(native));
    const loaded = loadProbe(native, probe.name, readBpfObject(probe.name), selection, base);
    this.object = loaded.object;
    for (const net of options.only ?? []) this.list(net);
    if (options.only !== undefined) this.set({ ...defaultSettings, ...options.settings, filterMode: 'listed' });
    else if (options.settings !== undefined) this.set(options.settings);
    if (probe.prepare !== undefined) {
      this.symbols = new LiveSymbols();
      prepareObject(probe, this.object, this.symbols.namesFor(native));
    }
    const { problems } = attachSelected(this.object, loaded.selection);
    // What this kernel is known not to have is in the selection; all else is a defect.
    const rejected = [...loaded.problems, ...problems].filter(
      (problem) => ![...selection.degraded, ...selection.whenNotAttached.values()].some(({ what }) => what === problem.what),
    );
    onTestFinished(() => this.stop());
    if (rejected.length > 0) throw new Error(rejected.map(({ what, reason }) => `${what}: ${reason}`).join('\n'));
  }

  set(settings: ProbeSettings): void {
    this.object.writeData(settingsSection, 0, encodeSettings(settings));
  }

  setThreshold({ section, offset }: { readonly section: string; readonly offset: number }, value: number): void {
    this.object.writeData(section, offset, encodeThreshold(value));
  }

  /** Lets a namespace through the filter in mode `listed`. */
  list(net: bigint): void {
    this.base.mapUpdate(probeMaps.netFilter, netFilterKey(net), netFilterValue([this.#probe.number]));
  }

  /** All entries of the counter map. */
  counters(): Counter[] {
    return readCounters(this.base);
  }

  /** Sum of a metric's counters; of one namespace, when given; of one bucket or label of it. */
  count(metric: number, net?: bigint, choice: CounterChoice = {}): number {
    const entries = this.counters().filter((entry) => entry.metric === metric && (net === undefined || entry.net === Number(net)));
    return entries.filter((entry) => matches(entry, choice)).reduce((sum, entry) => sum + entry.value, 0);
  }

  /** Events that were emitted, suppressed, and lost to a full ring; of one namespace, when given. */
  accounting(net?: bigint): readonly [emitted: number, suppressed: number, ringFull: number] {
    return [this.count(metrics.EMITTED, net), this.count(metrics.SUPPRESSED, net), this.count(metrics.RING_FULL, net)];
  }

  /** Events withheld in a namespace: as its records tell, and since the last of them. */
  withheld(net: bigint, records: readonly SeenRecord[]): number {
    const bucket = this.base.mapLookup(probeMaps.buckets, bucketKey(net, this.#probe.number));
    const since = bucket === undefined ? 0 : Number(bucket.readBigUInt64LE(8));
    return records.reduce((sum, { record }) => sum + record.v0, since);
  }

  /** Every record of a namespace so far, once all that were counted as emitted have been read; only those chosen. */
  async records(net: bigint, choice: RecordChoice = {}): Promise<SeenRecord[]> {
    await eventually('every emitted record was read', () => this.#all().length === this.count(metrics.EMITTED));
    return this.#all().filter(({ record }) => record.net === Number(net) && matches(record, choice));
  }

  /** Waits until a namespace has so many of the records chosen, at least one, and returns all of these. */
  async waitFor(net: bigint, choice: RecordChoice = {}, count = 1): Promise<[SeenRecord, ...SeenRecord[]]> {
    let records: SeenRecord[] = [];
    await eventually(`${count} records are told with ${JSON.stringify(choice)}`, async () => {
      records = await this.records(net, choice);
      return records.length >= count;
    });
    return records as [SeenRecord, ...SeenRecord[]];
  }

  /** The kernel's function at a distance from _stext; '' for what is none. Of probes that ask for the kernel's names. */
  placeOf(offset: number): string {
    return this.symbols?.nameOf(offset) ?? '';
  }

  /** Keeps a real record for probe.test.ts, when the tests are run to record them. */
  keepFixture(name: string, seen: SeenRecord): void {
    keepFixture(this.#probe, name, seen.bytes);
  }

  #all(): SeenRecord[] {
    const seen: SeenRecord[] = [];
    const walker = new RecordReader();
    for (const chunk of this.#chunks) {
      walker.reset(chunk);
      while (walker.next()) {
        const record = new RecordReader();
        const bytes = walker.copy();
        record.reset(bytes);
        record.next();
        seen.push({ bytes, record });
      }
    }
    return seen;
  }

  async stop(): Promise<void> {
    this.object.close();
    await this.#reader.stop();
    this.base.close();
  }
}

function matches<T extends object>(one: T, choice: Partial<T>): boolean {
  return Object.entries(choice).every(([field, value]) => one[field as keyof T] === value);
}
