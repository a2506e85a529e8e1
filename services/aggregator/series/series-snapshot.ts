import { setImmediate as nextTurn } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import { slices } from '../../../core/slices.ts';
import type { SessionState } from '../session.ts';
import { Contribution } from './contribution.ts';
import type { Labels } from './labels.ts';
import { type Boot, NodeSeries, type SampleFields, type SampleSession } from './node-series.ts';
import type { Place } from './place.ts';
import type { SeriesCounters } from './series-counters.ts';
import { type PackedTotals, SeriesGroup } from './series-group.ts';
import type { SeriesStore } from './series-store.ts';
import type { SourceFields } from './source-fields.ts';
import type { TargetLabels } from './target-labels.ts';

/** Groups or contributions of one block: other work gets its turn between two. */
const perBlock = 100;

/** The first block. */
interface Head {
  readonly version: 1;
  readonly counters: SeriesCounters;
  readonly times: readonly [clockMs: number, lastTickMs: number, publishedMs: number, keyframeMs: number, madeRoomMs: number];
  readonly nextId: number;
  readonly sources: readonly (readonly [source: string, ofProbe: boolean, fields: readonly string[]])[];
  readonly layouts: readonly (readonly [source: number, places: Int32Array<ArrayBuffer>])[];
}

/** Blocks behind it, in this order: groups, nodes, contributions of the node before. */
type Block = { readonly groups: readonly GroupRow[] } | { readonly node: NodeRow } | { readonly contributions: readonly ContributionRow[] };

type GroupRow = readonly [
  id: number,
  key: string,
  source: number,
  labels: Labels,
  base: Float64Array<ArrayBuffer>,
  flags: Uint8Array<ArrayBuffer>,
  ended: boolean,
  moved: boolean,
  endedMs: number,
  endedUnixMs: number,
  dirty: boolean,
  packed: PackedTotals | undefined,
];

interface NodeRow {
  readonly name: string;
  readonly boots: ReadonlyMap<string, Boot>;
  readonly heardMs: number;
  readonly silent: boolean;
  readonly sessions: readonly (readonly [key: string, session: Omit<SampleSession, 'layouts'>, layouts: ReadonlyMap<number, number>])[];
  readonly places: readonly PlaceRow[];
}

type PlaceRow = readonly [
  key: string,
  place: Omit<Place, 'session' | 'labels' | 'entity' | 'contributions' | 'key'>,
  session: string | undefined,
  labels: TargetLabels | undefined,
  isLeaving: boolean,
];

type ContributionRow = readonly [
  key: string,
  place: string,
  source: number,
  own: Labels,
  values: Float64Array<ArrayBuffer>,
  carry: Float64Array<ArrayBuffer> | undefined,
  known: Uint8Array<ArrayBuffer>,
  sessions: ReadonlyMap<string, Float64Array<ArrayBuffer>> | undefined,
  group: string | undefined,
  state: readonly [readNs: number, live: boolean, closed: boolean, endedMs: number, endedReadNs: number],
];

/**
 * The series as blocks for a checkpoint: V8's own serialization, which keeps typed arrays as they are. The store must
 * not change until the last block is taken.
 */
export async function* seriesBlocks(store: SeriesStore): AsyncGenerator<Uint8Array, void, undefined> {
  const sourceIndex = new Map(store.sources.all.map((source, index) => [source, index]));
  const indexOf = (source: SourceFields): number => sourceIndex.get(source) as number;
  const layouts = new LayoutTable();
  const nodes = [...store.nodes.values()].map((node) => nodeRow(node, layouts));
  const head: Head = {
    version: 1,
    counters: store.counters,
    times: [store.clockMs, store.lastTickMs, store.publishedMs, store.keyframeMs, store.madeRoomMs],
    nextId: store.nextId,
    sources: store.sources.all.map(({ source, ofProbe, fields }) => [source, ofProbe, fields]),
    layouts: layouts.all.map(({ source, places }) => [indexOf(source), places]),
  };
  yield serialize(head);
  for (const groups of slices(store.groups.values(), perBlock)) {
    yield blockOf({ groups: groups.map((group) => groupRow(group, indexOf(group.source))) });
    await nextTurn();
  }
  for (const node of nodes) {
    yield blockOf({ node });
    for (const some of slices((store.nodes.get(node.name) as NodeSeries).contributions.values(), perBlock)) {
      yield blockOf({ contributions: some.map((contribution) => contributionRow(contribution, indexOf(contribution.source))) });
      await nextTurn();
    }
  }
}

/** Fills an empty store. @param sessionOf sessions as the checkpoint had them */
export function restoreSeries(
  store: SeriesStore,
  blocks: readonly Uint8Array[],
  sessionOf: (node: string, session: string) => SessionState | undefined,
): void {
  if (blocks.length === 0) return;
  const head = deserialize(blocks[0]) as Head;
  if (head.version !== 1) throw new Error(`its series have version ${String(head.version)}, expected 1`);
  Object.assign(store.counters, head.counters);
  [store.clockMs, store.lastTickMs, store.publishedMs, store.keyframeMs, store.madeRoomMs] = head.times;
  store.nextId = head.nextId;
  for (const [source, ofProbe, fields] of head.sources) store.sources.get(source, ofProbe, fields);
  const sources = store.sources.all;
  const layouts = head.layouts.map(([source, places]): SampleFields => ({ source: sources[source], places }));
  let node: NodeSeries | undefined;
  for (const bytes of blocks.slice(1)) {
    const block = deserialize(bytes) as Block;
    if ('groups' in block) for (const row of block.groups) restoreGroup(store, row, sources);
    else if ('node' in block) node = restoreNode(store, block.node, layouts, sessionOf);
    else for (const row of block.contributions) restoreContribution(store, node as NodeSeries, row, sources);
  }
}

function blockOf(block: Block): Uint8Array {
  return serialize(block);
}

/** Sessions of nodes with the same kernel have the same layouts: each is written once. */
class LayoutTable {
  readonly all: SampleFields[] = [];
  readonly #known = new Map<string, number>();

  indexOf(layout: SampleFields): number {
    const key = `${layout.source.source} ${layout.places.join()}`;
    const known = this.#known.get(key) ?? this.all.push(layout) - 1;
    this.#known.set(key, known);
    return known;
  }
}

function nodeRow(node: NodeSeries, layouts: LayoutTable): NodeRow {
  const { name, boots, heardMs, silent } = node;
  const sessions = [...node.sessions].map(
    ([key, { layouts: own, ...session }]) =>
      [key, session, new Map([...own].map(([id, layout]) => [id, layouts.indexOf(layout)]))] as const,
  );
  const places = [...node.places.values()].map(
    ({ key, session, labels, entity: _entity, contributions: _contributions, ...place }): PlaceRow => {
      return [key, place, session?.session, labels, node.leaving.has(node.places.get(key) as Place)];
    },
  );
  return { name, boots, heardMs, silent, sessions, places };
}

function restoreNode(
  store: SeriesStore,
  row: NodeRow,
  layouts: readonly SampleFields[],
  sessionOf: (node: string, session: string) => SessionState | undefined,
): NodeSeries {
  const node = new NodeSeries(row.name);
  store.nodes.set(row.name, node);
  node.heardMs = row.heardMs;
  node.silent = row.silent;
  for (const [bootId, boot] of row.boots) node.boots.set(bootId, boot);
  for (const [key, session, own] of row.sessions) {
    node.sessions.set(key, { ...session, layouts: new Map([...own].map(([id, index]) => [id, layouts[index]])) });
  }
  for (const [key, plain, session, labels, isLeaving] of row.places) {
    const found = session === undefined ? undefined : sessionOf(row.name, session);
    const place: Place = { ...plain, key, session: found, entity: undefined, labels, contributions: new Set() };
    node.places.set(key, place);
    if (labels === undefined) node.unplaced.add(place);
    if (isLeaving) node.leaving.add(place);
  }
  return node;
}

function groupRow(group: SeriesGroup, source: number): GroupRow {
  const { id, key, labels, base, flags, ended, moved, endedMs, endedUnixMs, dirty, packed } = group;
  return [id, key, source, labels, base, flags, ended, moved, endedMs, endedUnixMs, dirty, packed];
}

function restoreGroup(store: SeriesStore, row: GroupRow, sources: readonly SourceFields[]): void {
  const [id, key, source, labels, base, flags, ended, moved, endedMs, endedUnixMs, dirty, packed] = row;
  const group = new SeriesGroup(id, key, sources[source], labels);
  // What is read from a block is a view of the whole checkpoint: it must not live as long as the series.
  const own = packed && { fields: packed.fields.slice(), totals: packed.totals.slice() };
  Object.assign(group, { base: base.slice(), flags: flags.slice(), ended, moved, endedMs, endedUnixMs, dirty, packed: own });
  for (let field = 0; field < flags.length; field++) if (group.isKnown(field)) group.series++;
  store.groups.set(key, group);
  store.series += group.series;
}

function contributionRow(contribution: Contribution, source: number): ContributionRow {
  const { key, place, own, values, carry, known, sessions, group } = contribution;
  const { readNs, live, closed, endedMs, endedReadNs } = contribution;
  const state = [readNs, live, closed, endedMs, endedReadNs] as const;
  return [key, place.key, source, own, values, carry, known, sessions, group?.key, state];
}

function restoreContribution(store: SeriesStore, node: NodeSeries, row: ContributionRow, sources: readonly SourceFields[]): void {
  const [key, placeKey, source, own, values, carry, known, sessions, groupKey, state] = row;
  const place = node.places.get(placeKey) as Place;
  const contribution = new Contribution(key, place, sources[source], own);
  contribution.values = values.slice();
  contribution.carry = carry?.slice();
  contribution.known = known.slice();
  for (const [session, totals] of sessions ?? []) contribution.sessions?.set(session, totals.slice());
  [contribution.readNs, contribution.live, contribution.closed, contribution.endedMs, contribution.endedReadNs] = state;
  node.contributions.set(key, contribution);
  place.contributions.add(contribution);
  store.heldValues += contribution.room;
  const group = groupKey === undefined ? undefined : store.groups.get(groupKey);
  if (group === undefined) return;
  contribution.group = group;
  group.contributions.push(contribution);
  if (contribution.live) group.live++;
}
