import type { Degradation, Probe } from '../../bpf/probe.ts';
import { encodeSettings, encodeThreshold, type ProbeSettings, settingsSection } from '../../bpf/settings.ts';
import { messageOf } from '../../core/app-error.ts';
import type { BpfObject } from '../../native/addon.ts';
import { attachSelected, type LoadedObject, problemOf } from './probe-object.ts';

/** A probe as it runs. */
export interface ProbeStatus {
  readonly name: string;
  /** enabled: all of it is attached; degraded: some of it; failed: nothing, although it is wanted; disabled: it is not wanted. */
  readonly state: 'enabled' | 'degraded' | 'failed' | 'disabled';
  /** Programs. */
  readonly attached: readonly string[];
  readonly problems: readonly Degradation[];
}

/** What a probe starts with. */
export interface ProbeSetup extends ProbeSettings {
  /** By their names; the object has its own for those that are not named. */
  readonly thresholds?: Readonly<Record<string, number>>;
}

/**
 * One probe on its way into the kernel and out of it. Once loaded, it stays so while it is disabled: its maps keep what
 * records refer to (ids of stacks), and to enable it again is only to attach it.
 */
export class HostedProbe {
  readonly probe: Probe;
  readonly #load: () => LoadedObject;
  readonly #thresholds = new Map<string, number>();
  #settings: ProbeSettings;
  #loaded: LoadedObject | undefined;
  #status: ProbeStatus;

  /** @param load loads the probe's object; throws a NativeFailure */
  constructor(probe: Probe, { thresholds = {}, ...settings }: ProbeSetup, load: () => LoadedObject) {
    this.probe = probe;
    this.#settings = settings;
    this.#load = load;
    this.setThresholds(thresholds);
    this.#status = { name: probe.name, state: 'disabled', attached: [], problems: [] };
  }

  get status(): ProbeStatus {
    return this.#status;
  }

  /** Undefined unless it is loaded. */
  get object(): BpfObject | undefined {
    return this.#loaded?.object;
  }

  /** Whether something of it is attached. */
  get attached(): boolean {
    return this.#status.attached.length > 0;
  }

  get settings(): ProbeSettings {
    return this.#settings;
  }

  /** Takes effect at once, and whenever the probe is loaded later. */
  set(settings: Partial<ProbeSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
    this.object?.writeData(settingsSection, 0, encodeSettings(this.#settings));
  }

  /** As `set`, for the probe's own thresholds, by their names. Those that are not named stay. */
  setThresholds(values: Readonly<Record<string, number>>): void {
    for (const { name, section, offset } of this.probe.thresholds ?? []) {
      const value = values[name];
      if (value === undefined) continue;
      this.#thresholds.set(name, value);
      this.object?.writeData(section, offset, encodeThreshold(value));
    }
  }

  /** Loads it, if it is not, and attaches what is not attached. A failure is its status, and is tried again the next time. */
  enable(): ProbeStatus {
    const { name } = this.probe;
    try {
      this.#loaded ??= this.#ready();
      const { object, selection, problems } = this.#loaded;
      const { programs, problems: unattached } = attachSelected(object, selection);
      const all = [...problems, ...unattached];
      const state = programs.length === 0 ? 'failed' : all.length > 0 ? 'degraded' : 'enabled';
      this.#status = { name, state, attached: programs, problems: all };
      if (programs.length === 0) this.close();
    } catch (thrown) {
      this.close();
      this.#status = { name, state: 'failed', attached: [], problems: [problemOf(name, thrown)] };
    }
    return this.#status;
  }

  /** Told by who cannot load anything. */
  fail(problem: Degradation): ProbeStatus {
    this.#status = { name: this.probe.name, state: 'failed', attached: [], problems: [problem] };
    return this.#status;
  }

  /** Detaches it. Returns what stood in the way, which then is attached no longer all the same. */
  disable(): string[] {
    const problems = this.detach();
    this.#status = { name: this.probe.name, state: 'disabled', attached: [], problems: [] };
    return problems;
  }

  detach(): string[] {
    return this.object === undefined ? [] : detachAll(this.object);
  }

  close(): void {
    this.object?.close();
    this.#loaded = undefined;
  }

  #ready(): LoadedObject {
    const loaded = this.#load();
    try {
      loaded.object.writeData(settingsSection, 0, encodeSettings(this.#settings));
      for (const { name, section, offset } of this.probe.thresholds ?? []) {
        const value = this.#thresholds.get(name);
        if (value !== undefined) loaded.object.writeData(section, offset, encodeThreshold(value));
      }
      return loaded;
    } catch (thrown) {
      loaded.object.close();
      throw thrown;
    }
  }
}

/** Detaches all programs of an object. Returns what stood in the way. */
export function detachAll(object: BpfObject): string[] {
  const problems: string[] = [];
  for (const { name } of object.programs()) {
    if (!object.attached(name)) continue;
    try {
      object.detach(name);
    } catch (thrown) {
      problems.push(messageOf(thrown));
    }
  }
  return problems;
}
