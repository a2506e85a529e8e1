import type { Contribution } from '../series/contribution.ts';
import type { SessionState } from '../session.ts';
import type { TargetImage } from './counter-targets.ts';
import { type DomainImage, imageOf, restoreDomain } from './domain-image.ts';
import type { Transition } from './finding.ts';
import type { LossImage } from './loss-window.ts';
import type { NodeRules } from './node-rules.ts';
import type { RuleCounters } from './rule-counters.ts';
import type { SelfTargetImage } from './self-targets.ts';

/** What checkpoints refer to. */
export interface Surroundings {
  sessionOf(node: string, session: string): SessionState | undefined;
  /** What adds to the series of a node, by key. */
  contributionsOf(node: string): ReadonlyMap<string, Contribution>;
}

/** The first block of a checkpoint; a block of each node follows. */
export interface EngineImage {
  readonly version: 1;
  /** Of the rule set. */
  readonly rules: string;
  readonly counters: RuleCounters;
  readonly clockMs: number;
  readonly tickMs: number;
  readonly samples: number;
  readonly pipeline: DomainImage;
  readonly pipelineSelf: readonly SelfTargetImage[];
}

/** The rules of a node in a checkpoint. */
export interface NodeImage {
  readonly name: string;
  readonly nowS: number;
  readonly heardMs: number;
  readonly silent: boolean;
  readonly current: string | undefined;
  /** Absent in checkpoints of versions without it. */
  readonly leader?: string | undefined;
  readonly origins: readonly string[];
  readonly sessions: readonly (readonly [session: string, fromStart: boolean, keyframed: boolean, cycled: boolean])[];
  readonly own: DomainImage;
  readonly observed: DomainImage;
  readonly targets: readonly TargetImage[];
  readonly ownSelf: readonly SelfTargetImage[];
  readonly observedSelf: readonly SelfTargetImage[];
  readonly losses: LossImage;
}

/** All that the rules know of a node. */
export function nodeImage(node: NodeRules): NodeImage {
  const { name, nowS, heardMs, silent, current, leader, sessions, own, observed, counters, ownSelf, observedSelf, losses, origins } = node;
  return {
    name,
    nowS,
    heardMs,
    silent,
    current: current?.state.session,
    leader: leader?.state.session,
    origins,
    sessions: [...sessions].map(([key, { fromStart, keyframed, cycled }]) => [key, fromStart, keyframed, cycled] as const),
    own: imageOf(own),
    observed: imageOf(observed),
    targets: counters.image(),
    ownSelf: ownSelf.image(),
    observedSelf: observedSelf.image(),
    losses: losses.image(),
  };
}

/**
 * Fills new rules of a node.
 * @param isSame the rules are those of the image: nothing has to be read anew
 * @returns transitions of findings whose rules are gone
 */
export function restoreNode(node: NodeRules, image: NodeImage, around: Surroundings, isSame: boolean): Transition[] {
  node.nowS = image.nowS;
  node.heardMs = image.heardMs;
  node.silent = image.silent;
  node.origins.push(...image.origins);
  node.losses.restore(image.losses);
  const ended = [...restoreDomain(node.own, image.own), ...restoreDomain(node.observed, image.observed)];
  for (const [key, fromStart, keyframed, cycled] of image.sessions) {
    const state = around.sessionOf(node.name, key);
    if (state === undefined) continue;
    const session = node.session(state, fromStart);
    session.keyframed = keyframed;
    session.cycled = cycled;
  }
  node.current = image.current === undefined ? undefined : node.sessions.get(image.current);
  const leader = image.leader ?? image.current;
  node.leader = leader === undefined ? undefined : node.sessions.get(leader);
  const contributions = around.contributionsOf(node.name);
  node.counters.restore(image.targets, contributions, (session) => node.sessions.get(session));
  if (!isSame && node.current !== undefined) node.counters.adopt(node.current, contributions.values());
  node.ownSelf.restore(image.ownSelf, !isSame);
  node.observedSelf.restore(image.observedSelf, !isSame);
  return ended;
}
