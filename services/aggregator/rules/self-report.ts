import type { EventDescription } from '../../../bpf/event.ts';
import type { PipelineFiguresBody } from '../../../proto/bus.ts';
import { bounded } from '../bounded-name.ts';
import type { PartitionState } from '../partition-state.ts';

/** A node of which nothing came for so long is silent. */
const silentS = 15;
/** Of one tick: figures of one kind. */
const maxFigures = 64;
const maxNameLength = 64;

/** Tells the rules, before each tick, what the aggregator knows of its nodes and what the tick says of the pipeline (self-signals.ts). */
export class SelfReport {
  readonly #state: PartitionState;
  readonly #events: ReadonlyMap<number, EventDescription>;

  /** @param events by probe number: their types name the probes */
  constructor(state: PartitionState, events: ReadonlyMap<number, EventDescription>) {
    this.#state = state;
    this.#events = events;
  }

  /** @param pipeline undefined: the tick says nothing about it */
  tick(pipeline: PipelineFiguresBody | undefined): void {
    // Without outages: what was down itself has heard nobody.
    const { clockMs } = this.#state.series.store;
    for (const node of this.#state.nodes()) this.#node(node.name, (clockMs - node.heardMs) / 1000);
    if (pipeline !== undefined) this.#pipeline(pipeline);
  }

  #node(node: string, unheardS: number): void {
    const { rules } = this.#state;
    const losses = this.#state.losses(node);
    rules.self(node, 'node', 'silent_seconds', {}, unheardS < silentS ? 0 : unheardS);
    rules.self(node, 'node', 'gap_items', {}, losses.gapItems);
    for (const [reason, items] of Object.entries(losses.skippedItems)) rules.self(node, 'node', 'skipped_items', { reason }, items);
    for (const [probe, records] of Object.entries(losses.kernelLostRecords))
      rules.self(node, 'node', 'kernel_lost_records', { probe: this.#events.get(Number(probe))?.type ?? probe }, records);
  }

  #pipeline({ queues, deadLetters, lostEvents, stateLost }: PipelineFiguresBody): void {
    const { rules } = this.#state;
    for (const { queue, depthBytes, capacityBytes } of (queues ?? []).slice(0, maxFigures)) {
      const fill = (capacityBytes ?? 0) > 0 ? (depthBytes ?? 0) / (capacityBytes as number) : 0;
      rules.self(undefined, 'pipeline', 'queue_fill_ratio', { queue: bounded(queue ?? '', maxNameLength) }, fill);
    }
    for (const { name, total } of (deadLetters ?? []).slice(0, maxFigures))
      rules.self(undefined, 'pipeline', 'dead_letters', { stage: bounded(name ?? '', maxNameLength) }, total ?? 0);
    for (const { name, total } of (lostEvents ?? []).slice(0, maxFigures))
      rules.self(undefined, 'pipeline', 'lost_events', { sink: bounded(name ?? '', maxNameLength) }, total ?? 0);
    rules.self(undefined, 'pipeline', 'state_lost', {}, stateLost ? 1 : 0);
  }
}
