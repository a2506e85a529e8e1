import type { Contribution } from '../series/contribution.ts';
import { addsOf, bitsOf, type CounterTarget, labelOf, type TargetImage } from './counter-target.ts';
import { nodeIndex } from './entity-table.ts';
import { groupKey } from './group-table.ts';
import type { NodeSession } from './node-session.ts';
import type { RuleDomain } from './rule-domain.ts';

/** What nobody can name after so many seconds is nobody's. */
const holdS = 3;
/**
 * An increment over more seconds than this did not happen in the second of its reading: as nobody knows when it did, it
 * is in no window. Cycles are at most 10 s apart, unless the configuration says otherwise; longer is an outage of the collector,
 * or samples that were lost.
 */
const maxIncrementS = 15;
/**
 * Where cycles are as far apart as they may be configured (60 s), twice that: by the last two gaps, as one may itself have been an
 * outage.
 */
const maxSlowIncrementS = 120;

/** Counters and gauges of one node as rules see them: what rises adds to the entity's windows, gauges of one entity are summed. */
export class CounterTargets {
  readonly #domain: RuleDomain;
  readonly #targets = new Map<Contribution, CounterTarget>();
  readonly #ofEntity = new Map<number, Set<CounterTarget>>();
  readonly #unknown = new Set<CounterTarget>();
  #current: CounterTarget | undefined;
  /** Called with each increment that came too late for its window. */
  readonly #late: () => void;

  constructor(domain: RuleDomain, late: () => void) {
    this.#domain = domain;
    this.#late = late;
  }

  /** A target of a watched source is read; its values follow. */
  reading(session: NodeSession, contribution: Contribution, readNs: number, second: number): void {
    let target = this.#targets.get(contribution);
    if (target === undefined) {
      const source = this.#domain.plan.windows.sources.get(contribution.source.source);
      if (source === undefined) return;
      target = {
        contribution,
        source,
        session,
        readNs,
        second,
        resumedS: this.#isOutage(this.#domain.values.sight.cycleS || second, second) ? second : 0,
        entity: -1,
        container: '',
        firstS: second,
        waiting: undefined,
        adds: [],
        own: contribution.own,
      };
      this.#targets.set(contribution, target);
      this.#unknown.add(target);
    }
    // What did not change is not told: what a cycle was silent about had not risen by then.
    if (this.#isOutage(Math.max(target.second, this.#domain.values.sight.cycleS), second)) target.resumedS = second;
    target.session = session;
    target.readNs = readNs;
    target.second = second;
    if (target.own !== contribution.own) {
      target.own = contribution.own;
      target.adds = [];
    }
    this.#place(target);
    this.#current = target;
  }

  /** A counter of the target that is being read rose. */
  counted(contribution: Contribution, field: number, increment: number, isFirst: boolean): void {
    const target = this.#current;
    if (target?.contribution !== contribution || increment <= 0) return;
    const { session } = target;
    const isBaseline = contribution.source.ofProbe ? !session.fromStart && !session.keyframed : !session.cycled;
    if ((isFirst && isBaseline) || target.resumedS === target.second) return;
    if (target.entity >= 0) this.#add(target, field, increment, target.second);
    else {
      target.waiting ??= new Map();
      target.waiting.set(field, (target.waiting.get(field) ?? 0) + increment);
    }
  }

  /** A gauge of the target that is being read has another value. */
  gauged(contribution: Contribution, field: number): void {
    const target = this.#current;
    if (target?.contribution === contribution && target.entity >= 0) this.#sum(target, field, target.second);
  }

  /** A cycle is complete: what has ended adds nothing more, and what nobody knows is looked up again. */
  cycle(second: number): void {
    this.#current = undefined;
    for (const target of this.#unknown) {
      this.#place(target);
      if (target.entity < 0 && second - target.firstS > holdS) target.waiting = undefined;
    }
    for (const target of this.#targets.values()) if (!target.contribution.live) this.#remove(target, second);
    this.#domain.values.sight.cycle(second);
  }

  /** An entity's place is given up: what still lives of it, as a namespace that outlives its Pod, is looked up again. */
  forget(entity: number): void {
    for (const target of this.#ofEntity.get(entity) ?? []) {
      target.entity = -1;
      target.container = '';
      target.adds = [];
      this.#unknown.add(target);
    }
    this.#ofEntity.delete(entity);
  }

  /** The node's clock begins anew: gauges are what they are, and what rises is counted from the next readings on. */
  restart(second: number): void {
    for (const target of this.#targets.values()) {
      target.second = 0;
      target.waiting = undefined;
      this.#allGauges(target.contribution, second);
    }
  }

  /** For a checkpoint: targets in the order in which they are added up. */
  *images(): Generator<TargetImage> {
    for (const targets of [...this.#ofEntity.values(), this.#unknown]) {
      for (const { contribution, session, readNs, second, resumedS, entity, container, firstS, waiting } of targets)
        yield { key: contribution.key, session: session.state.session, readNs, second, resumedS, entity, container, firstS, waiting };
    }
  }

  /** Takes targets back. Windows have what they told. */
  restore(images: readonly TargetImage[], contributions: ReadonlyMap<string, Contribution>, sessionOf: SessionOf): void {
    for (const { key, session: told, ...image } of images) {
      const contribution = contributions.get(key);
      const source = this.#domain.plan.windows.sources.get(contribution?.source.source ?? '');
      const session = sessionOf(told);
      if (contribution === undefined || source === undefined || session === undefined) continue;
      const target: CounterTarget = { ...image, contribution, source, session, adds: [], own: contribution.own };
      this.#targets.set(contribution, target);
      if (target.entity < 0) {
        this.#unknown.add(target);
        continue;
      }
      this.#ofEntity.set(target.entity, (this.#ofEntity.get(target.entity) ?? new Set()).add(target));
      this.#domain.values.setPresent(target.entity, source.index, true);
    }
  }

  /** Other rules ask for other things: what lives is looked at again, and gauges begin with what they are. */
  adopt(session: NodeSession, contributions: Iterable<Contribution>): void {
    for (const contribution of contributions) {
      if (!contribution.live || !this.#domain.plan.windows.sources.has(contribution.source.source)) continue;
      const known = this.#targets.get(contribution);
      const second = known?.second ?? session.secondOf(contribution.readNs) ?? 0;
      if (known === undefined) this.reading(session, contribution, contribution.readNs, second);
      this.#allGauges(contribution, second);
    }
    this.#current = undefined;
  }

  #isOutage(sinceS: number, second: number): boolean {
    const { intervalS, earlierIntervalS } = this.#domain.values.sight;
    return second - sinceS > Math.max(maxIncrementS, Math.min(maxSlowIncrementS, 2 * Math.min(intervalS, earlierIntervalS)));
  }

  /** Looks up whose the target is. */
  #place(target: CounterTarget): void {
    const { place } = target.contribution;
    const owner = place.netns < 0 ? undefined : target.session.state.identity.ownerOf(place.netns, place.cgroup, target.readNs);
    // Nobody takes a better name away.
    if (owner === undefined) return;
    const container = owner !== 'node' && 'container' in owner ? owner.container.name : '';
    const entity = target.session.ofOwner(owner !== 'node' && 'container' in owner ? owner.pod : owner);
    if (entity < 0 || (entity === target.entity && container === target.container)) return;
    if (target.container !== container) target.adds = [];
    target.container = container;
    this.#move(target, entity);
  }

  #move(target: CounterTarget, entity: number): void {
    const before = target.entity;
    if (before >= 0) this.#leave(target, target.second);
    target.entity = entity;
    this.#unknown.delete(target);
    const others = this.#ofEntity.get(entity) ?? new Set();
    this.#ofEntity.set(entity, others.add(target));
    this.#domain.values.setPresent(entity, target.source.index, true);
    for (const [field, increment] of target.waiting ?? []) this.#add(target, field, increment, target.second);
    target.waiting = undefined;
    this.#allGauges(target.contribution, target.second);
  }

  #remove(target: CounterTarget, second: number): void {
    this.#targets.delete(target.contribution);
    this.#unknown.delete(target);
    if (target.entity >= 0) this.#leave(target, second);
  }

  /** The target adds no more to its entity. */
  #leave(target: CounterTarget, second: number): void {
    const { entity, source, contribution } = target;
    const others = this.#ofEntity.get(entity);
    others?.delete(target);
    if (others?.size === 0) this.#ofEntity.delete(entity);
    const rest = [...(others ?? [])].filter((other) => other.source === source);
    if (rest.length === 0) this.#domain.values.setPresent(entity, source.index, false);
    for (let field = 0; field < contribution.source.fields.length; field++) {
      if (!contribution.source.counts[field] && addsOf(target, field).length > 0) this.#sum(target, field, second);
    }
  }

  #allGauges(contribution: Contribution, second: number): void {
    const target = this.#targets.get(contribution);
    if (target === undefined || target.entity < 0) return;
    for (let field = 0; field < contribution.known.length; field++) {
      if (contribution.known[field] === 1 && !contribution.source.counts[field]) this.#sum(target, field, second);
    }
  }

  #add(target: CounterTarget, field: number, increment: number, second: number): void {
    for (const add of addsOf(target, field)) {
      if (add.plan.nodeOnly && target.entity !== nodeIndex) continue;
      const group = groupKey(add.by, (name) => labelOf(target, name));
      const bits = add.plan.sketch === undefined && add.kind === 'counter' ? 0 : bitsOf(target.contribution.source, field);
      if (group === undefined || bits === undefined || add.kind === 'gauge') continue;
      if (!this.#domain.windows.counter(add, target.entity, group, second, increment, bits)) this.#late();
    }
  }

  /** Sets a gauge to what all living targets of the entity say together. */
  #sum(target: CounterTarget, field: number, second: number): void {
    for (const add of addsOf(target, field)) {
      if (add.kind !== 'gauge' || (add.plan.nodeOnly && target.entity !== nodeIndex)) continue;
      const group = groupKey(add.by, (name) => labelOf(target, name));
      if (group === undefined) continue;
      let total = 0;
      for (const other of this.#ofEntity.get(target.entity) ?? []) {
        const { live, known, values, source } = other.contribution;
        if (source !== target.contribution.source || !live || known[field] !== 1) continue;
        if (!addsOf(other, field).includes(add) || !(add.by ?? []).every((name) => labelOf(other, name) === labelOf(target, name)))
          continue;
        total += values[field];
      }
      this.#domain.windows.counter(add, target.entity, group, second, total, 0);
    }
  }
}

/** A session of the node by its key. */
export type SessionOf = (session: string) => NodeSession | undefined;
