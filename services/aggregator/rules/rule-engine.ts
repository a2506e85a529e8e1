import { deserialize, serialize } from 'node:v8';
import type { RecordReader } from '../../../schema/record.ts';
import type { Ends } from '../end-names.ts';
import type { Contribution } from '../series/contribution.ts';
import type { SampleWatcher } from '../series/sample-watcher.ts';
import type { SourceFields } from '../series/source-fields.ts';
import type { SessionState } from '../session.ts';
import { watchedFields } from './counter-targets.ts';
import { type DomainImage, imageOf, restoreDomain } from './domain-image.ts';
import { type EngineImage, type NodeImage, nodeImage, restoreNode, type Surroundings } from './engine-image.ts';
import { explain } from './explain.ts';
import type { Explanation } from './explanation.ts';
import type { FindingEntity, Transition } from './finding.ts';
import { FindingLimits } from './finding-book.ts';
import { NodeRules, type NodeSurroundings, type RulePlans } from './node-rules.ts';
import type { NodeSession } from './node-session.ts';
import type { EventPlace } from './record-intake.ts';
import type { CounterLabels, Rule, RuleSet, Severity } from './rule.ts';
import type { RuleCounters } from './rule-counters.ts';
import { RuleDomain } from './rule-domain.ts';
import { planRules } from './rule-plan.ts';
import { type SelfTargetImage, SelfTargets } from './self-targets.ts';

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
const silentMs = 15_000;
/** A tick moves the partition's time at most this far: an outage of the gateway is no silence of the nodes. */
const maxTickMs = 2_000;

/**
 * The rules of one raw partition: windows over its records and samples, conditions once for each second of event time,
 * and the findings' states. A pure function of the partition's messages, whatever the sizes of the batches.
 */
export class RuleEngine implements SampleWatcher {
  /** Called with each step of a finding's life, in an order that follows from the messages alone. */
  onTransition: (transition: Transition) => void = () => undefined;
  readonly counters: RuleCounters = { late: 0, unidentified: 0, invalidParams: 0, evictions: {} };
  readonly nodes = new Map<string, NodeRules>();
  /** Whether it was restored from a checkpoint of other rules. */
  isChanged = false;
  /** The partition itself. */
  pipeline: RuleDomain;
  readonly #options: RuleEngineOptions;
  #around: NodeSurroundings;
  #rules: RuleSet;
  #plans: RulePlans;
  #pipelineSelf: SelfTargets;
  /** The session of the last message, and its node. */
  #state: SessionState | undefined;
  #session: NodeSession | undefined;
  #node: NodeRules | undefined;
  /** Boot time at which that session's next second begins, ns. */
  #nextNs = Number.NEGATIVE_INFINITY;
  /** Fields that are looked at, by source; of sources nobody asks for undefined. */
  #watched = new Map<SourceFields, Uint8Array | undefined>();
  /** Time of the partition without outages, ms, and append time of the newest tick. */
  #clockMs = 0;
  #tickMs = 0;
  /** Events that were remembered as samples. */
  #samples = 0;
  readonly #event: EventPlace = { origin: 0, item: 0, order: 0 };

  constructor(rules: RuleSet, options: RuleEngineOptions) {
    this.#rules = rules;
    this.#options = options;
    this.#plans = plansOf(rules);
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
    this.#pipelineSelf = new SelfTargets(this.pipeline);
  }

  /** The rules that run. */
  get rules(): RuleSet {
    return this.#rules;
  }

  /**
   * A message of the session came, before anything of it is taken in: its node is not silent.
   * @param seq its number; 1 is the session's first
   */
  heard(state: SessionState, seq = 0): void {
    const { node, session } = this.#enter(state, seq === 1);
    node.heardMs = this.#clockMs;
    node.silent = false;
    const second = node.earlierSecond(session, silentMs);
    if (second === undefined) return;
    node.restart(second, session);
    this.#nextNs = session.startOf(second + 1);
  }

  /** `session.watermarkNs` may have risen: seconds that are due are evaluated. Before the record that moved it is told. */
  watermark(state: SessionState): void {
    if (state === this.#state && state.watermarkNs < this.#nextNs) return;
    const { node, session } = this.#enter(state);
    const second = session.secondOf(state.watermarkNs);
    if (second !== undefined) this.#moveTo(node, session, second);
  }

  /** Items of the session that were lost: gaps, skipped ranges, losses of the kernel. They lower the confidence of findings. */
  lost(state: SessionState, items: number): void {
    this.#enter(state).node.losses.lost += items;
  }

  /**
   * A record whose ends are found (`ends.find`, not necessarily `ends.name`).
   * @param item number of the record in its session
   * @param isEvent it became an event, and was not only counted
   */
  record(state: SessionState, record: RecordReader, ends: Ends, item: number, isEvent: boolean): void {
    if (state !== this.#state) this.#enter(state);
    const node = this.#node as NodeRules;
    const session = this.#session as NodeSession;
    node.losses.came++;
    if (this.#plans.node.windows.probes[record.probe] === undefined) return;
    const second = this.#secondOf(node, session, record.tsNs);
    if (second < 0) return;
    const entity = session.entityOf(ends.source);
    if (entity < 0) {
      this.counters.unidentified++;
      return;
    }
    if (isEvent) {
      this.#event.origin = node.originOf(state);
      this.#event.item = item;
      this.#event.order = ++this.#samples;
    }
    const event = isEvent ? this.#event : undefined;
    if (!node.own.windows.record(entity, second, record, ends, ends.destination, event, state.enumsTold)) this.counters.late++;
  }

  watched(source: SourceFields): Uint8Array | undefined {
    const known = this.#watched.get(source);
    if (known !== undefined ? known.length === source.fields.length : this.#watched.has(source)) return known;
    const plan = this.#plans.node.windows.sources.get(source.source);
    const fields = plan === undefined ? undefined : watchedFields(source, plan);
    this.#watched.set(source, fields);
    return fields;
  }

  reading(state: SessionState, contribution: Contribution, readNs: number): void {
    const { node, session } = this.#enter(state);
    const second = session.secondOf(readNs);
    if (second === undefined) return;
    this.#moveTo(node, session, second);
    node.counters.reading(session, contribution, readNs, second);
  }

  counted(contribution: Contribution, field: number, increment: number, isFirst: boolean): void {
    this.#node?.counters.counted(contribution, field, increment, isFirst);
  }

  gauged(contribution: Contribution, field: number, _value: number): void {
    this.#node?.counters.gauged(contribution, field);
  }

  cycle(state: SessionState, isFull: boolean): void {
    const { node, session } = this.#enter(state);
    if (isFull) session.cycled = true;
    node.counters.cycle(node.nowS);
  }

  keyframe(state: SessionState): void {
    const { node, session } = this.#enter(state);
    session.keyframed = true;
    node.current = session;
  }

  /**
   * What the aggregator knows of a node, or of the pipeline (node undefined), on the partition's clock: told with each
   * tick, before it. The first value of a counter is where it begins.
   * @param source node, pipeline
   * @param value of a counter the total, of a gauge what is now
   */
  self(node: string | undefined, source: string, field: string, labels: CounterLabels, value: number): void {
    if (node === undefined) {
      this.#pipelineSelf.told(source, field, labels, value);
      return;
    }
    const rules = this.#nodeOf(node);
    rules.observedSelf.told(source, field, labels, value);
    rules.ownSelf.told(source, field, labels, value);
  }

  /** A tick of the partition: rules on its clock are evaluated, nodes fall silent. */
  tick(appendedMs: number): void {
    if (this.#tickMs > 0) this.#clockMs += Math.min(maxTickMs, Math.max(0, appendedMs - this.#tickMs));
    this.#tickMs = Math.max(this.#tickMs, appendedMs);
    const second = Math.floor(this.#tickMs / 1000);
    for (const node of this.nodes.values()) {
      node.observed.advance(second);
      if (node.silent || this.#clockMs - node.heardMs < silentMs) continue;
      node.silent = true;
      node.own.silence(second);
    }
    this.#pipelineSelf.tick();
    this.pipeline.advance(second);
  }

  /** Other rules. What did not change keeps its windows and states; findings of rules that did are resolved. */
  replace(rules: RuleSet): void {
    const nodes = [...this.nodes.values()];
    const images = nodes.map((node) => nodeImage(node));
    const pipeline = imageOf(this.pipeline);
    const self = this.#pipelineSelf.image();
    const sessionOf = (name: string, session: string): SessionState | undefined => this.nodes.get(name)?.sessions.get(session)?.state;
    const sessions = new Map(
      nodes.flatMap(({ name, sessions }) => [...sessions.keys()].map((key) => [`${name} ${key}`, sessionOf(name, key)])),
    );
    this.#begin(rules);
    this.#restore(pipeline, self, images, (name, key) => sessions.get(`${name} ${key}`), false);
  }

  /** Findings that are open, in a fixed order. */
  *open(): Iterable<OpenFinding> {
    const domains = [...this.nodes.values()].flatMap(({ own, observed }) => [own, observed]);
    for (const domain of [...domains, this.pipeline]) {
      for (const { firing, rule, entity, severity, anomalyId, startS } of domain.book.sorted()) {
        const info = domain.entities.all[entity]?.info;
        if (firing && info !== undefined) yield { rule: rule.rule, entity: info, severity, anomalyId, startS };
      }
    }
  }

  /** A node is not kept any more: its findings are resolved. Before a message of another one is taken in. */
  forget(name: string): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    const second = Math.floor(this.#tickMs / 1000);
    for (const domain of [node.own, node.observed]) domain.silence(second > 0 ? second : domain.evaluatedS);
    this.nodes.delete(name);
    if (node === this.#node) this.#state = undefined;
  }

  /** Blocks that `snapshot` gives. */
  get blocks(): number {
    return 1 + this.nodes.size;
  }

  /** Blocks for a checkpoint, that of a node when it is asked for. Nothing may change until the last one is taken. */
  *snapshot(): Generator<Uint8Array, void, undefined> {
    const head: EngineImage = {
      version: 1,
      rules: this.#rules.version,
      counters: { ...this.counters },
      clockMs: this.#clockMs,
      tickMs: this.#tickMs,
      samples: this.#samples,
      pipeline: imageOf(this.pipeline),
      pipelineSelf: this.#pipelineSelf.image(),
    };
    yield serialize(head);
    for (const node of this.nodes.values()) yield serialize(nodeImage(node));
  }

  /** Fills an engine that has taken in nothing. Rules may have changed since: findings of those that did are resolved. */
  restore(blocks: readonly Uint8Array[], sessionOf: Surroundings['sessionOf']): void {
    if (blocks.length === 0) return;
    const head = deserialize(blocks[0]) as EngineImage;
    if (head.version !== 1) throw new Error(`its rules have version ${String(head.version)}, expected 1`);
    Object.assign(this.counters, head.counters, { evictions: Object.assign(this.counters.evictions, head.counters.evictions) });
    this.isChanged = head.rules !== this.#rules.version;
    this.#clockMs = head.clockMs;
    this.#tickMs = head.tickMs;
    this.#samples = head.samples;
    const images = blocks.slice(1).map((block) => deserialize(block) as NodeImage);
    this.#restore(head.pipeline, head.pipelineSelf, images, sessionOf, head.rules === this.#rules.version);
  }

  /** Why a rule fired or did not; undefined when there is no such rule or entity. @param entity shop/web-0, name or cookie of a namespace, a node, `partition 0` */
  explain(ruleId: string, entity: string): Explanation | undefined {
    const domains = [...this.nodes.values()].flatMap(({ own, observed }) => [own, observed]);
    for (const domain of [...domains, this.pipeline]) {
      const found = explain(domain, this.#rules, ruleId, entity);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #moveTo(node: NodeRules, session: NodeSession, second: number): void {
    node.moveTo(second, session);
    this.#nextNs = session.startOf(node.nowS + 1);
  }

  /** Second of a record; -1: nobody knows the session's clock. Most are in the newest second, or the one before. */
  #secondOf(node: NodeRules, session: NodeSession, bootNs: number): number {
    const behindNs = this.#nextNs - bootNs;
    if (behindNs > 0 && behindNs <= 2e9) return behindNs <= 1e9 ? node.nowS : node.nowS - 1;
    const second = session.secondOf(bootNs);
    if (second === undefined) return -1;
    this.#moveTo(node, session, second);
    return second;
  }

  #enter(state: SessionState, fromStart = false): { node: NodeRules; session: NodeSession } {
    if (state !== this.#state) {
      this.#state = state;
      this.#node = this.#nodeOf(state.node);
      this.#session = this.#node.session(state, fromStart);
      this.#nextNs = this.#session.startOf(this.#node.nowS + 1);
    }
    return { node: this.#node as NodeRules, session: this.#session as NodeSession };
  }

  #nodeOf(name: string): NodeRules {
    const known = this.nodes.get(name);
    if (known !== undefined) return known;
    const created = new NodeRules(name, this.#plans, this.#around);
    created.heardMs = this.#clockMs;
    this.nodes.set(name, created);
    return created;
  }

  #restore(
    pipeline: DomainImage,
    self: readonly SelfTargetImage[],
    nodes: readonly NodeImage[],
    sessionOf: Surroundings['sessionOf'],
    isSame: boolean,
  ): void {
    const around = { sessionOf, contributionsOf: this.#options.contributionsOf ?? (() => new Map<string, Contribution>()) };
    const ended = nodes.flatMap((image) => restoreNode(this.#nodeOf(image.name), image, around, isSame));
    ended.push(...restoreDomain(this.pipeline, pipeline));
    this.#pipelineSelf.restore(self, !isSame);
    for (const transition of ended) this.onTransition(transition);
  }

  /** Runs other rules, which know nothing yet. */
  #begin(rules: RuleSet): void {
    this.#rules = rules;
    this.#plans = plansOf(rules);
    this.#around = { ...this.#around, limits: new FindingLimits(this.counters.evictions) };
    this.nodes.clear();
    this.#state = undefined;
    this.#watched = new Map();
    this.pipeline = this.#newPipeline();
    this.#pipelineSelf = new SelfTargets(this.pipeline);
  }

  #newPipeline(): RuleDomain {
    const name = `partition ${this.#options.partition}`;
    const self: FindingEntity = { kind: 'pipeline', node: '', namespace: '', pod: '', uid: '', name, cookie: 0, inode: 0 };
    return new RuleDomain(this.#plans.pipeline, '', self, {
      cluster: this.#options.cluster,
      limits: this.#around.limits,
      heardShare: () => 1,
      isGone: () => false,
      isOpenElsewhere: () => false,
      farEnd: () => ({ label: '', address: '', namespace: '', pod: '', uid: '' }),
      idPrefix: () => '',
      emit: this.#around.emit,
      countInvalidParam: this.#around.countInvalidParam,
    });
  }
}

/** Which rules run where. */
function plansOf(rules: RuleSet): RulePlans {
  return {
    node: planRules(rules, ({ entity, clock }) => entity !== 'pipeline' && clock === 'node'),
    observed: planRules(rules, ({ entity, clock }) => entity !== 'pipeline' && clock === 'partition'),
    pipeline: planRules(rules, ({ entity }) => entity === 'pipeline'),
  };
}
