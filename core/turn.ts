import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pieces } from './pieces.ts';

/** A stretch of work on the event loop: when it has taken its time, others get theirs. */
export class Turn {
  readonly #ms: number;
  #endsMs: number;

  /** @param ms what a stretch may take */
  constructor(ms: number) {
    this.#ms = ms;
    this.#endsMs = performance.now() + ms;
  }

  isOver(): boolean {
    return performance.now() >= this.#endsMs;
  }

  /** Lets everything run that waits. */
  async next(): Promise<void> {
    await nextTurn();
    this.#endsMs = performance.now() + this.#ms;
  }

  /** Does work in pieces, with breaks when the time is over. */
  async through<Result>(pieces: Pieces<Result>): Promise<Result> {
    for (;;) {
      const { done, value } = pieces.next();
      if (done === true) return value;
      if (this.isOver()) await this.next();
    }
  }
}
