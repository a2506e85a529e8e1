import type { Probe } from '../../../../bpf/probe.ts';
import { recordFlags, recordOffsets } from '../../../../schema/record.gen.ts';
import { transports } from '../../fragments.ts';
import { type NodeNames, patchedRecord, type RecordPatch, RecordSolver } from './record-solver.ts';
import type { SimulatedPlaces } from './simulated-places.ts';
import type { RecordInputRow } from './test-input.ts';

/** A record of a test. */
export interface SimulatedRecord {
  /** When the collector reads it, ms of the test. */
  readonly drainedMs: number;
  readonly bytes: Uint8Array;
}

const sides = { forwarded: 0, in: 1, out: 2 } as const;
const inet = 2;
const tcp = 6;
/** Records of a second happen behind its begin. */
const offsetMs = 100;
const defaultPorts = { port: 80, farPort: 40_000 } as const;

const solvers = new WeakMap<Probe, Map<number, RecordSolver>>();

function solverOf(probe: Probe, variant: number): RecordSolver {
  const ofProbe = solvers.get(probe) ?? new Map<number, RecordSolver>();
  const solver = ofProbe.get(variant) ?? new RecordSolver(probe, variant);
  solvers.set(probe, ofProbe.set(variant, solver));
  return solver;
}

/** Names of a row that no word of its record can say. */
export function unsolved(row: RecordInputRow): string[] {
  const { numbers, texts } = patchesOf(row, { enumValue: () => 2, symbolOffset: () => 2 });
  return [...numbers, ...texts].flatMap(([name, patch]) => (patch === undefined ? [name] : []));
}

/** Records of a row, in the order of their times. @param bootNs of a millisecond of the test */
export function recordsOf(
  row: RecordInputRow,
  places: SimulatedPlaces,
  names: NodeNames,
  bootNs: (ms: number) => number,
): SimulatedRecord[] {
  const { probe, variant, target } = row;
  const { numbers, texts } = patchesOf(row, names);
  const patches = [...numbers, ...texts].flatMap(([, patch]) => patch ?? []);
  const given = new Map<string, number | string>([...row.numbers, ...row.texts]);
  const isClient = given.get('role') === 'client';
  const place = places.of(target);
  const fields = {
    probe: probe.number,
    variant,
    flags: recordFlags.SOCK | (isClient ? recordFlags.CLIENT : given.get('role') === 'server' ? recordFlags.SERVER : 0),
    net: place.cookie,
    saddr: place.address,
    daddr: places.addressOf(row.row.peer),
    sport: Number(given.get('port') ?? (isClient ? defaultPorts.farPort : defaultPorts.port)),
    dport: Number(given.get('far_port') ?? (isClient ? defaultPorts.port : defaultPorts.farPort)),
    family: inet,
    proto: Number(Object.entries(transports).find(([, name]) => name === given.get('transport'))?.[0] ?? tcp),
    side: sides[row.row.side],
  };
  const record = patchedRecord(fields, patches);
  return timesOf(row).map((ms) => {
    const bytes = record.slice();
    new DataView(bytes.buffer).setBigUint64(recordOffsets.ts, BigInt(bootNs(ms)), true);
    return { drainedMs: ms + (row.row.late ?? 0), bytes };
  });
}

/** Milliseconds of the test at which a row's records happen. */
function timesOf({ row }: RecordInputRow): number[] {
  const { at, from = at ?? 0, to = at ?? from, every, count } = row;
  const times: number[] = [];
  for (let ms = from * 1000 + offsetMs; ms < (to + 1) * 1000; ms += at === undefined ? every : 1000) {
    for (let index = 0; index < count; index++) times.push(ms);
  }
  return times;
}

type Named = readonly (readonly [name: string, patch: RecordPatch | undefined])[];

/** What a record's own fields say stands in no word of the probe's. */
const plainNames = new Set(['port', 'far_port', 'role', 'transport']);

function patchesOf(
  { probe, variant, numbers, texts }: RecordInputRow,
  names: NodeNames,
): { readonly numbers: Named; readonly texts: Named } {
  const solver = solverOf(probe, variant);
  const own = <Value>(pairs: readonly (readonly [string, Value])[]): readonly (readonly [string, Value])[] =>
    pairs.filter(([name]) => !plainNames.has(name));
  return {
    numbers: own(numbers).map(([name, value]) => [name, solver.number(name, value)] as const),
    texts: own(texts).map(([name, text]) => [name, solver.text(name, text, names)] as const),
  };
}
