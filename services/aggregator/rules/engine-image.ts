import type { Pieces } from '../../../core/pieces.ts';
import { slices } from '../../../core/slices.ts';
import type { Contribution } from '../series/contribution.ts';
import type { SessionState } from '../session.ts';
import type { TargetImage } from './counter-target.ts';
import { type DomainPart, DomainRestore, domainParts } from './domain-image.ts';
import type { Transition } from './finding.ts';
import type { LossImage } from './loss-window.ts';
import type { NodeRules } from './node-rules.ts';
import type { RuleCounters } from './rule-counters.ts';
import type { RuleDomain } from './rule-domain.ts';
import type { SelfTargetImage, SelfTargets } from './self-targets.ts';

/** What checkpoints refer to. */
export interface Surroundings {
  sessionOf(node: string, session: string): SessionState | undefined;
  /** What adds to the series of a node, by key. */
  contributionsOf(node: string): ReadonlyMap<string, Contribution>;
}

/** The first block of a checkpoint; the pipeline's parts and those of each node follow, a block each. */
export interface EngineHead {
  readonly version: 3;
  /** Of the rule set. */
  readonly rules: string;
  readonly counters: RuleCounters;
  readonly clockMs: number;
  readonly tickMs: number;
  readonly samples: number;
  readonly pipelineSelf: readonly SelfTargetImage[];
}

/** The first part of a node's rules in a checkpoint. */
interface NodeHead {
  readonly name: string;
  readonly nowS: number;
  readonly heardMs: number;
  readonly silent: boolean;
  readonly current: string | undefined;
  readonly leader: string | undefined;
  readonly origins: readonly string[];
  readonly sessions: readonly (readonly [session: string, fromStart: boolean, keyframed: boolean, cycled: boolean])[];
  readonly ownSelf: readonly SelfTargetImage[];
  readonly observedSelf: readonly SelfTargetImage[];
  readonly losses: LossImage;
}

/** A piece of what the engine knows, of a size that does not grow with it. A node's parts follow its head. */
export type EnginePart =
  | { readonly pipeline: DomainPart }
  | { readonly node: NodeHead }
  | { readonly own: DomainPart }
  | { readonly observed: DomainPart }
  | { readonly targets: readonly TargetImage[] };

const targetsPerPart = 200;

/** All that the rules know. Each part is made when it is asked for: nothing may change until the last one is taken. */
export function* engineParts(pipeline: RuleDomain, nodes: Iterable<NodeRules>): Generator<EnginePart, void, undefined> {
  for (const part of domainParts(pipeline)) yield { pipeline: part };
  for (const node of nodes) {
    yield { node: nodeHead(node) };
    for (const part of domainParts(node.own)) yield { own: part };
    for (const part of domainParts(node.observed)) yield { observed: part };
    for (const targets of slices(node.counters.images(), targetsPerPart)) yield { targets };
  }
}

function nodeHead(node: NodeRules): NodeHead {
  const { name, nowS, heardMs, silent, current, leader, sessions, ownSelf, observedSelf, losses, origins } = node;
  return {
    name,
    nowS,
    heardMs,
    silent,
    current: current?.state.session,
    leader: leader?.state.session,
    origins,
    sessions: [...sessions].map(([key, { fromStart, keyframed, cycled }]) => [key, fromStart, keyframed, cycled] as const),
    ownSelf: ownSelf.image(),
    observedSelf: observedSelf.image(),
    losses: losses.image(),
  };
}

/** What is filled. */
export interface RestoreTarget {
  readonly pipeline: RuleDomain;
  readonly pipelineSelf: SelfTargets;
  nodeOf(name: string): NodeRules;
}

/**
 * Fills an engine that has taken in nothing with the parts of one.
 * @param isSame the rules are those of the image: nothing has to be read anew
 * @returns transitions of findings whose rules are gone
 */
export function* restoreEngine(
  target: RestoreTarget,
  pipelineSelf: readonly SelfTargetImage[],
  parts: Iterable<EnginePart>,
  around: Surroundings,
  isSame: boolean,
): Pieces<Transition[]> {
  const ended: Transition[] = [];
  const pipeline = new DomainRestore(target.pipeline);
  let node: NodeRestore | undefined;
  for (const part of parts) {
    if ('pipeline' in part) pipeline.add(part.pipeline);
    else if ('node' in part) {
      ended.push(...(node?.finish(isSame) ?? []));
      node = new NodeRestore(target.nodeOf(part.node.name), part.node, around);
    } else node?.add(part);
    yield;
  }
  ended.push(...(node?.finish(isSame) ?? []), ...pipeline.ended);
  target.pipelineSelf.restore(pipelineSelf, !isSame);
  return ended;
}

/** Fills new rules of a node. */
class NodeRestore {
  readonly #node: NodeRules;
  readonly #head: NodeHead;
  readonly #own: DomainRestore;
  readonly #observed: DomainRestore;
  readonly #contributions: ReadonlyMap<string, Contribution>;

  constructor(node: NodeRules, head: NodeHead, around: Surroundings) {
    this.#node = node;
    this.#head = head;
    this.#own = new DomainRestore(node.own);
    this.#observed = new DomainRestore(node.observed);
    this.#contributions = around.contributionsOf(node.name);
    node.nowS = head.nowS;
    node.heardMs = head.heardMs;
    node.silent = head.silent;
    node.origins.push(...head.origins);
    node.losses.restore(head.losses);
    for (const [key, fromStart, keyframed, cycled] of head.sessions) {
      const state = around.sessionOf(node.name, key);
      if (state === undefined) continue;
      const session = node.session(state, fromStart);
      session.keyframed = keyframed;
      session.cycled = cycled;
    }
    node.current = head.current === undefined ? undefined : node.sessions.get(head.current);
    node.tellGaps();
    node.leader = head.leader === undefined ? undefined : node.sessions.get(head.leader);
  }

  add(part: EnginePart): void {
    if ('own' in part) this.#own.add(part.own);
    else if ('observed' in part) this.#observed.add(part.observed);
    else if ('targets' in part)
      this.#node.counters.restore(part.targets, this.#contributions, (session) => this.#node.sessions.get(session));
  }

  finish(isSame: boolean): Transition[] {
    const { current, counters, ownSelf, observedSelf } = this.#node;
    if (!isSame && current !== undefined) counters.adopt(current, this.#contributions.values());
    ownSelf.restore(this.#head.ownSelf, !isSame);
    observedSelf.restore(this.#head.observedSelf, !isSame);
    return [...this.#own.ended, ...this.#observed.ended];
  }
}
