import type { Degradation, Probe } from '../../bpf/probe.ts';
import { encodeSettings, type ProbeSettings, probeMaps, settingsSection } from '../../bpf/settings.ts';
import { messageOf } from '../../core/app-error.ts';
import type { Log } from '../../core/log.ts';
import type { BpfObject, Native, NativeFailure, Reader } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import { collectorError } from './errors.ts';

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
  readonly reader: Reader;
}

/** How chunks are made. */
export interface ReaderSettings {
  readonly drainMs: number;
  readonly chunkBytes: number;
  readonly maxChunks: number;
}

/** Loads and attaches probes. One that fails stops nothing else. */
export class ProbeHost {
  readonly #native: Native;
  readonly #reader: ReaderSettings;
  readonly #log: Log;
  readonly #running: Running[] = [];
  readonly #status = new Map<string, ProbeStatus>();

  constructor(native: Native, reader: ReaderSettings, log: Log) {
    this.#native = native;
    this.#reader = reader;
    this.#log = log;
  }

  status(): ProbeStatus[] {
    return [...this.#status.values()];
  }

  /** Objects of the running probes, for their counter maps. */
  objects(): readonly { readonly probe: Probe; readonly object: BpfObject }[] {
    return this.#running;
  }

  start(probe: Probe, settings: ProbeSettings, onChunk: (chunk: Buffer) => void): ProbeStatus {
    const attached: string[] = [];
    const problems: Degradation[] = [];
    let object: BpfObject | undefined;
    try {
      const selection = probe.select(this.#native);
      problems.push(...selection.degraded);
      object = this.#native.openObject(probe.name, readBpfObject(probe.name));
      for (const { name } of object.programs()) object.setAutoload(name, selection.programs.includes(name));
      object.load();
      object.writeData(settingsSection, 0, encodeSettings(settings));
      const reader = object.startReader(probeMaps.ring, this.#reader, onChunk);
      this.#running.push({ probe, object, reader });
      for (const program of selection.attach) this.#attach(object, program, selection.whenNotAttached.get(program), attached, problems);
      for (const iterator of selection.iterators) this.#iterate(object, iterator, problems);
    } catch (thrown) {
      problems.push(problemOf(probe.name, thrown));
      this.#abandon(probe, object);
      attached.length = 0;
    }
    const state = attached.length === 0 ? 'failed' : problems.length > 0 ? 'degraded' : 'attached';
    const status = { name: probe.name, state, attached, problems } as const;
    this.#status.set(probe.name, status);
    return status;
  }

  /** Detaches, drains what is left, closes. */
  async stop(): Promise<void> {
    for (const { object, probe } of this.#running) {
      for (const { name } of object.programs()) if (object.attached(name)) object.detach(name);
      this.#log.debug({ probe: probe.name }, 'probe detached');
    }
    await Promise.all(this.#running.map(({ reader }) => reader.stop()));
  }

  /** After the last look at the counters. */
  close(): void {
    for (const { object } of this.#running) object.close();
    this.#running.length = 0;
  }

  /** A program that the probe can do without leaves it degraded; another one's failure is the probe's. */
  #attach(object: BpfObject, program: string, missing: Degradation | undefined, attached: string[], problems: Degradation[]): void {
    try {
      object.attach(program);
      attached.push(program);
    } catch (thrown) {
      if (missing === undefined) throw thrown;
      problems.push({ ...missing, reason: `${missing.reason}: ${messageOf(thrown)}` });
    }
  }

  #abandon(probe: Probe, object: BpfObject | undefined): void {
    const at = this.#running.findIndex((running) => running.probe === probe);
    if (at >= 0)
      void this.#running
        .splice(at, 1)[0]
        ?.reader.stop()
        .finally(() => object?.close());
    else object?.close();
  }

  #iterate(object: BpfObject, program: string, problems: Degradation[]): void {
    try {
      object.iterate(program);
    } catch (thrown) {
      problems.push(problemOf(program, thrown));
    }
  }
}

function problemOf(what: string, thrown: unknown): Degradation {
  const hint = (thrown as Partial<NativeFailure>).hint ?? '';
  const error = collectorError('COLLECTOR_PROBE_FAILED', { probe: what, cause: messageOf(thrown), hint }, thrown);
  return { what, reason: messageOf(thrown), remedy: error.remedy };
}
