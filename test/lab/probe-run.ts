import type { Probe } from '../../bpf/probe.ts';
import {
  bucketKey,
  defaultSettings,
  encodeSettings,
  netFilterKey,
  netFilterValue,
  type ProbeSettings,
  probeMaps,
  settingsSection,
} from '../../bpf/settings.ts';
import type { Transport } from '../../bpf/transport.ts';
import type { BpfObject, Native, Reader } from '../../native/addon.ts';
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
import { eventually } from './eventually.ts';

/** A record's own bytes, and a reader that stands on them. */
export interface SeenRecord {
  readonly bytes: Uint8Array;
  readonly record: RecordReader;
}

export interface ProbeRunOptions extends BaseOptions {
  readonly drainMs?: number;
  /** Cookies of the only namespaces to look at, from before the first event on; default: all of the machine. */
  readonly only?: readonly bigint[];
}

/** `JITTERSCOPE_TEST_TRANSPORT=perf` runs the tests of probes over the perf buffers. */
function transportOfTests(): Transport | 'auto' {
  const wanted = process.env.JITTERSCOPE_TEST_TRANSPORT ?? 'auto';
  if (wanted === 'auto' || wanted === 'ring' || wanted === 'perf') return wanted;
  throw new Error(`JITTERSCOPE_TEST_TRANSPORT must be auto, ring or perf, found ${wanted}`);
}

/** A probe that runs in this kernel, as the collector would run it, and what it told. */
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

  constructor(native: Native, probe: Probe, object: Uint8Array, options: ProbeRunOptions = {}) {
    this.#probe = probe;
    const base = loadBase(native, { transport: transportOfTests(), ...options });
    this.base = base.object;
    this.transport = base.transport;
    this.#reader = startBaseReader(base, { drainMs: options.drainMs ?? 10, chunkBytes: 256 * 1024, maxChunks: 16 }, (chunk) =>
      this.#chunks.push(Uint8Array.from(chunk)),
    );
    attachSelected(this.base, base.selection);
    const selection = probe.select(kernelFacts(native));
    const loaded = loadProbe(native, probe.object, object, selection, base);
    this.object = loaded.object;
    for (const net of options.only ?? []) this.list(net);
    if (options.only !== undefined) this.set({ ...defaultSettings, filterMode: 'listed' });
    if (probe.prepare !== undefined) {
      this.symbols = new LiveSymbols();
      prepareObject(probe, this.object, this.symbols.namesFor(native));
    }
    const { problems } = attachSelected(this.object, loaded.selection);
    // What this kernel is known not to have is in the selection; all else is a defect.
    const rejected = [...loaded.problems, ...problems].filter(
      (problem) => ![...selection.degraded, ...selection.whenNotAttached.values()].some(({ what }) => what === problem.what),
    );
    if (rejected.length > 0) throw new Error(rejected.map(({ what, reason }) => `${what}: ${reason}`).join('\n'));
  }

  set(settings: ProbeSettings): void {
    this.object.writeData(settingsSection, 0, encodeSettings(settings));
  }

  /** Lets a namespace through the filter in mode `listed`. */
  list(net: bigint): void {
    this.base.mapUpdate(probeMaps.netFilter, netFilterKey(net), netFilterValue([this.#probe.number]));
  }

  /** All entries of the counter map. */
  counters(): Counter[] {
    return readCounters(this.base);
  }

  /** Sum of a metric's counters; of one namespace, when given. */
  count(metric: number, net?: bigint): number {
    const entries = this.counters().filter((entry) => entry.metric === metric && (net === undefined || entry.net === Number(net)));
    return entries.reduce((sum, entry) => sum + entry.value, 0);
  }

  /** Events withheld in a namespace since its last record. */
  withheld(net: bigint, probe: number): number {
    const bucket = this.base.mapLookup(probeMaps.buckets, bucketKey(net, probe));
    return bucket === undefined ? 0 : Number(bucket.readBigUInt64LE(8));
  }

  /** Every record of a namespace so far, once all that were counted as emitted have been read. */
  async records(net: bigint): Promise<SeenRecord[]> {
    await eventually('every emitted record was read', () => this.#all().length === this.count(metrics.EMITTED));
    return this.#all().filter(({ record }) => record.net === Number(net));
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
