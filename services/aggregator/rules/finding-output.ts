import { eventKinds } from '../../../schema/batch.ts';
import type { EventOutput } from '../event-output.ts';
import type { PartitionState } from '../partition-state.ts';
import type { Transition } from './finding.ts';
import { findingLine, namespaceOfEntity } from './finding-line.ts';

const kindAlert = eventKinds.indexOf('alert');

/**
 * Writes findings into a partition's output, between its events. What a restore finds, where rules have changed since the
 * checkpoint, waits for the next message: its origin is the first place in it. What a replay under other rules finds, and the
 * topic does not hold, waits for the first message behind the replay.
 */
export class FindingOutput {
  readonly #state: PartitionState;
  readonly #output: EventOutput;
  readonly #cluster: string;
  #isOpen = false;
  /** For the next message, for the end of this one, and for the end of the replay. */
  #waiting: Transition[] = [];
  #behind: Transition[] = [];
  #later: Transition[] = [];

  /** @param cluster orchestrator.cluster.name */
  constructor(state: PartitionState, output: EventOutput, cluster: string) {
    this.#state = state;
    this.#output = output;
    this.#cluster = cluster;
  }

  /** Whether something waits for a message: the state is not to be written down without it. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0 || this.#later.length > 0;
  }

  /** A raw message begins. */
  begin(): void {
    this.#isOpen = true;
    const [waiting, later] = [this.#waiting, this.#later];
    this.#waiting = [];
    this.#later = [];
    if (this.#output.isReplay) this.#later = later;
    else for (const transition of later) this.#place(transition);
    for (const transition of waiting) this.write(transition);
  }

  /** Its events are complete. */
  end(): void {
    this.#isOpen = false;
    const behind = this.#behind;
    this.#behind = [];
    for (const transition of behind) this.#place(transition);
  }

  write(transition: Transition): void {
    if (!this.#isOpen) {
      this.#waiting.push(transition);
      return;
    }
    this.#state.dispositions.findings++;
    this.#state.findings.note(transition);
    // Events keep their ordinals, however many findings there are.
    if (this.#behind.length > 0 || this.#output.isFull) this.#behind.push(transition);
    else this.#place(transition);
  }

  #place(transition: Transition): void {
    const { rule, entity, severity, anomalyId, number, atS } = transition;
    const place = this.#output.nextFinding(`${anomalyId}-${number}`, this.#later.length === 0);
    if (place === 'later') this.#later.push(transition);
    if (place !== 'new') return;
    const isKubernetes = entity.kind === 'pod' || this.#state.isKubernetes(entity.node);
    const line = findingLine(transition, { cluster: this.#cluster, isKubernetes });
    const room = this.#output.reserve(Buffer.byteLength(line));
    const length = room.buffer.write(line, room.at);
    const namespace = namespaceOfEntity(entity);
    this.#output.add(length, atS, 0, anomalyId, number, kindAlert, rule.id, severity, namespace, entity.pod, entity.node, entity.uid);
  }
}
