import { labelsKey } from './labels.ts';
import type { NodeSeries } from './node-series.ts';
import type { Place } from './place.ts';
import type { SeriesStore } from './series-store.ts';
import { isGone, labelsOf, labelsOfUnknown } from './target-labels.ts';

/** A target whose identity is not known, or might become better known, waits this long for it, as records do. */
const holdMs = 3_000;
/** What is left to be told of a namespace that is gone comes within this time. */
const leavingMs = 5_000;
/** A node that says nothing for so long has nothing that lives. */
const silentMs = 300_000;
/** What ended is remembered this long: late messages do not bring it back, and the same labels go on from its totals. */
const rememberMs = 900_000;
const sweepMs = 60_000;
/** A tick moves the clock at most this far: an outage of the gateway is no silence of the nodes. */
const maxTickMs = 2_000;

/** What happens to a partition's series as time goes on. */
export class SeriesClock {
  readonly #store: SeriesStore;

  constructor(store: SeriesStore) {
    this.#store = store;
  }

  /** One tick of the partition. */
  tick(appendedMs: number): void {
    const store = this.#store;
    const before = store.clockMs;
    if (store.lastTickMs > 0) store.clockMs += Math.min(maxTickMs, Math.max(0, appendedMs - store.lastTickMs));
    store.lastTickMs = appendedMs;
    for (const node of store.nodes.values()) {
      this.#lookAgain(node);
      for (const place of node.unplaced) this.#tryPlace(node, place);
      this.#leave(node);
      this.#fallSilent(node);
    }
    if (Math.floor(before / sweepMs) !== Math.floor(store.clockMs / sweepMs)) this.#sweep();
  }

  /** Asks identity again: who is known may have another name now, or be gone. */
  #lookAgain(node: NodeSeries): void {
    for (const place of node.places.values()) {
      const { session, labels: known } = place;
      if (session === undefined || known === undefined) continue;
      const isNowGone = place.netns !== 0 && isGone(session, place.netns);
      if (isNowGone && !place.gone) node.leaving.add(place);
      place.gone = isNowGone;
      const entity = session.identity.entityOf(place.netns, place.cgroup, place.readNs);
      if (entity === place.entity) continue;
      place.entity = entity;
      const found = labelsOf(session, place.netns, entity);
      // A session that knows less, as one whose container runtime does not answer, takes no name away.
      if (found === undefined || found.rank < known.rank || labelsKey(found.labels) === labelsKey(known.labels)) continue;
      place.labels = found;
      for (const contribution of place.contributions) this.#store.move(contribution);
    }
  }

  #tryPlace(node: NodeSeries, place: Place): void {
    const { session, netns, cgroup } = place;
    const found = session === undefined ? undefined : labelsOf(session, netns, session.identity.entityOf(netns, cgroup, place.readNs));
    if (found === undefined && this.#store.clockMs - place.firstMs < holdMs) return;
    place.labels = found ?? labelsOfUnknown(node.name, session, netns, cgroup);
    node.unplaced.delete(place);
    for (const contribution of place.contributions) this.#store.attach(contribution, false);
  }

  #leave(node: NodeSeries): void {
    for (const place of node.leaving) {
      if (this.#store.clockMs - place.toldMs < leavingMs) continue;
      for (const contribution of place.contributions) this.#store.end(contribution, 0);
      node.leaving.delete(place);
    }
  }

  #fallSilent(node: NodeSeries): void {
    if (node.silent || this.#store.clockMs - node.heardMs < silentMs) return;
    node.silent = true;
    for (const contribution of node.contributions.values()) this.#store.end(contribution, 0);
  }

  /** Forgets what ended long ago. */
  #sweep(): void {
    const store = this.#store;
    const before = store.clockMs - rememberMs;
    for (const node of store.nodes.values()) {
      for (const contribution of node.contributions.values()) {
        if (contribution.live || contribution.endedMs > before || contribution.place.labels === undefined) continue;
        store.forget(node, contribution);
      }
      for (const [key, place] of node.places) {
        if (place.contributions.size > 0 || place.toldMs > before) continue;
        node.places.delete(key);
        node.unplaced.delete(place);
        node.leaving.delete(place);
      }
      if (node.silent && node.contributions.size === 0 && node.sessions.size === 0) store.nodes.delete(node.name);
    }
    for (const group of store.groups.values()) {
      if (group.ended && group.endedMs <= before && group.contributions.length === 0) store.forgetGroup(group);
    }
  }
}
