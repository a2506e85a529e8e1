import { cpus } from 'node:os';
import { selectBase } from '../../bpf/base/select.ts';
import type { Degradation, KernelFacts, KernelNames, Probe, Selection } from '../../bpf/probe.ts';
import { probeMaps } from '../../bpf/settings.ts';
import { chooseTransport, perfCpuBytes, type Transport, transportMaps, transportSection } from '../../bpf/transport.ts';
import { messageOf } from '../../core/app-error.ts';
import type { BpfObject, Native, NativeFailure, Reader, ReaderOptions } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import { collectorError } from './errors.ts';

const sharedMaps: readonly string[] = Object.values(probeMaps);
const defaultRingBytes = 4 * 1024 * 1024;

/** How the base is made, where the defaults of bpf/include/maps.h will not do. */
export interface BaseOptions {
  /** Default: what suits the kernel. */
  readonly transport?: Transport | 'auto';
  /** Size of the ring, a power of two of at least a page; the perf buffers of all CPUs share it. */
  readonly ringBytes?: number;
  readonly counterEntries?: number;
}

/** What all probes share, loaded. */
export interface LoadedBase {
  readonly object: BpfObject;
  readonly selection: Selection;
  readonly transport: Transport;
  readonly ringBytes: number;
}

/** What was attached, and what could not be. */
export interface Attached {
  readonly programs: readonly string[];
  readonly problems: readonly Degradation[];
}

/** What probes ask of the running kernel. @param hookSystemCalls whether they may make every system call slower */
export function kernelFacts(native: Native, hookSystemCalls = false): KernelFacts {
  return {
    hookSystemCalls,
    tracepointArgs: (name) => native.tracepointArgs(name),
    hasMember: (struct, member) => native.hasMember(struct, member),
    loads(name) {
      const object = native.openObject(name, readBpfObject(name));
      try {
        object.load();
        return true;
      } catch {
        return false;
      } finally {
        object.close();
      }
    },
  };
}

/** Loads what all probes share (bpf/base). Throws a NativeFailure. */
export function loadBase(native: Native, options: BaseOptions = {}): LoadedBase {
  const { ringBytes = defaultRingBytes, counterEntries } = options;
  const transport = chooseTransport(native, options.transport ?? 'auto');
  const selection = selectBase(native);
  const object = loadSelected(native, 'base', readBpfObject('base'), selection, (opened) => {
    for (const map of unusedMaps(transport)) opened.setAutocreate(map, false);
    if (transport === 'ring') opened.setMapEntries(probeMaps.ring, ringBytes);
    if (counterEntries !== undefined) opened.setMapEntries(probeMaps.counters, counterEntries);
  });
  return { object, selection, transport, ringBytes };
}

/** Reads the records of all probes from here on. Throws a NativeFailure. */
export function startBaseReader(base: LoadedBase, options: ReaderOptions, onChunk: (chunk: Buffer) => void): Reader {
  if (base.transport === 'ring') return base.object.startReader(probeMaps.ring, options, onChunk);
  return base.object.startPerfReader(
    probeMaps.perf,
    { ...options, cpuBytes: perfCpuBytes(base.ringBytes, Math.max(cpus().length, 1)) },
    onChunk,
  );
}

/** Loads a probe's selected programs over the maps of the base; maps of other names are its own. Throws a NativeFailure. */
export function loadProbe(native: Native, name: string, bytes: Uint8Array, selection: Selection, base: LoadedBase): BpfObject {
  const unused = unusedMaps(base.transport);
  return loadSelected(native, name, bytes, selection, (object) => {
    object.setRodata(transportSection, 0, Uint8Array.of(base.transport === 'perf' ? 1 : 0));
    for (const map of object.maps()) {
      if (unused.includes(map)) object.setAutocreate(map, false);
      else if (sharedMaps.includes(map)) object.shareMap(map, base.object);
    }
  });
}

/** Maps of the transport that is not used. */
function unusedMaps(transport: Transport): readonly string[] {
  return transportMaps[transport === 'ring' ? 'perf' : 'ring'];
}

/** Writes what a loaded probe's programs must know of this kernel. Returns what they cannot do. */
export function prepareObject(probe: Probe, object: BpfObject, names: KernelNames): readonly Degradation[] {
  const preparation = probe.prepare?.(names);
  for (const { section, bytes } of preparation?.data ?? []) object.writeData(section, 0, bytes);
  return preparation?.degraded ?? [];
}

function loadSelected(
  native: Native,
  name: string,
  bytes: Uint8Array,
  selection: Selection,
  prepare: (object: BpfObject) => void,
): BpfObject {
  const object = native.openObject(name, bytes);
  try {
    for (const program of object.programs()) object.setAutoload(program.name, selection.programs.includes(program.name));
    prepare(object);
    object.load();
    return object;
  } catch (thrown) {
    object.close();
    throw thrown;
  }
}

/** Attaches the selected programs and runs the iterators. Throws when one fails that cannot be done without. */
export function attachSelected(object: BpfObject, selection: Selection): Attached {
  const programs: string[] = [];
  const problems = [...selection.degraded];
  for (const program of selection.attach) {
    try {
      object.attach(program);
      programs.push(program);
    } catch (thrown) {
      const missing = selection.whenNotAttached.get(program);
      if (missing === undefined) throw thrown;
      problems.push({ ...missing, reason: `${missing.reason}: ${messageOf(thrown)}` });
    }
  }
  for (const iterator of selection.iterators) {
    try {
      object.iterate(iterator);
    } catch (thrown) {
      problems.push(problemOf(iterator, thrown));
    }
  }
  return { programs, problems };
}

/** A failure as something that a probe cannot do. */
export function problemOf(what: string, thrown: unknown): Degradation {
  const hint = (thrown as Partial<NativeFailure>).hint ?? '';
  const error = collectorError('COLLECTOR_PROBE_FAILED', { probe: what, cause: messageOf(thrown), hint }, thrown);
  return { what, reason: messageOf(thrown), remedy: error.remedy };
}
