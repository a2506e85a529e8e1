import type { Pieces } from '../../../core/pieces.ts';
import type { CounterSample, Keyframe, Samples, TargetSamples } from '../../../proto/collect.ts';
import { isOwnSource } from '../../../schema/metrics.ts';
import { addTo } from '../dispositions.ts';
import { instantFrom, type SessionState } from '../session.ts';
import type { Contribution } from './contribution.ts';
import { labelsKey, ownLabels } from './labels.ts';
import { type NodeSeries, otherNetns, type SampleFields, type SampleSession } from './node-series.ts';
import { counterPlace, type ProbeSeries } from './probe-series.ts';
import type { SampleWatcher } from './sample-watcher.ts';
import type { SeriesStore } from './series-store.ts';

const maxLayouts = 256;
const maxFields = 4096;
const maxSourceLength = 64;
const maxFieldLength = 128;
const maxBootIdLength = 64;

/** Takes samples and probes' counters into the series of a partition. Whatever they hold, it does not throw. */
export class SampleInput {
  readonly #store: SeriesStore;
  readonly #probes: ReadonlyMap<number, ProbeSeries>;
  readonly #probeNames: ReadonlySet<string>;
  /** The rules look at what is taken in. */
  watcher: SampleWatcher | undefined;

  /** @param probes by metric number */
  constructor(store: SeriesStore, probes: ReadonlyMap<number, ProbeSeries>) {
    this.#store = store;
    this.#probes = probes;
    this.#probeNames = new Set([...probes.values()].map(({ probe }) => probe));
  }

  /** The session's node said something. */
  heard({ node }: SessionState): void {
    const known = this.#store.nodes.get(node);
    if (known === undefined) return;
    known.heardMs = this.#store.clockMs;
    known.silent = false;
  }

  /** A message of the session is missing: a cycle that is under way cannot tell what is gone. */
  missed(session: SessionState): void {
    const told = this.#store.nodes.get(session.node)?.sessions.get(session.session);
    if (told !== undefined) told.broken = true;
  }

  keyframe(session: SessionState, keyframe: Keyframe): void {
    const node = this.#store.node(session.node);
    const told = node.session(session.session);
    told.bootId = (keyframe.bootId ?? '').slice(0, maxBootIdLength);
    node.learnBoot(told.bootId, instantFrom(keyframe.firstOffset).seconds, this.#store.clockMs);
    this.#counters(node, told.bootId, session, keyframe.counters ?? []);
    if ((keyframe.part ?? 0) + 1 >= (keyframe.parts ?? 1)) this.watcher?.keyframe(session);
  }

  *samples(session: SessionState, samples: Samples): Pieces {
    const { counters } = this.#store;
    const node = this.#store.node(session.node);
    const told = node.session(session.session);
    if (told.bootId !== undefined) node.hearBoot(told.bootId, this.#store.clockMs);
    counters.messages++;
    this.#learn(told, samples);
    const unseen = samples.unseenNetns ?? 0;
    counters.unseenNetns += Math.max(0, unseen - told.unseenNetns);
    told.unseenNetns = Math.max(told.unseenNetns, unseen);
    const targets = samples.targets ?? [];
    if (told.bootId === undefined) {
      // Reading began behind the keyframe that says it; the next one is followed by all samples.
      const lost = targets.length + (samples.counters ?? []).length;
      if (lost > 0) addTo(counters.dropped, 'before_keyframe', lost);
      return;
    }
    for (const target of targets) {
      yield;
      counters.targets++;
      const reason = yield* this.#target(node, told, told.bootId, session, target);
      if (reason !== undefined) addTo(counters.dropped, reason, 1);
    }
    this.#counters(node, told.bootId, session, samples.counters ?? []);
    this.#cycle(node, told, told.bootId, session, samples);
  }

  #learn(told: SampleSession, { layouts }: Samples): void {
    for (const layout of layouts ?? []) {
      const source = (layout.source ?? '').slice(0, maxSourceLength);
      const id = layout.id ?? 0;
      // A source that is called as a probe would mix with its series.
      if (
        source === '' ||
        this.#probeNames.has(source) ||
        isOwnSource(source) ||
        (told.layouts.size >= maxLayouts && !told.layouts.has(id))
      )
        continue;
      const fields = this.#store.sources.get(source, false);
      if (fields === undefined) continue;
      const names = (layout.fields ?? []).slice(0, maxFields);
      told.layouts.set(id, { source: fields, places: Int32Array.from(names, (name) => fields.placeOf(name.slice(0, maxFieldLength))) });
    }
  }

  /** Takes a target in; the reason when it cannot be used. */
  *#target(
    node: NodeSeries,
    told: SampleSession,
    bootId: string,
    session: SessionState,
    target: TargetSamples,
  ): Pieces<'unknown_layout' | 'invalid_labels' | 'too_many_targets' | 'late' | undefined> {
    const layout = told.layouts.get(target.layout ?? 0);
    if (layout === undefined) return 'unknown_layout';
    const own = ownLabels(target.labels);
    if (own === undefined) return 'invalid_labels';
    const readNs = target.bootNs ?? 0;
    const [netns, cgroup] = [target.netns ?? 0, target.cgroup ?? 0];
    if (!node.hasPlace(bootId, netns, cgroup) && !this.#store.hasRoom(layout.source)) return 'too_many_targets';
    const place = node.place(session, bootId, netns, cgroup, readNs, this.#store.clockMs);
    const contribution = this.#store.contribution(node, place, layout.source, own);
    if (contribution === undefined) return 'too_many_targets';
    // A session that was left behind is sent beside the current one: what it has read is older.
    if (readNs < contribution.readNs || (contribution.closed && readNs <= contribution.endedReadNs)) return 'late';
    if (contribution.closed) this.#store.reopen(contribution);
    contribution.readNs = readNs;
    if (readNs >= contribution.endedReadNs) this.#revive(node, contribution);
    const { watcher } = this;
    const watched = watcher?.watched(layout.source);
    if (watcher !== undefined && watched !== undefined) {
      if (watcher.isDue(session, readNs)) yield* watcher.advance(session, readNs);
      watcher.reading(session, contribution, readNs);
    }
    this.#values(contribution, layout, target, watched);
    if (target.last) this.#store.close(contribution, readNs);
    return undefined;
  }

  #values(
    contribution: Contribution,
    { places }: SampleFields,
    { indexes, values, all }: TargetSamples,
    watched: Uint8Array | undefined,
  ): void {
    const told = values ?? [];
    for (let at = 0; at < told.length; at++) {
      const index = all ? at : (indexes?.[at] ?? -1);
      const field = index >= 0 && index < places.length ? places[index] : -1;
      const value = told[at];
      const isNone = field < 0 || !Number.isFinite(value) || (value < 0 && contribution.source.counts[field]);
      if (isNone) addTo(this.#store.counters.dropped, 'invalid_value', 1);
      else if (!this.#store.reach(contribution, field)) addTo(this.#store.counters.dropped, 'too_many_targets', 1);
      else if (watched?.[field] === 1) this.#watch(contribution, field, value);
      else if (contribution.set(field, value)) this.#store.mark(contribution, field);
    }
  }

  #watch(contribution: Contribution, field: number, value: number): void {
    const isFirst = contribution.known[field] !== 1;
    const before = contribution.total(field);
    if (!contribution.set(field, value)) return;
    this.#store.mark(contribution, field);
    if (contribution.source.counts[field]) this.watcher?.counted(contribution, field, contribution.total(field) - before, isFirst);
    else this.watcher?.gauged(contribution, field, value);
  }

  #counters(node: NodeSeries, bootId: string, session: SessionState, samples: readonly CounterSample[]): void {
    for (const sample of samples) {
      const series = this.#probes.get(sample.metric ?? 0);
      const value = sample.value ?? 0;
      // What probes count of themselves (emitted, suppressed) is the collector's to show.
      if (series === undefined || !Number.isSafeInteger(value)) continue;
      this.#store.counters.targets++;
      const reason = this.#counter(node, bootId, session, sample, series, value);
      if (reason !== undefined) addTo(this.#store.counters.dropped, reason, 1);
    }
  }

  /** Takes a probe's counter in; the reason when it cannot be used. */
  #counter(
    node: NodeSeries,
    bootId: string,
    session: SessionState,
    sample: CounterSample,
    series: ProbeSeries,
    value: number,
  ): 'invalid_value' | 'too_many_targets' | undefined {
    const store = this.#store;
    const told = counterPlace(series, sample.bucket ?? 0, sample.label ?? 0, session);
    if (told === undefined) return 'invalid_value';
    const { own, field, key, isNamed } = told;
    const source = store.sources.get(series.probe, true);
    const at = source?.placeOf(field) ?? -1;
    if (source === undefined || at < 0) return 'too_many_targets';
    const netns = sample.net || otherNetns;
    if (!node.hasPlace(bootId, netns, 0) && !store.hasRoom(source)) return 'too_many_targets';
    const place = node.place(session, bootId, netns, 0, session.watermarkNs, store.clockMs);
    const contribution = store.contribution(node, place, source, own, key);
    if (contribution === undefined || !store.reach(contribution, at)) return 'too_many_targets';
    if (isNamed && labelsKey(contribution.own) !== labelsKey(own)) store.rename(contribution, own);
    const [isFirst, before] = [contribution.known[at] !== 1, contribution.total(at)];
    const isChanged = contribution.setOfSession(session.session, at, value);
    if (isChanged && this.watcher?.watched(source)?.[at] === 1) {
      this.watcher.reading(session, contribution, session.watermarkNs);
      this.watcher.counted(contribution, at, contribution.total(at) - before, isFirst);
    }
    // Told again unchanged, it lives; of a namespace that is gone that is only said late.
    if (isChanged || !place.gone) this.#revive(node, contribution);
    if (isChanged) store.mark(contribution, at);
    return undefined;
  }

  /** It is told again. Of a boot that is over that is only said late. */
  #revive(node: NodeSeries, contribution: Contribution): void {
    const { live, place } = contribution;
    if (live || node.isOver(place.bootId, this.#store.clockMs)) return;
    this.#store.revive(contribution);
    if (place.gone) node.leaving.add(place);
  }

  /** What a whole full cycle did not tell of is gone, and so is all of the boots before. */
  #cycle(node: NodeSeries, told: SampleSession, bootId: string, session: SessionState, { full, end, targets }: Samples): void {
    if (full) {
      for (const { bootNs } of targets ?? []) told.cycleStartNs = Math.min(told.cycleStartNs ?? Number.POSITIVE_INFINITY, bootNs ?? 0);
    }
    if (!end) return;
    const startNs = told.cycleStartNs;
    const isFull = (full ?? false) && !told.broken && startNs !== undefined;
    if (isFull) {
      for (const contribution of node.contributions.values()) {
        const { place, readNs, sessions } = contribution;
        if (place.bootId !== bootId) {
          if (node.isOver(place.bootId, this.#store.clockMs)) this.#store.end(contribution, 0);
        } else if (sessions === undefined) {
          if (readNs < startNs) this.#store.end(contribution, startNs);
        } else if (place.session !== session && place.readNs < startNs) {
          // A namespace that went between two sessions: neither says so.
          this.#store.end(contribution, 0);
        }
      }
    }
    told.cycleStartNs = undefined;
    told.broken = false;
    this.watcher?.cycle(session, isFull);
  }
}
