import { atOnce, type Pieces } from '../../../core/pieces.ts';
import { addressText } from '../address-text.ts';
import { labelOfNetns } from '../netns.ts';
import { labelOfPod } from '../pod.ts';
import type { SessionState } from '../session.ts';
import { CounterTargets } from './counter-targets.ts';
import { nodeEntity, type RuleEntity } from './entity-table.ts';
import type { FarEndName } from './far-ends.ts';
import type { Transition } from './finding.ts';
import type { FindingLimits } from './finding-book.ts';
import { LossWindow } from './loss-window.ts';
import { NodeSession } from './node-session.ts';
import { type DomainContext, RuleDomain } from './rule-domain.ts';
import type { RulePlan } from './rule-plan.ts';
import { SelfTargets } from './self-targets.ts';

/** Seconds behind the clock of a node that may still be told: CPUs and sources are not read in order. */
const latenessS = 2;
/** A clock that was wrong by less is waited for. */
const maxAheadS = 60;
/** Sessions that are remembered; as many as the partition keeps. */
const maxSessions = 16;
const two32 = 0x1_0000_0000;

/** The plans of one rule set. */
export interface RulePlans {
  /** Rules on the clock of each node. */
  readonly node: RulePlan;
  /** Rules of nodes on the partition's clock. */
  readonly observed: RulePlan;
  /** Rules of the partition itself. */
  readonly pipeline: RulePlan;
}

/** What nodes share. */
export interface NodeSurroundings {
  readonly cluster: string;
  readonly limits: FindingLimits;
  emit(transition: Transition): void;
  countLate(): void;
  countInvalidParam(): void;
}

/** The rules of one node: its clock, its entities, and what its sessions tell. */
export class NodeRules {
  readonly name: string;
  /** On the node's own clock. */
  readonly own: RuleDomain;
  /** The node as the partition sees it, on the partition's clock. */
  readonly observed: RuleDomain;
  readonly counters: CounterTargets;
  readonly ownSelf: SelfTargets;
  readonly observedSelf: SelfTargets;
  readonly losses: LossWindow;
  readonly sessions = new Map<string, NodeSession>();
  /** First halves of event ids, by number of the session; empty: a free number. */
  readonly origins: string[] = [];
  /** The newest second that was told, whole Unix seconds; 0: none yet. It goes back only with `restart`. */
  nowS = 0;
  /** The session that told it. */
  leader: NodeSession | undefined;
  /** When the node was heard last, ms of the partition's clock. */
  heardMs = 0;
  silent = false;
  /** The session whose keyframe was read last: it knows what lives. */
  current: NodeSession | undefined;

  constructor(name: string, plans: RulePlans, around: NodeSurroundings) {
    this.name = name;
    const context = (elsewhere: () => RuleDomain): DomainContext => ({
      cluster: around.cluster,
      limits: around.limits,
      heardShare: (windowS) => this.losses.heardShare(windowS),
      isGone: (entity) => this.#isGone(entity),
      givesUp: ({ index }) => this.counters.forget(index),
      isOpenElsewhere: (ruleId) => elsewhere().isOpenOnNode(ruleId),
      emit: around.emit,
      countInvalidParam: around.countInvalidParam,
      farEnd: (words, second) => this.#farEnd(words, second),
      idPrefix: (origin) => this.origins[origin],
    });
    this.losses = new LossWindow(Math.max(plans.node.windows.longestS, plans.observed.windows.longestS));
    this.own = new RuleDomain(
      plans.node,
      name,
      nodeEntity(name),
      context(() => this.observed),
    );
    this.observed = new RuleDomain(
      plans.observed,
      name,
      nodeEntity(name),
      context(() => this.own),
    );
    this.counters = new CounterTargets(this.own, around.countLate);
    this.ownSelf = new SelfTargets(this.own);
    this.observedSelf = new SelfTargets(this.observed);
  }

  /** The session, made on its first message. @param fromStart whether it is read from its first message on */
  session(state: SessionState, fromStart: boolean): NodeSession {
    const known = this.sessions.get(state.session);
    if (known?.state === state) return known;
    const created = new NodeSession(
      state,
      this.own.entities,
      (entity) => {
        this.own.added(entity);
      },
      fromStart,
    );
    this.sessions.delete(state.session);
    this.sessions.set(state.session, created);
    if (this.sessions.size > maxSessions) this.sessions.delete(this.sessions.keys().next().value as string);
    return created;
  }

  /** What probes do not see is what the session says that lives. */
  tellGaps(): void {
    if (this.current !== undefined) this.own.tellGaps(this.current.state.probeGaps);
  }

  /** The node's clock reaches a second: those that are over are evaluated. */
  *moveTo(second: number, session: NodeSession): Pieces {
    if (second <= this.nowS) return;
    this.nowS = second;
    this.leader = session;
    yield* this.own.advance(second - latenessS);
    this.losses.moveTo(second);
  }

  /**
   * Where a session is that lives while the node's clock stands far ahead of it, as the node's time was wrong when an earlier
   * session began; undefined: the clock is right. A session that was left behind and is sent beside the one that lives is
   * behind, too: the one that leads must not have been heard for a while.
   */
  earlierSecond(session: NodeSession, silentMs: number): number | undefined {
    const { watermarkNs, heardMs } = session.state;
    if (session !== this.current || session === this.leader || watermarkNs === 0) return undefined;
    const second = session.secondOf(watermarkNs);
    if (second === undefined || this.nowS - second <= maxAheadS) return undefined;
    return this.leader === undefined || heardMs - this.leader.state.heardMs >= silentMs ? second : undefined;
  }

  /** The clock begins anew at an earlier second: what is open is resolved, and windows are empty but for gauges. */
  restart(second: number, session: NodeSession): void {
    this.own.restart();
    this.losses.restart();
    this.nowS = 0;
    atOnce(this.moveTo(second, session));
    this.counters.restart(second);
  }

  /** Number of a session in `origins`. */
  originOf({ idPrefix }: SessionState): number {
    const known = this.origins.lastIndexOf(idPrefix);
    if (known >= 0) return known;
    if (this.origins.length >= maxSessions) this.#freeOrigins();
    const free = this.origins.indexOf('');
    if (free < 0) return this.origins.push(idPrefix) - 1;
    this.origins[free] = idPrefix;
    return free;
  }

  /** Places of sessions of which no event is kept. */
  #freeOrigins(): void {
    const used = new Set<number>();
    for (const intake of this.own.windows.intakes) intake?.recent.addOrigins(used);
    for (let origin = 0; origin < this.origins.length; origin++) if (!used.has(origin)) this.origins[origin] = '';
  }

  #farEnd(words: Int32Array, second: number): FarEndName {
    const address = addressText(new Uint8Array(words.buffer, words.byteOffset, 16), 0);
    const unnamed = { label: address, address, namespace: '', pod: '', uid: '' };
    const state = this.current?.state;
    if (state?.firstOffset === undefined) return unnamed;
    const bootNs = (second - state.firstOffset.seconds + 1) * 1e9;
    const holder = state.identity.holder(words[0], words[1], words[2], words[3], bootNs);
    const pod = holder.pod ?? (holder.netnsId < 0 ? undefined : state.identity.podOf(holder.netnsId, bootNs));
    if (pod !== undefined) return { label: labelOfPod(pod), address, namespace: pod.namespace, pod: pod.name, uid: pod.uid };
    const netns = holder.netnsId < 0 ? undefined : state.identity.get(holder.netnsId);
    return netns === undefined ? unnamed : { ...unnamed, label: labelOfNetns(netns, this.name) };
  }

  /** What identity said last: a Pod or namespace has ended, or is no longer known. */
  #isGone({ pod, netns }: RuleEntity): boolean {
    if (this.current?.keyframed !== true) return false;
    const { identity, watermarkNs } = this.current.state;
    if (pod !== undefined) {
      const known = identity.podOfSandbox(pod.sandboxId);
      return known === undefined || known.toBootNs <= watermarkNs;
    }
    if (netns === undefined) return false;
    const known = identity.get(identity.local(netns.cookie >>> 0, Math.floor(netns.cookie / two32), watermarkNs, false));
    return known === undefined || known.toBootNs <= watermarkNs;
  }
}
