import { Contribution, contributionRoom } from './contribution.ts';
import { joined, type Labels, labelsFrom, labelsKey } from './labels.ts';
import { NodeSeries } from './node-series.ts';
import type { Place } from './place.ts';
import { newSeriesCounters, type SeriesCounters } from './series-counters.ts';
import { SeriesGroup } from './series-group.ts';
import { type SourceFields, SourceTable } from './source-fields.ts';

/** Room that contributions may take, in values, for each series that may be: beyond, targets are refused. */
const valuesPerSeries = 4;

/** All series of one partition, and what adds to them. It follows from the partition's messages and nothing else. */
export class SeriesStore {
  /** Series of the partition; what comes beyond is folded into `other`. */
  readonly maxSeries: number;
  counters: SeriesCounters = newSeriesCounters();
  readonly sources = new SourceTable();
  readonly nodes = new Map<string, NodeSeries>();
  /** By key, in the order of their ids. */
  readonly groups = new Map<string, SeriesGroup>();
  /** Series that have a value. */
  series = 0;
  nextId = 0;
  /** Time of the partition, without outages, ms. */
  clockMs = 0;
  /** Append time of the newest tick, ms. */
  lastTickMs = 0;
  /** Append times of the ticks on which what changed, and all of it, was published last, ms. */
  publishedMs = Number.NEGATIVE_INFINITY;
  keyframeMs = Number.NEGATIVE_INFINITY;
  /** Room that contributions take, in values. */
  heldValues = 0;
  /** Append time of the tick behind which room was made last, ms. */
  madeRoomMs = -1;

  constructor(maxSeries: number) {
    this.maxSeries = maxSeries;
  }

  /** The node, of which something was heard just now. */
  node(name: string): NodeSeries {
    const node = this.nodes.get(name) ?? new NodeSeries(name);
    this.nodes.set(name, node);
    node.heardMs = this.clockMs;
    node.silent = false;
    return node;
  }

  /** The collector of a session is long gone: nobody is left to ask who its places are. */
  forgetSession(node: string, session: string): void {
    const series = this.nodes.get(node);
    series?.sessions.delete(session);
    for (const place of series?.places.values() ?? []) if (place.session?.session === session) place.session = undefined;
  }

  /** What a target adds to a source's series; undefined when there is no room for one more. @param ownKey tells it apart in its place */
  contribution(node: NodeSeries, place: Place, source: SourceFields, own: Labels, ownKey = labelsKey(own)): Contribution | undefined {
    const key = `${source.source}/${place.key}/${ownKey}`;
    const known = node.contributions.get(key);
    if (known !== undefined) return known;
    if (!this.hasRoom(source)) return undefined;
    const created = new Contribution(key, place, source, own);
    this.heldValues += created.room;
    node.contributions.set(key, created);
    place.contributions.add(created);
    this.attach(created, false);
    if (node.isOver(place.bootId, this.clockMs)) this.end(created, 0);
    return created;
  }

  /** Whether one more contribution to a source's series may be. */
  hasRoom({ fields }: SourceFields): boolean {
    return this.heldValues + contributionRoom + fields.length <= this.maxSeries * valuesPerSeries;
  }

  /** Makes room for a field that the source got later. Returns false when there is none. */
  reach(contribution: Contribution, field: number): boolean {
    if (field < contribution.values.length) return true;
    const more = contribution.source.fields.length - contribution.values.length;
    if (this.heldValues + more > this.maxSeries * valuesPerSeries) return false;
    this.heldValues += more;
    contribution.grow();
    return true;
  }

  /** A value of the contribution changed. */
  mark({ group }: Contribution, field: number): void {
    if (group?.mark(field)) this.series++;
  }

  /** Puts a contribution to the series of its labels, if they are known. */
  attach(contribution: Contribution, fromOtherLabels: boolean): void {
    const labels = contribution.place.labels;
    if (labels === undefined) return;
    const group = this.#group(contribution.source, joined(labels.labels, contribution.own));
    this.series += group.attach(contribution, fromOtherLabels);
    if (contribution.closed) this.#fold(group, contribution);
    if (group.live === 0 && !group.ended) group.end(this.clockMs, this.lastTickMs, false);
  }

  /** Adds to a counter that no contribution tells. */
  count(source: SourceFields, labels: Labels, field: number, increment: number): void {
    if (this.#group(source, labels).count(field, increment)) this.series++;
  }

  /** Puts a contribution back to the series that a checkpoint has of it. */
  rejoin(contribution: Contribution): void {
    const labels = contribution.place.labels?.labels;
    if (labels !== undefined) this.#group(contribution.source, joined(labels, contribution.own)).rejoin(contribution);
  }

  /** Ends the series of a source to which nothing adds. */
  endUnheld(source: SourceFields): void {
    for (const group of this.groups.values())
      if (group.source === source && !group.ended && group.live === 0) group.end(this.clockMs, this.lastTickMs, false);
  }

  /** Its own labels are better known now. */
  rename(contribution: Contribution, own: Labels): void {
    contribution.own = own;
    this.move(contribution);
  }

  /** Its labels are others now. */
  move(contribution: Contribution): void {
    const from = contribution.group;
    if (from === undefined) return;
    this.counters.moved++;
    if (contribution.live && from.lost(contribution)) from.end(this.clockMs, this.lastTickMs, true);
    from.detach(contribution);
    this.attach(contribution, true);
  }

  /**
   * It has ended, as far as anybody knows: its totals stay where they are, and it may come back.
   * @param endedReadNs boot time from which a reading shows that it is back
   */
  end(contribution: Contribution, endedReadNs: number): void {
    if (!contribution.live) return;
    contribution.live = false;
    contribution.endedMs = this.clockMs;
    contribution.endedReadNs = endedReadNs;
    if (contribution.group?.lost(contribution)) contribution.group.end(this.clockMs, this.lastTickMs, false);
  }

  revive(contribution: Contribution): void {
    if (contribution.live) return;
    contribution.live = true;
    contribution.group?.revived(contribution);
  }

  /** Read a last time: what it counted is folded into its series. */
  close(contribution: Contribution, readNs: number): void {
    this.end(contribution, readNs);
    contribution.endedReadNs = readNs;
    contribution.closed = true;
    if (contribution.group !== undefined) this.#fold(contribution.group, contribution);
  }

  /** Something else has the name of what was closed. */
  reopen(contribution: Contribution): void {
    contribution.reopen();
    contribution.live = true;
    this.attach(contribution, false);
  }

  /** Drops a contribution that ended; what it counted stays in its series. */
  forget(node: NodeSeries, contribution: Contribution): void {
    contribution.group?.detach(contribution);
    node.contributions.delete(contribution.key);
    contribution.place.contributions.delete(contribution);
    this.heldValues -= contribution.room;
  }

  /** Drops series that ended. */
  forgetGroup(group: SeriesGroup): void {
    this.groups.delete(group.key);
    this.series -= group.series;
  }

  /** What a closed contribution counted is its series' own from here on. */
  #fold(group: SeriesGroup, contribution: Contribution): void {
    group.detach(contribution);
    this.heldValues -= contribution.values.length;
    contribution.release();
  }

  #group(source: SourceFields, labels: Labels): SeriesGroup {
    const key = keyOf(source, labels);
    const known = this.groups.get(key);
    if (known !== undefined) return known;
    const wanted = source.fields.length;
    if (this.series + wanted > this.maxSeries) this.#makeRoom(wanted);
    if (this.series + wanted <= this.maxSeries) return this.#made(key, source, labels);
    this.counters.folded++;
    const other = otherLabels(labels);
    const otherKey = keyOf(source, other);
    return this.groups.get(otherKey) ?? this.#made(otherKey, source, other);
  }

  #made(key: string, source: SourceFields, labels: Labels): SeriesGroup {
    const created = new SeriesGroup(this.nextId++, key, source, labels);
    this.groups.set(key, created);
    return created;
  }

  /** The series that ended first go first; looked for once between two ticks. */
  #makeRoom(wanted: number): void {
    if (this.madeRoomMs === this.lastTickMs) return;
    this.madeRoomMs = this.lastTickMs;
    const ended = [...this.groups.values()].filter((group) => group.ended && !group.dirty && group.contributions.length === 0);
    ended.sort((a, b) => a.endedMs - b.endedMs || a.id - b.id);
    // More than is wanted now: this must not happen for each of them.
    const goal = this.maxSeries * 0.9 - wanted;
    for (const group of ended) {
      if (this.series <= goal) return;
      this.forgetGroup(group);
    }
  }
}

function keyOf({ source }: SourceFields, labels: Labels): string {
  return `${source}/${labelsKey(labels)}`;
}

/** Labels of what finds no room, by node. */
function otherLabels({ names, values }: Labels): Labels {
  return labelsFrom({ k8s_namespace: 'other', k8s_node: values[names.indexOf('k8s_node')] ?? '', k8s_pod: 'other' });
}
