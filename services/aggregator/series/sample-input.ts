import type { CounterSample, Keyframe, Samples, TargetSamples } from '../../../proto/collect.ts';
import { addTo } from '../dispositions.ts';
import { instantFrom, type SessionState } from '../session.ts';
import type { Contribution } from './contribution.ts';
import { labelsKey, ownLabels } from './labels.ts';
import { type NodeSeries, otherNetns, type SampleFields, type SampleSession } from './node-series.ts';
import { counterPlace, type ProbeSeries } from './probe-series.ts';
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
    node.learnBoot(told.bootId, instantFrom(keyframe.firstOffset).seconds);
    this.#counters(node, told.bootId, session, keyframe.counters ?? []);
  }

  samples(session: SessionState, samples: Samples): void {
    const { counters } = this.#store;
    const node = this.#store.node(session.node);
    const told = node.session(session.session);
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
      counters.targets++;
      const reason = this.#target(node, told, told.bootId, session, target);
      if (reason !== undefined) addTo(counters.dropped, reason, 1);
    }
    this.#counters(node, told.bootId, session, samples.counters ?? []);
    this.#cycle(node, told, told.bootId, samples);
  }

  #learn(told: SampleSession, { layouts }: Samples): void {
    for (const layout of layouts ?? []) {
      const source = (layout.source ?? '').slice(0, maxSourceLength);
      const id = layout.id ?? 0;
      // A source that is called as a probe would mix with its series.
      if (source === '' || this.#probeNames.has(source) || (told.layouts.size >= maxLayouts && !told.layouts.has(id))) continue;
      const fields = this.#store.sources.get(source, false);
      if (fields === undefined) continue;
      const names = (layout.fields ?? []).slice(0, maxFields);
      told.layouts.set(id, { source: fields, places: Int32Array.from(names, (name) => fields.placeOf(name.slice(0, maxFieldLength))) });
    }
  }

  /** Takes a target in; the reason when it cannot be used. */
  #target(
    node: NodeSeries,
    told: SampleSession,
    bootId: string,
    session: SessionState,
    target: TargetSamples,
  ): 'unknown_layout' | 'invalid_labels' | 'too_many_targets' | 'late' | undefined {
    const layout = told.layouts.get(target.layout ?? 0);
    if (layout === undefined) return 'unknown_layout';
    const own = ownLabels(target.labels);
    if (own === undefined) return 'invalid_labels';
    const readNs = target.bootNs ?? 0;
    const place = node.place(session, bootId, target.netns ?? 0, target.cgroup ?? 0, readNs, this.#store.clockMs);
    const contribution = this.#store.contribution(node, place, layout.source, own);
    if (contribution === undefined) return 'too_many_targets';
    // A session that was left behind is sent beside the current one: what it has read is older.
    if (readNs < contribution.readNs || (contribution.closed && readNs <= contribution.endedReadNs)) return 'late';
    if (contribution.closed) this.#store.reopen(contribution);
    contribution.readNs = readNs;
    if (readNs >= contribution.endedReadNs) this.#store.revive(contribution);
    this.#values(contribution, layout, target);
    if (target.last) this.#store.close(contribution, readNs);
    return undefined;
  }

  #values(contribution: Contribution, { places }: SampleFields, { indexes, values, all }: TargetSamples): void {
    const told = values ?? [];
    for (let at = 0; at < told.length; at++) {
      const index = all ? at : (indexes?.[at] ?? -1);
      const field = index >= 0 && index < places.length ? places[index] : -1;
      const value = told[at];
      if (field < 0 || !Number.isFinite(value)) addTo(this.#store.counters.dropped, 'invalid_value', 1);
      else if (contribution.set(field, value)) this.#store.mark(contribution, field);
    }
  }

  #counters(node: NodeSeries, bootId: string, session: SessionState, samples: readonly CounterSample[]): void {
    for (const sample of samples) {
      const series = this.#probes.get(sample.metric ?? 0);
      const value = sample.value ?? 0;
      // What probes count of themselves (emitted, suppressed) is the collector's to show.
      if (series === undefined || !Number.isSafeInteger(value)) continue;
      this.#store.counters.targets++;
      if (!this.#counter(node, bootId, session, sample, series, value)) addTo(this.#store.counters.dropped, 'too_many_targets', 1);
    }
  }

  #counter(node: NodeSeries, bootId: string, session: SessionState, sample: CounterSample, series: ProbeSeries, value: number): boolean {
    const source = this.#store.sources.get(series.probe, true);
    const { own, field, key, isNamed } = counterPlace(series, sample.bucket ?? 0, sample.label ?? 0, session);
    const at = source?.placeOf(field) ?? -1;
    if (source === undefined || at < 0) return false;
    const place = node.place(session, bootId, sample.net || otherNetns, 0, session.watermarkNs, this.#store.clockMs);
    const contribution = this.#store.contribution(node, place, source, own, key);
    if (contribution === undefined) return false;
    if (isNamed && labelsKey(contribution.own) !== labelsKey(own)) this.#store.rename(contribution, own);
    if (!contribution.setOfSession(session.session, at, value)) return true;
    if (contribution.endedReadNs !== Number.POSITIVE_INFINITY) this.#store.revive(contribution);
    this.#store.mark(contribution, at);
    return true;
  }

  /** What a whole full cycle did not tell of is gone, and so is all of the boots before. */
  #cycle(node: NodeSeries, told: SampleSession, bootId: string, { full, end, targets }: Samples): void {
    if (full) {
      for (const { bootNs } of targets ?? []) told.cycleStartNs = Math.min(told.cycleStartNs ?? Number.POSITIVE_INFINITY, bootNs ?? 0);
    }
    if (!end) return;
    const startNs = told.cycleStartNs;
    if (full && !told.broken && startNs !== undefined) {
      for (const contribution of node.contributions.values()) {
        const isThisBoot = contribution.place.bootId === bootId;
        if (isThisBoot && contribution.sessions === undefined && contribution.readNs < startNs) this.#store.end(contribution, startNs);
        else if (!isThisBoot && node.isOver(contribution.place.bootId)) this.#store.end(contribution, Number.POSITIVE_INFINITY);
      }
    }
    told.cycleStartNs = undefined;
    told.broken = false;
  }
}
