import type { Degradation, KernelNames, Probe } from '../../bpf/probe.ts';
import { encodeSettings, type ProbeSettings, settingsSection } from '../../bpf/settings.ts';
import type { Transport } from '../../bpf/transport.ts';
import type { Log } from '../../core/log.ts';
import type { BpfObject, Native, Reader, ReaderOptions } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import {
  attachSelected,
  type BaseOptions,
  kernelFacts,
  type LoadedBase,
  loadBase,
  loadProbe,
  prepareObject,
  problemOf,
  startBaseReader,
} from './probe-object.ts';

/** A probe as it runs. */
export interface ProbeStatus {
  readonly name: string;
  /** attached: all of it; degraded: some of it; failed: nothing. */
  readonly state: 'attached' | 'degraded' | 'failed';
  readonly attached: readonly string[];
  readonly problems: readonly Degradation[];
}

interface Running {
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
  readonly problems: readonly Degradation[];
}

/**
 * Loads and attaches probes: first what they share (bpf/base), with the one ring and its reader, then each for itself.
 * A probe that fails stops nothing else; without the base all of them fail.
 */
export class ProbeHost {
  readonly #native: Native;
  readonly #options: HostOptions;
  readonly #log: Log;
  readonly #running: Running[] = [];
  readonly #status = new Map<string, ProbeStatus>();
  #base: Base | undefined;
  /** Why there is no base. */
  #failure: Degradation | undefined;

  constructor(native: Native, options: HostOptions, log: Log) {
    this.#native = native;
    this.#options = options;
    this.#log = log;
  }

  status(): ProbeStatus[] {
    return [...this.#status.values()];
  }

  /** The running probes; an object's own maps are those that the base does not have. */
  running(): readonly Running[] {
    return this.#running;
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
      this.#base = { ...base, reader, problems: attachSelected(object, base.selection).problems };
    } catch (thrown) {
      this.#failure = problemOf('all probes', thrown);
      object?.close();
    }
  }

  start(probe: Probe, settings: ProbeSettings): ProbeStatus {
    const status = this.#start(probe, settings);
    this.#status.set(probe.name, status);
    return status;
  }

  #start(probe: Probe, settings: ProbeSettings): ProbeStatus {
    const { name } = probe;
    const base = this.#base;
    if (base === undefined) return { name, state: 'failed', attached: [], problems: this.#failure === undefined ? [] : [this.#failure] };
    let object: BpfObject | undefined;
    try {
      const selection = probe.select(kernelFacts(this.#native, this.#options.hookSystemCalls));
      object = loadProbe(this.#native, name, readBpfObject(name), selection, base);
      object.writeData(settingsSection, 0, encodeSettings(settings));
      const unprepared = prepareObject(probe, object, this.#options.names);
      const { programs, problems } = attachSelected(object, selection);
      const all = [...base.problems, ...unprepared, ...problems];
      if (programs.length === 0) object.close();
      else this.#running.push({ probe, object });
      const state = programs.length === 0 ? 'failed' : all.length > 0 ? 'degraded' : 'attached';
      return { name, state, attached: programs, problems: all };
    } catch (thrown) {
      object?.close();
      return { name, state: 'failed', attached: [], problems: [problemOf(name, thrown)] };
    }
  }

  /** Addresses of a kernel stack that records tell by its id; undefined when it is not there. */
  stack(id: number): Uint8Array | undefined {
    const running = this.#withStacks();
    return running?.object.mapLookup(running.map, stackKey(id));
  }

  /** Gives a stack's id back to the kernel. */
  deleteStack(id: number): void {
    const running = this.#withStacks();
    running?.object.mapDelete(running.map, stackKey(id));
  }

  #withStacks(): { object: BpfObject; map: string } | undefined {
    for (const { probe, object } of this.#running) if (probe.places !== undefined) return { object, map: probe.places.stackMap };
    return undefined;
  }

  /** Detaches, drains what is left, closes. */
  async stop(): Promise<void> {
    for (const { object, probe } of this.#running) {
      detachAll(object);
      this.#log.debug({ probe: probe.name }, 'probe detached');
    }
    if (this.#base === undefined) return;
    detachAll(this.#base.object);
    await this.#base.reader.stop();
  }

  /** After the last look at the counters. */
  close(): void {
    for (const { object } of this.#running.splice(0)) object.close();
    this.#base?.object.close();
    this.#base = undefined;
  }
}

function stackKey(id: number): Uint8Array {
  return new Uint8Array(Int32Array.of(id).buffer);
}

function detachAll(object: BpfObject): void {
  for (const { name } of object.programs()) if (object.attached(name)) object.detach(name);
}
