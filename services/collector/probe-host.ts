import { setTimeout as sleep } from 'node:timers/promises';
import type { Degradation, KernelNames, Probe } from '../../bpf/probe.ts';
import type { ProbeSettings } from '../../bpf/settings.ts';
import type { Transport } from '../../bpf/transport.ts';
import type { Log } from '../../core/log.ts';
import type { BpfObject, Native, Reader, ReaderOptions } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import { detachAll, HostedProbe, type ProbeSetup, type ProbeStatus } from './hosted-probe.ts';
import { type NetnsChoice, NetnsFilter } from './netns-filter.ts';
import {
  attachSelected,
  type BaseOptions,
  kernelFacts,
  type LoadedBase,
  type LoadedObject,
  loadBase,
  loadProbe,
  prepareObject,
  problemOf,
  startBaseReader,
} from './probe-object.ts';

interface Loaded {
  readonly probe: Probe;
  readonly object: BpfObject;
}

/** How records are read, and by which transport. */
export interface HostOptions extends ReaderOptions, BaseOptions {
  /** What probes may ask of the running kernel's names. */
  readonly names: KernelNames;
  /** Whether probes may look at every system call of the node. */
  readonly hookSystemCalls?: boolean;
}

/** What all probes share. */
interface Base extends LoadedBase {
  readonly reader: Reader;
}

/** The reader drains each few ms: who waits longer than this for what was emitted waits in vain. */
const maxDrainMs = 1_000;

/**
 * Loads and attaches probes: first what they share (bpf/base), with the one ring and its reader, then each for itself.
 * A probe that fails stops nothing else; without the base all of them fail. Each is enabled and disabled while the
 * others run: records, counters and token buckets are the base's, and stay.
 */
export class ProbeHost {
  readonly #native: Native;
  readonly #options: HostOptions;
  readonly #log: Log;
  readonly #probes = new Map<string, HostedProbe>();
  readonly #filter = new NetnsFilter();
  #base: Base | undefined;
  /** Why there is no base. */
  #failure: Degradation | undefined;

  constructor(native: Native, options: HostOptions, log: Log) {
    this.#native = native;
    this.#options = options;
    this.#log = log;
  }

  status(): ProbeStatus[] {
    return [...this.#probes.values()].map(({ status }) => status);
  }

  /** Probes of which something is attached. */
  running(): readonly Loaded[] {
    return this.loaded().filter(({ probe }) => this.#probes.get(probe.name)?.attached);
  }

  /** Probes in the kernel, those that are disabled included; an object's own maps are those that the base does not have. */
  loaded(): readonly Loaded[] {
    return [...this.#probes.values()].flatMap(({ probe, object }) => (object === undefined ? [] : [{ probe, object }]));
  }

  /** The object that holds the maps of all probes; undefined when it could not be loaded, or is closed. */
  base(): BpfObject | undefined {
    return this.#base?.object;
  }

  /** How records leave the kernel; undefined without the base. */
  transport(): Transport | undefined {
    return this.#base?.transport;
  }

  /** Loads the base and reads the records of all probes from here on. Its failure is told by every probe started afterwards. */
  open(onChunk: (chunk: Buffer) => void): void {
    let object: BpfObject | undefined;
    try {
      const base = loadBase(this.#native, this.#options);
      object = base.object;
      const reader = startBaseReader(base, this.#options, onChunk);
      this.#base = { ...base, reader, problems: [...base.problems, ...attachSelected(object, base.selection).problems] };
    } catch (thrown) {
      this.#failure = problemOf('all probes', thrown);
      object?.close();
    }
  }

  /** Takes on a probe; one that is not to be enabled is not loaded either. */
  start(probe: Probe, setup: ProbeSetup, enabled = true): ProbeStatus {
    const hosted = new HostedProbe(probe, setup, () => this.#load(probe));
    this.#probes.set(probe.name, hosted);
    return enabled ? this.enable(probe.name) : hosted.status;
  }

  /** Attaches a probe, or as much of it as this kernel allows; what failed before is tried again. */
  enable(name: string): ProbeStatus {
    const hosted = this.#hosted(name);
    if (this.#base === undefined) return hosted.fail(this.#failure ?? { what: name, reason: 'nothing is open', remedy: '' });
    return hosted.enable();
  }

  /** Detaches a probe, and resolves when what it emitted is read. Its counters stay, and go on when it is enabled again. */
  async disable(name: string): Promise<ProbeStatus> {
    const hosted = this.#hosted(name);
    for (const problem of hosted.disable()) this.#log.warn({ code: 'COLLECTOR_PROBE_DETACH_FAILED', probe: name }, problem);
    await this.#drained();
    return hosted.status;
  }

  /** Changes a probe's token bucket; effective at once, and kept while it is disabled. */
  set(name: string, settings: Pick<ProbeSettings, 'burst' | 'intervalNs'>): void {
    const { burst, intervalNs } = settings;
    this.#hosted(name).set({ burst, intervalNs });
  }

  /** Changes a probe's thresholds, by their names; effective at once. Those that are not named stay. */
  setThresholds(name: string, values: Readonly<Record<string, number>>): void {
    this.#hosted(name).setThresholds(values);
  }

  /** Changes which namespaces a probe looks at. While it changes the probe sees rather too many of them than too few. */
  choose(name: string, { mode, netns }: NetnsChoice): void {
    const hosted = this.#hosted(name);
    if (hosted.settings.filterMode !== mode) hosted.set({ filterMode: 'all' });
    if (this.#base !== undefined) this.#filter.list(this.#base.object, hosted.probe.number, netns);
    hosted.set({ filterMode: mode });
  }

  /** Addresses of a kernel stack that records tell by its id; undefined when it is not there. */
  stack(id: number): Uint8Array | undefined {
    const loaded = this.#withStacks();
    return loaded?.object.mapLookup(loaded.map, stackKey(id));
  }

  /** Gives a stack's id back to the kernel. */
  deleteStack(id: number): void {
    const loaded = this.#withStacks();
    loaded?.object.mapDelete(loaded.map, stackKey(id));
  }

  /** Detaches, drains what is left. */
  async stop(): Promise<void> {
    for (const hosted of this.#probes.values()) {
      hosted.detach();
      this.#log.debug({ probe: hosted.probe.name }, 'probe detached');
    }
    if (this.#base === undefined) return;
    detachAll(this.#base.object);
    await this.#base.reader.stop();
  }

  /** After the last look at the counters. */
  close(): void {
    for (const hosted of this.#probes.values()) hosted.close();
    this.#base?.object.close();
    this.#base = undefined;
  }

  #hosted(name: string): HostedProbe {
    const hosted = this.#probes.get(name);
    if (hosted === undefined) throw new Error(`no probe ${name} was started`);
    return hosted;
  }

  #load(probe: Probe): LoadedObject {
    const base = this.#base;
    if (base === undefined) throw new Error('nothing is open');
    const selection = probe.select(kernelFacts(this.#native, this.#options.hookSystemCalls));
    const loaded = loadProbe(this.#native, probe.name, readBpfObject(probe.name), selection, base);
    try {
      const unprepared = prepareObject(probe, loaded.object, this.#options.names);
      return { ...loaded, problems: [...base.problems, ...loaded.problems, ...unprepared] };
    } catch (thrown) {
      loaded.object.close();
      throw thrown;
    }
  }

  /** Resolves when what the ring holds now is delivered. */
  async #drained(): Promise<void> {
    if (this.#base === undefined) return;
    const { reader } = this.#base;
    const { bytes, ringBytes } = reader.stats();
    const end = performance.now() + maxDrainMs;
    while (performance.now() < end) {
      const now = reader.stats();
      if (now.ringBytes === 0 || now.bytes - bytes >= ringBytes) return;
      await sleep(this.#options.drainMs);
    }
  }

  #withStacks(): { object: BpfObject; map: string } | undefined {
    for (const { probe, object } of this.loaded()) if (probe.places !== undefined) return { object, map: probe.places.stackMap };
    return undefined;
  }
}

function stackKey(id: number): Uint8Array {
  return new Uint8Array(Int32Array.of(id).buffer);
}
