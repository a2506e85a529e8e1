import { AppError } from '../../core/app-error.ts';
import type { Fetch, Hole, Message } from '../../core/bus/bus.ts';
import type { EventBatchView } from '../../schema/batch.ts';
import { decodeEventBatch, joinEventBatches } from '../../schema/event-batch.ts';
import type { Dispositions, LossReason } from './metrics.ts';
import { isBehind, type Position } from './position.ts';
import type { Origin } from './sink.ts';

/** A fetch as a sink takes it in. */
export interface Intake {
  /** All events of the fetch that could be decoded, repeats included. */
  readonly view: EventBatchView;
  /** Rows that are new: rising. */
  readonly items: Uint32Array;
  /** Offset of the message that holds a row of the view. */
  messageOffset(row: number): number;
  readonly undecodable: readonly { readonly message: Message; readonly error: AppError }[];
  /** Position behind the fetch; its dispositions do not yet say what becomes of `items`. */
  readonly position: Position;
  /** Running numbers that went back although the origin went on: the aggregator lost its count. */
  readonly renumbered: number;
}

/**
 * Decodes a fetch and tells new events, repeats and gaps apart: repeats by their origin, gaps by running numbers. A pure
 * function of position and fetch, so a fetch read again after a crash, cut in any way, counts the same.
 */
export function takeIn(fetch: Fetch, before: Position): Intake {
  const tally = new Tally(before);
  const holes = [...fetch.holes].sort((a, b) => a.from - b.from);
  for (const message of fetch.messages) {
    tally.skip(holes, message.offset);
    tally.read(message);
  }
  tally.skip(holes, Number.POSITIVE_INFINITY);
  return tally.finish();
}

class Tally {
  readonly #views: EventBatchView[] = [];
  readonly #offsets: number[] = [];
  readonly #starts: number[] = [];
  readonly #items: number[] = [];
  readonly #undecodable: { message: Message; error: AppError }[] = [];
  readonly #dispositions: Dispositions;
  #rows = 0;
  #renumbered = 0;
  #origin: Origin | undefined;
  #nextEvent: number | undefined;
  #hole: LossReason | undefined;

  constructor({ origin, nextEvent, hole, dispositions }: Position) {
    this.#origin = origin;
    this.#nextEvent = nextEvent;
    this.#hole = hole;
    this.#dispositions = { ...dispositions, lost: { ...dispositions.lost } };
  }

  /** Passes the holes in front of an offset. */
  skip(holes: Hole[], offset: number): void {
    while (holes[0] !== undefined && holes[0].from < offset) this.#hole = holes.shift()?.reason;
  }

  read(message: Message): void {
    let view: EventBatchView;
    try {
      view = decodeEventBatch(message.value);
    } catch (thrown) {
      if (!(thrown instanceof AppError)) throw thrown;
      this.#undecodable.push({ message, error: thrown });
      this.#dispositions.undecodableMessages++;
      this.#hole = 'undecodable';
      return;
    }
    let repeated = 0;
    while (repeated < view.count && !isBehind(view.rawOffset(repeated), view.ordinal(repeated), this.#origin)) repeated++;
    for (let row = repeated; row < view.count; row++) this.#items.push(this.#rows + row);
    this.#dispositions.in += view.count;
    this.#dispositions.repeat += repeated;
    if (repeated < view.count) this.#advance(view, repeated);
    this.#views.push(view);
    this.#offsets.push(message.offset);
    this.#starts.push(this.#rows);
    this.#rows += view.count;
  }

  finish(): Intake {
    const { length } = this.#starts;
    return {
      view: joinEventBatches(this.#views),
      items: new Uint32Array(this.#items),
      messageOffset: (row) => {
        let index = length - 1;
        while (this.#starts[index] > row) index--;
        return this.#offsets[index];
      },
      undecodable: this.#undecodable,
      position: { origin: this.#origin, nextEvent: this.#nextEvent, hole: this.#hole, dispositions: this.#dispositions },
      renumbered: this.#renumbered,
    };
  }

  #advance(view: EventBatchView, firstNew: number): void {
    const gap = view.eventNumber(firstNew) - (this.#nextEvent ?? view.eventNumber(firstNew));
    if (gap > 0) this.#dispositions.lost[this.#hole ?? 'unexplained'] += gap;
    if (gap < 0) this.#renumbered++;
    const last = view.count - 1;
    this.#origin = { rawOffset: view.rawOffset(last), ordinal: view.ordinal(last) };
    this.#nextEvent = view.eventNumber(last) + 1;
    this.#hole = undefined;
  }
}
