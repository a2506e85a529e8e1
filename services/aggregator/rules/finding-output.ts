import { eventKinds } from '../../../schema/batch.ts';
import type { EventOutput } from '../event-output.ts';
import type { PartitionState } from '../partition-state.ts';
import type { Transition } from './finding.ts';
import { findingLine, namespaceOfEntity } from './finding-line.ts';

const kindAlert = eventKinds.indexOf('alert');

/**
 * Writes findings into a partition's output, between its events. What a restore finds, where rules have changed since the
 * checkpoint, waits for the next message: its origin is the first place in it.
 */
export class FindingOutput {
  readonly #state: PartitionState;
  readonly #output: EventOutput;
  readonly #cluster: string;
  #isOpen = false;
  #waiting: Transition[] = [];

  /** @param cluster orchestrator.cluster.name */
  constructor(state: PartitionState, output: EventOutput, cluster: string) {
    this.#state = state;
    this.#output = output;
    this.#cluster = cluster;
  }

  /** Whether something waits for a message: the state is not to be written down without it. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** A raw message begins. */
  begin(): void {
    this.#isOpen = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const transition of waiting) this.#write(transition);
  }

  /** Its output is complete. */
  end(): void {
    this.#isOpen = false;
  }

  write(transition: Transition): void {
    if (this.#isOpen) this.#write(transition);
    else this.#waiting.push(transition);
  }

  #write(transition: Transition): void {
    const { rule, entity, severity, anomalyId, number, atS } = transition;
    this.#state.dispositions.findings++;
    this.#state.findings.note(transition);
    if (!this.#output.nextFinding()) return;
    const isKubernetes = entity.kind === 'pod' || this.#state.isKubernetes(entity.node);
    const line = findingLine(transition, { cluster: this.#cluster, isKubernetes });
    const room = this.#output.reserve(Buffer.byteLength(line));
    const length = room.buffer.write(line, room.at);
    const namespace = namespaceOfEntity(entity);
    this.#output.add(length, atS, 0, anomalyId, number, kindAlert, rule.id, severity, namespace, entity.pod, entity.node);
  }
}
