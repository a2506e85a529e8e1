import { Turn } from '../../../core/turn.ts';
import { MetricWriter } from './metric-writer.ts';
import type { SeriesStore } from './series-store.ts';

/** Origin of the last MetricBatch of the partition's output. */
export interface MetricEnd {
  readonly rawOffset: number;
  readonly ordinal: number;
}

/** All series are told this often. */
const keyframeMs = 60_000;
/** Between two publications; a partition may have ticks of several gateways. */
const publishMs = 900;
/** Series are gathered for so long before other work of the process gets its turn. */
const turnMs = 5;

/** Tells a partition's series on its ticks: what changed each second, all of it each minute. */
export class MetricPublisher {
  readonly #store: SeriesStore;
  #silentUntil: MetricEnd | undefined;

  /** @param silentUntil what the output holds already: it is made again, and not written */
  constructor(store: SeriesStore, silentUntil: MetricEnd | undefined) {
    this.#store = store;
    this.#silentUntil = silentUntil;
  }

  /**
   * The messages of one tick, in order, behind the store's own. The store must not change until the last one is taken;
   * other work gets its turn between them.
   */
  async *tick(rawOffset: number, appendedMs: number): AsyncGenerator<Uint8Array, void, undefined> {
    const store = this.#store;
    if (!isOver(appendedMs - store.publishedMs, publishMs)) return;
    store.publishedMs = appendedMs;
    const isKeyframe = isOver(appendedMs - store.keyframeMs, keyframeMs);
    if (isKeyframe) store.keyframeMs = appendedMs;
    const writer = new MetricWriter(isKeyframe, store.clockMs);
    // What the output holds is not made again, but for the one tick in which it was cut off.
    const isMade = this.#silentUntil === undefined || rawOffset >= this.#silentUntil.rawOffset;
    const turn = new Turn(turnMs);
    for (const group of store.groups.values()) {
      if (isMade && (isKeyframe || group.dirty)) writer.add(group);
      if (group.dirty) group.clean();
      if (turn.isOver()) await turn.next();
    }
    if (!isMade) return;
    for (let part = 0; part < writer.parts; part++) {
      await turn.next();
      if (!this.#isSilent(rawOffset, part)) yield writer.encode(part, rawOffset, appendedMs);
    }
  }

  #isSilent(rawOffset: number, ordinal: number): boolean {
    const until = this.#silentUntil;
    if (until === undefined || rawOffset < until.rawOffset) return false;
    if (rawOffset === until.rawOffset && ordinal <= until.ordinal) return true;
    this.#silentUntil = undefined;
    return false;
  }
}

/** A wall clock that was set back ends any wait. */
function isOver(passedMs: number, waitMs: number): boolean {
  return passedMs >= waitMs || passedMs < 0;
}
