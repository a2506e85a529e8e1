import { probes } from '../../../bpf/registry.ts';
import { atOnce, type Pieces } from '../../../core/pieces.ts';
import { maxUnixSeconds } from '../../../core/time.ts';
import type { Pod } from '../pod.ts';
import type { ProbeGap } from '../probe-gaps.ts';
import { EntityTable, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { FindingEntity, ResolvedReason, Transition } from './finding.ts';
import { type Finding, FindingBook, type FindingLimits } from './finding-book.ts';
import { clearSight, type Sight } from './finding-state.ts';
import { isRenamed, noteNames } from './named-groups.ts';
import { ParamSettings } from './param-settings.ts';
import type { Severity } from './rule.ts';
import type { PlannedRule, RulePlan } from './rule-plan.ts';
import { SignalSight } from './signal-sight.ts';
import { SignalValues } from './signal-values.ts';
import { SignalWindows } from './signal-windows.ts';
import { anomalyIdOf, namesLast, type OriginNames, partsOf, type TransitionInput, transitionOf } from './transition-of.ts';

/** What a domain asks of its surroundings. */
export interface DomainContext extends OriginNames {
  readonly cluster: string;
  readonly limits: FindingLimits;
  /** Share of the node's items that came in the last seconds: 0 to 1. */
  heardShare(windowS: number): number;
  /** Whether identity says that an entity has ended. */
  isGone(entity: RuleEntity): boolean;
  /** Whether a rule that does not run here has a finding on the node. */
  isOpenElsewhere(ruleId: string): boolean;
  /** The place of an entity is about to be another's. */
  givesUp(entity: RuleEntity): void;
  emit(transition: Transition): void;
  countInvalidParam(): void;
}

/** What the conditions of a rule say of an entity in a second. */
interface Verdict {
  /** entity * rules + rule */
  readonly key: number;
  /** 0: none holds. */
  readonly severity: Severity | 0;
  readonly resolves: boolean;
  readonly sight: Sight;
}

/** A finding that is open or was resolved, and what is to be told of it. */
interface Judged {
  readonly finding: Finding;
  readonly action: Transition['action'] | undefined;
  readonly reason: ResolvedReason | undefined;
}

const probeNumbers: ReadonlyMap<string, number> = new Map(probes.map(({ name, number }) => [name, number]));

/** How often entities that are gone are looked for. */
const sweepS = 60;
/** What an entity that is gone told last is evaluated as long behind its end: until then it may have new findings. */
const lastWordsS = 3;
/** Pairs of entity and rule that are judged in one piece. */
const judgedPerPiece = 2048;

/**
 * Entities and rules that follow one clock: those of a node, the node itself as the partition sees it, or the pipeline.
 * Seconds are evaluated one after the other: windows are folded, signals that changed are read, rules that read them
 * and findings that are open are judged, and what came of it is told in the order of entities and rules.
 */
export class RuleDomain {
  readonly plan: RulePlan;
  readonly entities: EntityTable;
  readonly windows: SignalWindows;
  readonly values: SignalValues;
  readonly book: FindingBook;
  readonly params: ParamSettings;
  readonly #context: DomainContext;
  /** The second that was evaluated last; 0: none. */
  evaluatedS = 0;
  /** The node was silent and has not gone on yet. */
  isSilenced = false;
  readonly #slots: Float64Array;
  /** Pairs of entity and rule that are to be judged, by entity * rules + rule. */
  #judge: number[] = [];
  #isToJudge = new Uint8Array(0);

  constructor(plan: RulePlan, node: string, self: FindingEntity, context: DomainContext) {
    this.plan = plan;
    this.#context = context;
    this.entities = new EntityTable(node, self);
    this.windows = new SignalWindows(plan.windows, (entity, signal) => {
      this.values.mark(entity, signal);
    });
    const signals = plan.windows.signals.map(({ signal }) => signal);
    const sight = new SignalSight(signals, probeNumbers, (entity) => this.entities.all[entity]?.info.cookie ?? 0);
    this.values = new SignalValues(this.windows, sight, (entity, signal) => {
      this.#readersChanged(entity, signal);
    });
    this.book = new FindingBook(plan.rules, context.limits);
    this.params = new ParamSettings(plan.rules, () => {
      context.countInvalidParam();
    });
    this.#slots = new Float64Array(plan.rules.reduce((most, { paramsAt, params }) => Math.max(most, paramsAt + params.length), 0));
    this.entities.onMoved = ({ index }) => {
      this.values.markEntity(index);
    };
    this.added(this.entities.all[nodeIndex] as RuleEntity);
  }

  /** Prepares for an entity that is new. */
  added(entity: RuleEntity): void {
    this.values.add(entity.index);
    this.#reach(entity.index);
    this.#judgeAllOf(entity);
  }

  /** Evaluates all seconds up to one. The first call only says where time begins. No clock goes beyond what stores keep. */
  *advance(until: number): Pieces {
    const second = Math.min(until, maxUnixSeconds);
    if (!(second > this.evaluatedS)) return;
    if (this.evaluatedS === 0) {
      this.skipTo(second - 1);
    } else if (second - this.evaluatedS > this.plan.memoryS) {
      const last = this.evaluatedS + this.plan.memoryS;
      while (this.evaluatedS < last) yield* this.#evaluate(this.evaluatedS + 1);
      this.skipTo(second - 1);
    }
    while (this.evaluatedS < second - 1) yield* this.#evaluate(this.evaluatedS + 1);
    if (this.isSilenced) for (const entity of this.entities.all) if (entity !== undefined) this.#judgeAllOf(entity);
    this.isSilenced = false;
    yield* this.#evaluate(second);
  }

  /** Pods were told: those that are others now have other params, perhaps. */
  podsTold(podOfSandbox: (sandboxId: string) => Pod | undefined): void {
    for (const entity of this.entities.all) {
      if (entity?.pod === undefined) continue;
      const told = podOfSandbox(entity.pod.sandboxId);
      if (told === undefined || told === entity.pod) continue;
      entity.pod = told;
      this.#judgeAllOf(entity);
    }
  }

  /** What probes do not look at, all of it. */
  tellGaps(gaps: readonly ProbeGap[]): void {
    if (this.values.sight.tellGaps(gaps)) this.values.markAll();
  }

  /** Whether a rule has a finding on the node (or pipeline) itself. */
  isOpenOnNode(ruleId: string): boolean {
    const rule = this.plan.rules.find(({ rule }) => rule.id === ruleId);
    return rule !== undefined && this.book.get(nodeIndex, rule.index) !== undefined;
  }

  /** The node is silent: what is open is resolved, what is pending goes. What still holds in the second at which it goes on is a finding again. */
  *silence(atS: number): Pieces {
    for (const finding of this.book.sorted()) {
      this.book.remove(finding);
      if (finding.firing) this.#tell(finding, atS, 'resolved', 'NO_DATA');
      yield;
    }
    this.isSilenced = true;
  }

  /** The clock begins anew: what is open is resolved, windows are emptied, and the next second is the first one. */
  restart(): void {
    atOnce(this.silence(this.evaluatedS));
    for (const entity of this.entities.all) {
      if (entity === undefined) continue;
      this.windows.clear(entity.index);
      // Times of the clock that was wrong say nothing.
      Object.assign(entity, { goneS: 0, resolvedGone: false, podFromS: Number.NEGATIVE_INFINITY });
    }
    this.values.sight.restart();
    this.values.markAll();
    this.evaluatedS = 0;
  }

  /** What a rule's conditions see of an entity now. The same array each time. */
  slots({ signals, ofNode, paramsAt, index }: PlannedRule, entity: RuleEntity): Float64Array {
    const { values, width } = this.values;
    const own = entity.index * width;
    for (let slot = 0; slot < signals.length; slot++) this.#slots[slot] = values[(ofNode[slot] === 1 ? 0 : own) + signals[slot]];
    const params = this.params.of(index, entity);
    for (let param = 0; param < params.length; param++) this.#slots[paramsAt + param] = params[param];
    return this.#slots;
  }

  /** What is told of an entity now. */
  inputOf(rule: PlannedRule, entity: RuleEntity, atS: number): TransitionInput {
    const { values, windows } = this;
    const heardShare = this.#context.heardShare(rule.longestS);
    return {
      rule,
      entity,
      node: this.entities.node,
      slots: this.slots(rule, entity),
      values,
      windows,
      atS,
      heardShare,
      names: this.#context,
    };
  }

  /** Goes on at a second: windows must be empty, as before a checkpoint is taken back. */
  skipTo(second: number): void {
    this.windows.skipTo(second);
    this.evaluatedS = second;
  }

  *#evaluate(second: number): Pieces {
    this.windows.fold(second);
    yield;
    yield* this.values.refresh(second);
    for (const key of this.book.keys()) this.#toJudgeKey(key);
    const hot = yield* this.#judgeAll(second);
    this.evaluatedS = second;
    for (const { finding, action, reason } of hot) {
      const found = finding.firing && action !== 'resolved' && this.#findCauses(finding);
      if (action !== undefined) this.#tell(finding, second, action, reason);
      else if (isRenamed(finding, finding.heldS === second ? this.#groupsOf(finding) : '', second) || found)
        this.#tell(finding, second, 'updated', undefined);
      yield;
    }
    if (second % sweepS === 0) this.#sweep(second);
  }

  /** Judges what is to be judged. Returns findings that are open or were resolved, in order. */
  *#judgeAll(second: number): Pieces<Judged[]> {
    const rules = this.plan.rules;
    const hot: Verdict[] = [];
    for (let index = 0; index < this.#judge.length; index++) {
      if (index % judgedPerPiece === judgedPerPiece - 1) yield;
      const key = this.#judge[index];
      this.#isToJudge[key] = 0;
      const entity = this.entities.all[Math.floor(key / rules.length)];
      if (entity === undefined) continue;
      const rule = rules[key % rules.length];
      const slots = this.slots(rule, entity);
      const severity = severityOf(rule, slots);
      if (severity === 0 && !this.book.has(key)) continue;
      const sight = severity === 0 ? this.values.sight.ofRule(rule, entity.index) : clearSight;
      hot.push({ key, severity, resolves: rule.rule.resolve?.(slots) ?? severity === 0, sight });
    }
    this.#judge = [];
    hot.sort((a, b) => a.key - b.key);
    const judged: Judged[] = [];
    for (const [index, verdict] of hot.entries()) {
      if (index % judgedPerPiece === judgedPerPiece - 1) yield;
      const step = this.#step(second, verdict);
      if (step !== undefined) judged.push(step);
    }
    return judged;
  }

  /** Takes a second into a finding; undefined: nothing is to be told of it. */
  #step(second: number, { key, severity, resolves, sight }: Verdict): Judged | undefined {
    const entity = this.entities.all[Math.floor(key / this.plan.rules.length)] as RuleEntity;
    const goneS = this.#goneS(entity, second);
    // What is left in windows of who is gone, or from before a silence, would open what was resolved once more.
    const mayBegin = !this.isSilenced && (goneS === 0 || (!entity.resolvedGone && second - goneS <= lastWordsS));
    const stepped = this.book.step(key, second, severity, resolves, goneS, mayBegin, sight);
    if (stepped === undefined || stepped.step === 'drop' || !stepped.finding.firing) return undefined;
    const { finding } = stepped;
    if (stepped.step === 'lose') return { finding, action: 'resolved', reason: 'NO_DATA' };
    if (stepped.step === 'resolve') {
      entity.resolvedGone = goneS > 0;
      return { finding, action: 'resolved', reason: goneS > 0 ? 'ENTITY_GONE' : 'CONDITION_ENDED' };
    }
    const action = stepped.step === 'open' ? 'opened' : stepped.step === 'update' ? 'updated' : undefined;
    return { finding, action, reason: undefined };
  }

  /** Looks for causes that were not found before. */
  #findCauses(finding: Finding): boolean {
    let isFound = false;
    for (const { id, index } of finding.rule.causes) {
      if (finding.causedBy.includes(id)) continue;
      const isOpen =
        index < 0
          ? this.#context.isOpenElsewhere(id)
          : this.book.get(finding.entity, index) !== undefined || this.book.get(nodeIndex, index) !== undefined;
      if (!isOpen) continue;
      finding.causedBy.push(id);
      isFound = true;
    }
    return isFound;
  }

  #tell(finding: Finding, atS: number, action: Transition['action'], reason: ResolvedReason | undefined): void {
    const entity = this.entities.all[finding.entity] as RuleEntity;
    if (action === 'opened') finding.anomalyId = anomalyIdOf(this.#context.cluster, finding.rule.rule.id, entity, finding.startS);
    finding.number++;
    const input = this.inputOf(finding.rule, entity, atS);
    const transition = transitionOf(input, finding, action, reason);
    finding.message = transition.message;
    if (!namesLast(finding, action, atS)) noteNames(finding, transition, partsOf(input), this.#groupsOf(finding));
    this.#context.emit(transition);
  }

  /** The groups that the sentence of a finding names; '' when one of them has no data. */
  #groupsOf({ entity, rule }: Finding): string {
    const groups = (rule.rule.named ?? []).map((slot) =>
      this.values.worstGroup(rule.ofNode[slot] === 1 ? nodeIndex : entity, rule.signals[slot], this.entities.node).join(' '),
    );
    return groups.includes('') ? '' : groups.join('\n');
  }

  #goneS(entity: RuleEntity, second: number): number {
    if (entity.index === nodeIndex) return 0;
    if (!this.#context.isGone(entity)) {
      entity.goneS = 0;
      entity.resolvedGone = false;
    } else if (entity.goneS === 0) entity.goneS = second;
    return entity.goneS;
  }

  /** Gives up the places of entities that are gone and of which nothing is left. */
  #sweep(second: number): void {
    const open = new Set(this.book.sorted().map(({ entity }) => entity));
    for (const entity of this.entities.all) {
      if (entity === undefined || entity.index === nodeIndex || open.has(entity.index)) continue;
      const goneS = this.#goneS(entity, second);
      if (goneS === 0 || second - goneS <= this.plan.memoryS) continue;
      this.#context.givesUp(entity);
      this.windows.clear(entity.index);
      this.params.forget(entity.index);
      this.book.forget(entity.index);
      this.entities.remove(entity);
    }
  }

  #readersChanged(entity: number, signal: number): void {
    for (const rule of this.plan.readers[signal]) {
      if (entity === nodeIndex || this.plan.rules[rule].ofEveryEntity) this.#toJudge(entity, rule);
    }
    if (entity !== nodeIndex) return;
    for (const rule of this.plan.nodeReaders[signal]) {
      this.#toJudge(nodeIndex, rule);
      if (!this.plan.rules[rule].ofEveryEntity) continue;
      for (let other = 1; other < this.entities.all.length; other++) this.#toJudge(other, rule);
    }
  }

  #judgeAllOf({ index: entity }: RuleEntity): void {
    for (const { index, ofEveryEntity } of this.plan.rules) if (ofEveryEntity || entity === nodeIndex) this.#toJudge(entity, index);
  }

  #toJudge(entity: number, rule: number): void {
    this.#toJudgeKey(entity * this.plan.rules.length + rule);
  }

  #toJudgeKey(key: number): void {
    if (this.#isToJudge[key] === 1) return;
    this.#isToJudge[key] = 1;
    this.#judge.push(key);
  }

  #reach(entity: number): void {
    const needed = (entity + 1) * this.plan.rules.length;
    if (needed <= this.#isToJudge.length) return;
    const longer = new Uint8Array(Math.ceil(needed * 1.5));
    longer.set(this.#isToJudge);
    this.#isToJudge = longer;
  }
}

/** The most severe condition that holds; 0: none. What fires while it is absent counts as the least severe. */
export function severityOf({ rule, firing }: PlannedRule, slots: Float64Array): Severity | 0 {
  for (const { severity, condition } of rule.when) if (condition(slots)) return severity;
  if (firing.some((slot) => Number.isNaN(slots[slot]))) return rule.when.at(-1)?.severity ?? 0;
  return 0;
}
