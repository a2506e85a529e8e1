import { AskPace } from './ask-pace.ts';

/** A namespace that nobody knows triggers a look at once, but not more than one in this time. */
const minLookMs = 100;

/** When the node is looked at besides the beats: at once, soon, or because a record is of somebody whom nobody knows. */
export class LookTimer {
  readonly #look: () => void;
  readonly #asking = new AskPace();
  #nextLookMs = 0;
  #isRunning = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(look: () => void) {
    this.#look = look;
  }

  /** From here on `soon` has an effect. */
  start(): void {
    this.#isRunning = true;
  }

  /** Looks, if that was not done just now. */
  now(): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + minLookMs;
    this.#look();
  }

  /** Looks in a while; what is told until then is told together. */
  soon(afterMs: number): void {
    if (!this.#isRunning) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, afterMs);
  }

  /**
   * Records of who nobody knows: whether to ask now. If that is too early, a look comes soon. Some never become known (late
   * timers of a namespace that is gone): they must not keep node and runtime busy; a beat is never far.
   */
  mayAsk(keys: readonly number[]): boolean {
    const inMs = this.#asking.due(keys, performance.now());
    if (inMs !== undefined && inMs > 0) this.soon(inMs);
    return inMs === 0;
  }

  stop(): void {
    this.#isRunning = false;
    clearTimeout(this.#timer);
  }
}
