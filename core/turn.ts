import { setImmediate as nextTurn } from 'node:timers/promises';

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
}
