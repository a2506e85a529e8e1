import { probes } from '../../../bpf/registry.ts';
import { atOnce, type Pieces } from '../../../core/pieces.ts';
import { maxUnixSeconds } from '../../../core/time.ts';
import type { Pod } from '../pod.ts';
import type { ProbeGap } from '../probe-gaps.ts';
import { EntityTable, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { FindingEntity } from './finding.ts';
import { FindingBook, type FindingLimits } from './finding-book.ts';
import { clearSight, type Sight } from './finding-state.ts';
import { FindingTeller, type Judged, type TellerContext } from './finding-teller.ts';
import { JudgeQueue } from './judge-queue.ts';
import { ParamSettings } from './param-settings.ts';
import type { Severity } from './rule.ts';
import { RuleInputs } from './rule-inputs.ts';
import type { PlannedRule, RulePlan } from './rule-plan.ts';
import { SignalSight } from './signal-sight.ts';
import { SignalValues } from './signal-values.ts';
import { SignalWindows } from './signal-windows.ts';
import type { OriginNames } from './transition-of.ts';

/** What a domain asks of its surroundings. */
export interface DomainContext extends OriginNames, TellerContext {
  readonly limits: FindingLimits;
  /** Share of the node's items that came in the last seconds: 0 to 1. */
  heardShare(windowS: number): number;
  /** Whether identity says that an entity has ended. */
  isGone(entity: RuleEntity): boolean;
  /** The place of an entity is about to be another's. */
  givesUp(entity: RuleEntity): void;
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
  /** What rules see of entities. */
  readonly inputs: RuleInputs;
  readonly #context: DomainContext;
  /** The second that was evaluated last; 0: none. */
  evaluatedS = 0;
  /** The node was silent and has not gone on yet. */
  isSilenced = false;
  readonly #queue: JudgeQueue;
  readonly #teller: FindingTeller;

  constructor(plan: RulePlan, node: string, self: FindingEntity, context: DomainContext) {
    this.plan = plan;
    this.#context = context;
    this.#queue = new JudgeQueue(plan);
    this.entities = new EntityTable(node, self);
    this.windows = new SignalWindows(plan.windows, (entity, signal) => {
      this.values.mark(entity, signal);
    });
    const signals = plan.windows.signals.map(({ signal }) => signal);
    const sight = new SignalSight(signals, probeNumbers, (entity) => this.entities.all[entity]?.info.cookie ?? 0);
    this.values = new SignalValues(this.windows, sight, (entity, signal) => {
      this.#queue.putReaders(entity, signal, this.entities.all.length);
    });
    this.book = new FindingBook(plan.rules, context.limits);
    this.params = new ParamSettings(plan.rules, () => {
      context.countInvalidParam();
    });
    const { entities, windows, values, params } = this;
    const heardShare = (windowS: number) => context.heardShare(windowS);
    this.inputs = new RuleInputs(plan, { entities, windows, values, params, names: context, heardShare });
    this.#teller = new FindingTeller(entities, this.inputs, this.book, context);
    this.entities.onMoved = ({ index }) => {
      this.values.markEntity(index);
    };
    this.added(this.entities.all[nodeIndex] as RuleEntity);
  }

  /** Prepares for an entity that is new. */
  added(entity: RuleEntity): void {
    this.values.add(entity.index);
    this.#queue.reach(entity.index);
    this.#queue.putEntity(entity.index);
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
    if (this.isSilenced) for (const entity of this.entities.all) if (entity !== undefined) this.#queue.putEntity(entity.index);
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
      this.#queue.putEntity(entity.index);
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
      if (finding.firing) this.#teller.tell(finding, atS, 'resolved', 'NO_DATA');
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

  /** Goes on at a second: windows must be empty, as before a checkpoint is taken back. */
  skipTo(second: number): void {
    this.windows.skipTo(second);
    this.evaluatedS = second;
  }

  *#evaluate(second: number): Pieces {
    this.windows.fold(second);
    yield;
    yield* this.values.refresh(second);
    for (const key of this.book.keys()) this.#queue.put(key);
    const hot = yield* this.#judgeAll(second);
    this.evaluatedS = second;
    for (const judged of hot) {
      this.#teller.judged(judged, second);
      yield;
    }
    if (second % sweepS === 0) this.#sweep(second);
  }

  /** Judges what is to be judged. Returns findings that are open or were resolved, in order. */
  *#judgeAll(second: number): Pieces<Judged[]> {
    const rules = this.plan.rules;
    const hot: Verdict[] = [];
    for (let place = 0; place < this.#queue.size; place++) {
      if (place % judgedPerPiece === judgedPerPiece - 1) yield;
      const key = this.#queue.release(place);
      const entity = this.entities.all[Math.floor(key / rules.length)];
      if (entity === undefined) continue;
      const rule = rules[key % rules.length];
      const slots = this.inputs.slots(rule, entity);
      const severity = severityOf(rule, slots);
      if (severity === 0 && !this.book.has(key)) continue;
      const sight = severity === 0 ? this.values.sight.ofRule(rule, entity.index) : clearSight;
      hot.push({ key, severity, resolves: rule.rule.resolve?.(slots) ?? severity === 0, sight });
    }
    this.#queue.clear();
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
}

/** The most severe condition that holds; 0: none. What fires while it is absent counts as the least severe. */
function severityOf({ rule, firing }: PlannedRule, slots: Float64Array): Severity | 0 {
  for (const { severity, condition } of rule.when) if (condition(slots)) return severity;
  if (firing.some((slot) => Number.isNaN(slots[slot]))) return rule.when.at(-1)?.severity ?? 0;
  return 0;
}
