import { atOnce, type Pieces } from '../../../core/pieces.ts';
import type { RecordReader } from '../../../schema/record.ts';
import type { Ends } from '../end-names.ts';
import type { Contribution } from '../series/contribution.ts';
import type { SampleWatcher } from '../series/sample-watcher.ts';
import type { SourceFields } from '../series/source-fields.ts';
import type { SessionState } from '../session.ts';
import { watchedFields } from './counter-target.ts';
import type { Surroundings } from './engine-image.ts';
import type { Explanation } from './explanation.ts';
import type { Transition } from './finding.ts';
import type { NodeRules } from './node-rules.ts';
import type { NodeSession } from './node-session.ts';
import type { EventPlace } from './record-intake.ts';
import type { CounterLabels, RuleSet } from './rule.ts';
import type { RuleCounters } from './rule-counters.ts';
import { type OpenFinding, type RuleEngineOptions, RuleState, silentMs } from './rule-state.ts';

/**
 * The rules of one raw partition: windows over its records and samples, conditions once for each second of event time,
 * and the findings' states. A pure function of the partition's messages, whatever the sizes of the batches.
 */
export class RuleEngine implements SampleWatcher {
  #known: RuleState;
  /** The session of the last message, and its node. */
  #state: SessionState | undefined;
  #session: NodeSession | undefined;
  #node: NodeRules | undefined;
  /** Boot time at which that session's next second begins, ns. */
  #nextNs = Number.NEGATIVE_INFINITY;
  /** Fields that are looked at, by source; of sources nobody asks for undefined. */
  #watched = new Map<SourceFields, Uint8Array | undefined>();
  readonly #event: EventPlace = { origin: 0, item: 0, order: 0 };

  constructor(rules: RuleSet, options: RuleEngineOptions) {
    this.#known = new RuleState(rules, options);
  }

  /** Called with each step of a finding's life, in an order that follows from the messages alone. */
  get onTransition(): (transition: Transition) => void {
    return this.#known.onTransition;
  }

  set onTransition(listener: (transition: Transition) => void) {
    this.#known.onTransition = listener;
  }

  /** The rules that run. */
  get rules(): RuleSet {
    return this.#known.rules;
  }

  get nodes(): ReadonlyMap<string, NodeRules> {
    return this.#known.nodes;
  }

  get counters(): Readonly<RuleCounters> {
    return this.#known.counters;
  }

  /** Whether it was restored from a checkpoint of other rules. */
  get isChanged(): boolean {
    return this.#known.isChanged;
  }

  /**
   * A message of the session came, before anything of it is taken in: its node is not silent.
   * @param seq its number; 1 is the session's first
   */
  heard(state: SessionState, seq = 0): void {
    const { node, session } = this.#enter(state, seq === 1);
    node.heardMs = this.#known.clockMs;
    node.silent = false;
    const second = node.earlierSecond(session, silentMs);
    if (second === undefined) return;
    node.restart(second, session);
    this.#nextNs = session.startOf(second + 1);
  }

  /**
   * Whether a time of the session, such as its watermark, moves its node's clock: then `advance` is due, before what moved
   * it is told.
   * @param bootNs boot time
   */
  isDue(state: SessionState, bootNs: number): boolean {
    if (state === this.#state && bootNs < this.#nextNs) return false;
    const { node, session } = this.#enter(state);
    const second = session.secondOf(bootNs);
    if (second === undefined || second > node.nowS) return second !== undefined;
    this.#nextNs = session.startOf(node.nowS + 1);
    return false;
  }

  /** The node's clock reaches a time of the session: seconds that are due are evaluated. */
  *advance(state: SessionState, bootNs: number): Pieces {
    const { node, session } = this.#enter(state);
    const second = session.secondOf(bootNs);
    if (second !== undefined) yield* node.moveTo(second, session);
    this.#nextNs = session.startOf(node.nowS + 1);
  }

  /** Identity was told: annotations of Pods may be others. */
  podsTold(state: SessionState): void {
    const { node, session } = this.#enter(state);
    // A session that was left behind and is sent beside the one that lives knows nothing new.
    if (session.keyframed && session !== node.current) return;
    node.own.podsTold((sandboxId) => state.identity.podOfSandbox(sandboxId));
  }

  /** What probes do not see was told by a heartbeat: `state.probeGaps`. */
  gaps(state: SessionState): void {
    this.#enter(state).node.tellGaps();
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
    if (this.#known.plans.node.windows.probes[record.probe] === undefined) return;
    const second = this.#secondOf(node, session, record.tsNs);
    if (second < 0) return;
    const entity = session.entityOf(ends.source);
    if (entity < 0) {
      this.#known.counters.unidentified++;
      return;
    }
    if (isEvent) {
      this.#event.origin = node.originOf(state);
      this.#event.item = item;
      this.#event.order = ++this.#known.samples;
    }
    const event = isEvent ? this.#event : undefined;
    if (!node.own.windows.record(entity, second, record, ends, ends.destination, event, state.enumsTold)) this.#known.counters.late++;
  }

  watched(source: SourceFields): Uint8Array | undefined {
    const known = this.#watched.get(source);
    if (known !== undefined ? known.length === source.fields.length : this.#watched.has(source)) return known;
    const plan = this.#known.plans.node.windows.sources.get(source.source);
    const fields = plan === undefined ? undefined : watchedFields(source, plan);
    this.#watched.set(source, fields);
    return fields;
  }

  reading(state: SessionState, contribution: Contribution, readNs: number): void {
    if (this.isDue(state, readNs)) atOnce(this.advance(state, readNs));
    const { node, session } = this.#enter(state);
    const second = session.secondOf(readNs);
    if (second !== undefined) node.counters.reading(session, contribution, readNs, second);
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
    node.tellGaps();
  }

  /**
   * What the aggregator knows of a node, or of the pipeline (node undefined), on the partition's clock: told with each
   * tick, before it. The first value of a counter is where it begins.
   * @param source node, pipeline
   * @param value of a counter the total, of a gauge what is now
   */
  self(node: string | undefined, source: string, field: string, labels: CounterLabels, value: number): void {
    if (node === undefined) {
      this.#known.pipelineSelf.told(source, field, labels, value);
      return;
    }
    const rules = this.#known.nodeOf(node);
    rules.observedSelf.told(source, field, labels, value);
    rules.ownSelf.told(source, field, labels, value);
  }

  /** A tick of the partition: rules on its clock are evaluated, nodes fall silent. */
  tick(appendedMs: number): Pieces {
    return this.#known.tick(appendedMs);
  }

  /** Other rules. What did not change keeps its windows and states; findings of rules that did are resolved. */
  *replace(rules: RuleSet): Pieces {
    this.#known = yield* this.#known.under(rules);
    this.#state = undefined;
    this.#watched = new Map();
  }

  /** Findings that are open, in a fixed order. */
  open(): Iterable<OpenFinding> {
    return this.#known.open();
  }

  /** A node is not kept any more: its findings are resolved. Before a message of another one is taken in. */
  forget(name: string): void {
    if (name === this.#node?.name) this.#state = undefined;
    this.#known.forget(name);
  }

  /** Blocks for a checkpoint, each made when it is asked for. Nothing may change until the last one is taken. */
  snapshot(): Generator<Uint8Array, void, undefined> {
    return this.#known.snapshot();
  }

  /** Fills an engine that has taken in nothing. Rules may have changed since: findings of those that did are resolved. */
  restore(blocks: readonly Uint8Array[], sessionOf: Surroundings['sessionOf']): void {
    this.#known.restore(blocks, sessionOf);
  }

  /** Why a rule fired or did not; undefined when there is no such rule or entity. @param entity shop/web-0, name or cookie of a namespace, a node, `partition 0` */
  explain(ruleId: string, entity: string): Explanation | undefined {
    return this.#known.explain(ruleId, entity);
  }

  /** Second of a record; -1: nobody knows the session's clock. Most are in the newest second, or the one before. */
  #secondOf(node: NodeRules, session: NodeSession, bootNs: number): number {
    const behindNs = this.#nextNs - bootNs;
    if (behindNs > 0 && behindNs <= 2e9) return behindNs <= 1e9 ? node.nowS : node.nowS - 1;
    const second = session.secondOf(bootNs);
    if (second === undefined) return -1;
    atOnce(node.moveTo(second, session));
    this.#nextNs = session.startOf(node.nowS + 1);
    return second;
  }

  #enter(state: SessionState, fromStart = false): { node: NodeRules; session: NodeSession } {
    if (state !== this.#state) {
      this.#state = state;
      this.#node = this.#known.nodeOf(state.node);
      this.#session = this.#node.session(state, fromStart);
      this.#nextNs = this.#session.startOf(this.#node.nowS + 1);
    }
    return { node: this.#node as NodeRules, session: this.#session as NodeSession };
  }
}
