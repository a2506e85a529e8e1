import { selectBase } from '../../bpf/base/select.ts';
import type { Degradation, Selection } from '../../bpf/probe.ts';
import { probeMaps } from '../../bpf/settings.ts';
import { messageOf } from '../../core/app-error.ts';
import type { BpfObject, Native, NativeFailure } from '../../native/addon.ts';
import { readBpfObject } from '../../native/index.ts';
import { collectorError } from './errors.ts';

const sharedMaps: readonly string[] = Object.values(probeMaps);

/** Sizes of the base's maps, where the defaults of bpf/include/maps.h will not do. */
export interface BaseSizes {
  /** A power of two of at least a page. */
  readonly ringBytes?: number;
  readonly counterEntries?: number;
}

/** What was attached, and what could not be. */
export interface Attached {
  readonly programs: readonly string[];
  readonly problems: readonly Degradation[];
}

/** Loads what all probes share (bpf/base). Throws a NativeFailure. */
export function loadBase(native: Native, sizes: BaseSizes = {}): { readonly object: BpfObject; readonly selection: Selection } {
  const selection = selectBase(native);
  const object = loadSelected(native, 'base', readBpfObject('base'), selection, (opened) => {
    if (sizes.ringBytes !== undefined) opened.setMapEntries(probeMaps.ring, sizes.ringBytes);
    if (sizes.counterEntries !== undefined) opened.setMapEntries(probeMaps.counters, sizes.counterEntries);
  });
  return { object, selection };
}

/** Loads a probe's selected programs over the maps of the base; maps of other names are its own. Throws a NativeFailure. */
export function loadProbe(native: Native, name: string, bytes: Uint8Array, selection: Selection, base: BpfObject): BpfObject {
  return loadSelected(native, name, bytes, selection, (object) => {
    for (const map of object.maps()) if (sharedMaps.includes(map)) object.shareMap(map, base);
  });
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
