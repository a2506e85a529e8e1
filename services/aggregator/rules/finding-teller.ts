import { type EntityTable, nodeIndex, type RuleEntity } from './entity-table.ts';
import type { ResolvedReason, Transition } from './finding.ts';
import type { Finding, FindingBook } from './finding-book.ts';
import { isRenamed, noteNames } from './named-groups.ts';
import type { RuleInputs } from './rule-inputs.ts';
import { anomalyIdOf, namesLast, partsOf, transitionOf } from './transition-of.ts';

/** A finding that is open or was resolved, and what is to be told of it. */
export interface Judged {
  readonly finding: Finding;
  readonly action: Transition['action'] | undefined;
  readonly reason: ResolvedReason | undefined;
}

/** Where findings are told, and what is open besides those of the domain. */
export interface TellerContext {
  readonly cluster: string;
  /** Whether a rule that does not run here has a finding on the node. */
  isOpenElsewhere(ruleId: string): boolean;
  emit(transition: Transition): void;
}

/** Words what became of findings: also of those that stay open, where a cause was found or what they name has changed. */
export class FindingTeller {
  readonly #entities: EntityTable;
  readonly #inputs: RuleInputs;
  readonly #book: FindingBook;
  readonly #context: TellerContext;

  constructor(entities: EntityTable, inputs: RuleInputs, book: FindingBook, context: TellerContext) {
    this.#entities = entities;
    this.#inputs = inputs;
    this.#book = book;
    this.#context = context;
  }

  /** What a second made of a finding. */
  judged({ finding, action, reason }: Judged, second: number): void {
    const found = finding.firing && action !== 'resolved' && this.#findCauses(finding);
    if (action !== undefined) this.tell(finding, second, action, reason);
    else if (isRenamed(finding, finding.heldS === second ? this.#inputs.groupsOf(finding) : '', second) || found)
      this.tell(finding, second, 'updated', undefined);
  }

  tell(finding: Finding, atS: number, action: Transition['action'], reason: ResolvedReason | undefined): void {
    const entity = this.#entities.all[finding.entity] as RuleEntity;
    if (action === 'opened') finding.anomalyId = anomalyIdOf(this.#context.cluster, finding.rule.rule.id, entity, finding.startS);
    finding.number++;
    const input = this.#inputs.of(finding.rule, entity, atS);
    const transition = transitionOf(input, finding, action, reason);
    finding.message = transition.message;
    if (!namesLast(finding, action, atS)) noteNames(finding, transition, partsOf(input), this.#inputs.groupsOf(finding));
    this.#context.emit(transition);
  }

  /** Looks for causes that were not found before. */
  #findCauses(finding: Finding): boolean {
    let isFound = false;
    for (const { id, index } of finding.rule.causes) {
      if (finding.causedBy.includes(id)) continue;
      const isOpen =
        index < 0
          ? this.#context.isOpenElsewhere(id)
          : this.#book.get(finding.entity, index) !== undefined || this.#book.get(nodeIndex, index) !== undefined;
      if (!isOpen) continue;
      finding.causedBy.push(id);
      isFound = true;
    }
    return isFound;
  }
}
