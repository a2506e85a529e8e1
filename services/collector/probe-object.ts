import { cpus } from 'node:os';
import { selectBase } from '../../bpf/base/select.ts';
import type { Degradation, KernelFacts, KernelNames, Probe, Selection } from '../../bpf/probe.ts';
import { probeMaps } from '../../bpf/settings.ts';
import { chooseTransport, perfCpuBytes, type Transport, transportMaps, transportSection } from '../../bpf/transport.ts';
import { messageOf } from '../../core/app-error.ts';
import type { BpfObject, Native, NativeFailure, Reader, ReaderOptions } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import { collectorError } from './errors.ts';
import { forcedFailure } from './forced-failure.ts';

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

/** An object in the kernel. */
export interface LoadedObject {
  readonly object: BpfObject;
  /** What was selected, without the programs that the kernel rejected. */
  readonly selection: Selection;
  /** What is not seen without these. */
  readonly problems: readonly Degradation[];
}

/** What all probes share, loaded. */
export interface LoadedBase extends LoadedObject {
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
  const loaded = loadSelected(native, 'base', readBpfObject('base'), selection, (opened) => {
    for (const map of unusedMaps(transport)) opened.setAutocreate(map, false);
    if (transport === 'ring') opened.setMapEntries(probeMaps.ring, ringBytes);
    if (counterEntries !== undefined) opened.setMapEntries(probeMaps.counters, counterEntries);
  });
  return { ...loaded, transport, ringBytes };
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
export function loadProbe(native: Native, name: string, bytes: Uint8Array, selection: Selection, base: LoadedBase): LoadedObject {
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

/** What the kernel rejects is left out and tried without it: one program must not take the others with it. */
function loadSelected(
  native: Native,
  name: string,
  bytes: Uint8Array,
  selection: Selection,
  prepare: (object: BpfObject) => void,
): LoadedObject {
  const problems: Degradation[] = [];
  let rest = selection;
  for (;;) {
    try {
      return { object: loadOnce(native, name, bytes, rest, prepare), selection: rest, problems };
    } catch (thrown) {
      const rejected = rejectedProgram(thrown, rest.programs);
      if (rejected === undefined) throw thrown;
      problems.push(missing(rejected, selection, thrown));
      rest = without(rest, rejected);
    }
  }
}

function loadOnce(native: Native, name: string, bytes: Uint8Array, selection: Selection, prepare: (object: BpfObject) => void): BpfObject {
  const object = native.openObject(name, bytes);
  try {
    for (const program of object.programs()) object.setAutoload(program.name, selection.programs.includes(program.name));
    prepare(object);
    const forced = forcedFailure('load', [name, ...selection.programs]);
    if (forced !== undefined) throw forced;
    object.load();
    return object;
  } catch (thrown) {
    object.close();
    throw thrown;
  }
}

/** The program that libbpf could not load; undefined when it was not about one, or when all of them are forbidden. */
function rejectedProgram(thrown: unknown, programs: readonly string[]): string | undefined {
  const { code, errnoName, log = '' } = thrown as Partial<NativeFailure>;
  if (code !== 'NATIVE_LOAD' || (errnoName === 'EPERM' && verifierLog(log) === undefined)) return undefined;
  const [, name = ''] = [...log.matchAll(/prog '(\w+)': failed to load/g)].at(-1) ?? [];
  return programs.includes(name) ? name : undefined;
}

/** What the verifier said last; undefined when it was not asked. */
function verifierLog(log: string): string | undefined {
  const [, text] = /BEGIN PROG LOAD LOG --\n([\s\S]*?)-- END PROG LOAD LOG/.exec(log) ?? [];
  return text
    ?.split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('processed '))
    .at(-1);
}

function without(selection: Selection, program: string): Selection {
  const others = (names: readonly string[]): string[] => names.filter((name) => name !== program);
  const { programs, attach, iterators } = selection;
  return { ...selection, programs: others(programs), attach: others(attach), iterators: others(iterators) };
}

/** What is not seen when one program cannot be loaded or attached. */
function missing(program: string, selection: Selection, thrown: unknown): Degradation {
  const { log = '' } = thrown as Partial<NativeFailure>;
  const said = verifierLog(log);
  const cause = said === undefined ? messageOf(thrown) : `the kernel's verifier rejects ${program}: ${said}`;
  const known = selection.whenNotAttached.get(program);
  if (known !== undefined) return { ...known, reason: `${known.reason}: ${cause}` };
  const remedy =
    said === undefined ? problemOf(program, thrown).remedy : 'report this line with the kernel’s version (uname -r): all else works';
  return { what: selection.sees.get(program) ?? program, reason: cause, remedy };
}

/** Attaches the selected programs and runs the iterators. What fails is missing, and nothing else. */
export function attachSelected(object: BpfObject, selection: Selection): Attached {
  const programs: string[] = [];
  const problems = [...selection.degraded];
  const attempt = (program: string, action: () => void): void => {
    try {
      const forced = forcedFailure('attach', [program]);
      if (forced !== undefined) throw forced;
      action();
    } catch (thrown) {
      problems.push(missing(program, selection, thrown));
    }
  };
  for (const program of selection.attach) {
    attempt(program, () => {
      object.attach(program);
      programs.push(program);
    });
  }
  for (const iterator of selection.iterators) attempt(iterator, () => void object.iterate(iterator));
  return { programs, problems };
}

/** A failure as something that a probe cannot do. */
export function problemOf(what: string, thrown: unknown): Degradation {
  const hint = (thrown as Partial<NativeFailure>).hint ?? '';
  const error = collectorError('COLLECTOR_PROBE_FAILED', { probe: what, cause: messageOf(thrown), hint }, thrown);
  return { what, reason: messageOf(thrown), remedy: error.remedy };
}
