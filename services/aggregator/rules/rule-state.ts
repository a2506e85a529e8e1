import { deserialize, serialize } from 'node:v8';
import { atOnce, type Pieces } from '../../../core/pieces.ts';
import type { Contribution } from '../series/contribution.ts';
import type { SessionState } from '../session.ts';
import { type EngineHead, type EnginePart, engineParts, restoreEngine, type Surroundings } from './engine-image.ts';
import { explain } from './explain.ts';
import type { Explanation } from './explanation.ts';
import type { FindingEntity, Transition } from './finding.ts';
import { FindingLimits } from './finding-book.ts';
import { NodeRules, type NodeSurroundings, type RulePlans } from './node-rules.ts';
import type { Rule, RuleSet, Severity } from './rule.ts';
import type { RuleCounters } from './rule-counters.ts';
import { RuleDomain } from './rule-domain.ts';
import { planRules } from './rule-plan.ts';
import { SelfTargets } from './self-targets.ts';

export interface RuleEngineOptions {
  /** orchestrator.cluster.name: part of every finding's id. */
  readonly cluster: string;
  /** Number of the raw partition. */
  readonly partition: number;
  /** What adds to the series of a node, by key: rules that are new start with what lives. Left out: they wait for what is told. */
  readonly contributionsOf?: Surroundings['contributionsOf'];
}

/** A finding that is open now. */
export interface OpenFinding {
  readonly rule: Rule;
  readonly entity: FindingEntity;
  readonly severity: Severity;
  readonly anomalyId: string;
  readonly startS: number;
}

/** A node of which nothing came for so long, in the partition's time, is silent. */
export const silentMs = 15_000;
/** A tick moves the partition's time at most this far: an outage of the gateway is no silence of the nodes. */
const maxTickMs = 2_000;

/** What the rules of one raw partition know: its nodes, the partition itself, and the partition's clock. */
export class RuleState {
  /** Called with each step of a finding's life, in an order that follows from the messages alone. */
  onTransition: (transition: Transition) => void = () => undefined;
  readonly counters: RuleCounters = { late: 0, unidentified: 0, invalidParams: 0, evictions: {} };
  readonly nodes = new Map<string, NodeRules>();
  /** Whether it was restored from a checkpoint of other rules. */
  isChanged = false;
  /** The partition itself. */
  readonly pipeline: RuleDomain;
  readonly pipelineSelf: SelfTargets;
  /** The rules that run, and where. */
  readonly rules: RuleSet;
  readonly plans: RulePlans;
  /** Time of the partition without outages, ms. */
  clockMs = 0;
  /** Events that were remembered as samples. */
  samples = 0;
  readonly #options: RuleEngineOptions;
  readonly #around: NodeSurroundings;
  /** Append time of the newest tick, ms. */
  #tickMs = 0;

  constructor(rules: RuleSet, options: RuleEngineOptions) {
    this.rules = rules;
    this.#options = options;
    this.plans = plansOf(rules);
    this.#around = {
      cluster: options.cluster,
      limits: new FindingLimits(this.counters.evictions),
      emit: (transition) => {
        this.onTransition(transition);
      },
      countLate: () => {
        this.counters.late++;
      },
      countInvalidParam: () => {
        this.counters.invalidParams++;
      },
    };
    this.pipeline = this.#newPipeline();
    this.pipelineSelf = new SelfTargets(this.pipeline);
  }

  nodeOf(name: string): NodeRules {
    const known = this.nodes.get(name);
    if (known !== undefined) return known;
    const created = new NodeRules(name, this.plans, this.#around);
    created.heardMs = this.clockMs;
    this.nodes.set(name, created);
    return created;
  }

  /** A tick of the partition: rules on its clock are evaluated, nodes fall silent. */
  *tick(appendedMs: number): Pieces {
    if (this.#tickMs > 0) this.clockMs += Math.min(maxTickMs, Math.max(0, appendedMs - this.#tickMs));
    this.#tickMs = Math.max(this.#tickMs, appendedMs);
    const second = Math.floor(this.#tickMs / 1000);
    for (const node of this.nodes.values()) {
      yield* node.observed.advance(second);
      if (node.silent || this.clockMs - node.heardMs < silentMs) continue;
      node.silent = true;
      yield* node.own.silence(second);
    }
    this.pipelineSelf.tick();
    yield* this.pipeline.advance(second);
  }

  /** A node is not kept any more: its findings are resolved. */
  forget(name: string): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    const second = Math.floor(this.#tickMs / 1000);
    for (const domain of [node.own, node.observed]) atOnce(domain.silence(second > 0 ? second : domain.evaluatedS));
    this.nodes.delete(name);
  }

  /** Findings that are open, in a fixed order. */
  *open(): Iterable<OpenFinding> {
    for (const domain of this.#domains()) {
      for (const { firing, rule, entity, severity, anomalyId, startS } of domain.book.sorted()) {
        const info = domain.entities.all[entity]?.info;
        if (firing && info !== undefined) yield { rule: rule.rule, entity: info, severity, anomalyId, startS };
      }
    }
  }

  /** Why a rule fired or did not; undefined when there is no such rule or entity. */
  explain(ruleId: string, entity: string): Explanation | undefined {
    for (const domain of this.#domains()) {
      const found = explain(domain, this.rules, ruleId, entity);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The same under other rules. What did not change keeps its windows and states; findings of rules that did are resolved. */
  *under(rules: RuleSet): Pieces<RuleState> {
    const next = new RuleState(rules, this.#options);
    next.onTransition = this.onTransition;
    next.isChanged = this.isChanged;
    const sessionOf = (name: string, key: string): SessionState | undefined => this.nodes.get(name)?.sessions.get(key)?.state;
    yield* next.#take(this.#head(), engineParts(this.pipeline, this.nodes.values()), sessionOf, false);
    return next;
  }

  /** Blocks for a checkpoint, each made when it is asked for. Nothing may change until the last one is taken. */
  *snapshot(): Generator<Uint8Array, void, undefined> {
    yield serialize(this.#head());
    for (const part of engineParts(this.pipeline, this.nodes.values())) yield serialize(part);
  }

  /** Takes back what `snapshot` gave, before anything else is taken in. Rules may have changed since: findings of those that did are resolved. */
  restore(blocks: readonly Uint8Array[], sessionOf: Surroundings['sessionOf']): void {
    if (blocks.length === 0) return;
    const head = deserialize(blocks[0]) as EngineHead;
    if (head.version !== 3) throw new Error(`its rules have version ${String(head.version)}, expected 3`);
    this.isChanged = head.rules !== this.rules.version;
    atOnce(this.#take(head, partsOf(blocks), sessionOf, !this.isChanged));
  }

  #head(): EngineHead {
    const { rules, counters, clockMs, samples } = this;
    const pipelineSelf = this.pipelineSelf.image();
    return { version: 3, rules: rules.version, counters, clockMs, tickMs: this.#tickMs, samples, pipelineSelf };
  }

  /** Fills itself; transitions of findings whose rules are gone are told behind all of it. */
  *#take(head: EngineHead, parts: Iterable<EnginePart>, sessionOf: Surroundings['sessionOf'], isSame: boolean): Pieces {
    Object.assign(this.counters, head.counters, { evictions: Object.assign(this.counters.evictions, head.counters.evictions) });
    this.clockMs = head.clockMs;
    this.#tickMs = head.tickMs;
    this.samples = head.samples;
    const around = { sessionOf, contributionsOf: this.#options.contributionsOf ?? (() => new Map<string, Contribution>()) };
    const ended = yield* restoreEngine(this, head.pipelineSelf, parts, around, isSame);
    for (const transition of ended) this.onTransition(transition);
  }

  *#domains(): Iterable<RuleDomain> {
    for (const { own, observed } of this.nodes.values()) yield* [own, observed];
    yield this.pipeline;
  }

  #newPipeline(): RuleDomain {
    const name = `partition ${this.#options.partition}`;
    const self: FindingEntity = { kind: 'pipeline', node: '', namespace: '', pod: '', uid: '', name, cookie: 0, inode: 0 };
    return new RuleDomain(this.plans.pipeline, '', self, {
      cluster: this.#options.cluster,
      limits: this.#around.limits,
      heardShare: () => 1,
      isGone: () => false,
      givesUp: () => undefined,
      isOpenElsewhere: () => false,
      farEnd: () => ({ label: '', address: '', namespace: '', pod: '', uid: '' }),
      idPrefix: () => '',
      emit: this.#around.emit,
      countInvalidParam: this.#around.countInvalidParam,
    });
  }
}

function* partsOf(blocks: readonly Uint8Array[]): Iterable<EnginePart> {
  for (const block of blocks.slice(1)) yield deserialize(block) as EnginePart;
}

/** Which rules run where. */
function plansOf(rules: RuleSet): RulePlans {
  return {
    node: planRules(rules, ({ entity, clock }) => entity !== 'pipeline' && clock === 'node'),
    observed: planRules(rules, ({ entity, clock }) => entity !== 'pipeline' && clock === 'partition'),
    pipeline: planRules(rules, ({ entity }) => entity === 'pipeline'),
  };
}
