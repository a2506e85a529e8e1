/** How many items of a node came and how many were lost, by second. */
export class LossWindow {
  readonly #lengthS: number;
  readonly #came: Float64Array;
  readonly #lost: Float64Array;
  /** The second that is counted, and what came and was lost in it. */
  second = 0;
  came = 0;
  lost = 0;

  /** @param lengthS the longest window */
  constructor(lengthS: number) {
    this.#lengthS = lengthS;
    this.#came = new Float64Array(lengthS);
    this.#lost = new Float64Array(lengthS);
  }

  /** Goes to a second; those between had nothing. */
  moveTo(second: number): void {
    if (second <= this.second) return;
    this.#came[this.second % this.#lengthS] = this.came;
    this.#lost[this.second % this.#lengthS] = this.lost;
    for (let next = Math.max(this.second + 1, second - this.#lengthS); next < second; next++) {
      this.#came[next % this.#lengthS] = 0;
      this.#lost[next % this.#lengthS] = 0;
    }
    this.second = second;
    this.came = 0;
    this.lost = 0;
  }

  /** The clock begins anew: nothing came and nothing was lost. */
  restart(): void {
    this.#came.fill(0);
    this.#lost.fill(0);
    this.second = 0;
    this.came = 0;
    this.lost = 0;
  }

  /** Share of what came, 0 to 1, in the newest seconds; 1 when nothing did. */
  heardShare(windowS: number): number {
    let { came, lost } = this;
    for (let back = 1; back < Math.min(windowS, this.#lengthS); back++) {
      const at = (this.second - back) % this.#lengthS;
      if (at < 0) break;
      came += this.#came[at];
      lost += this.#lost[at];
    }
    return lost === 0 ? 1 : came / (came + lost);
  }

  image(): LossImage {
    return { second: this.second, came: this.came, lost: this.lost, cameBy: this.#came, lostBy: this.#lost };
  }

  /** Takes back what a window of the same length was; of another length only the newest second. */
  restore({ second, came, lost, cameBy, lostBy }: LossImage): void {
    this.second = second;
    this.came = came;
    this.lost = lost;
    if (cameBy.length !== this.#lengthS) return;
    this.#came.set(cameBy);
    this.#lost.set(lostBy);
  }
}

/** The window in a checkpoint. */
export interface LossImage {
  readonly second: number;
  readonly came: number;
  readonly lost: number;
  readonly cameBy: Float64Array;
  readonly lostBy: Float64Array;
}
