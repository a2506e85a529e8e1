/** More values than this are told as this many. */
export const maxDistinct = 64;

/** How many different numbers fell into a window of whole seconds: exact up to 64. */
export class DistinctWindow {
  readonly #values = new Float64Array(maxDistinct);
  /** The newest second of each value, and the one before: the newest may still be open. */
  readonly #last = new Int32Array(maxDistinct);
  readonly #before = new Int32Array(maxDistinct);
  #count = 0;

  add(second: number, value: number): void {
    for (let at = 0; at < this.#count; at++) {
      if (this.#values[at] !== value) continue;
      if (second > this.#last[at]) {
        this.#before[at] = this.#last[at];
        this.#last[at] = second;
      } else if (second < this.#last[at] && second > this.#before[at]) this.#before[at] = second;
      return;
    }
    const at = this.#count < maxDistinct ? this.#count++ : this.#oldest();
    this.#values[at] = value;
    this.#last[at] = second;
    this.#before[at] = 0;
  }

  /** Different values in the seconds (from, to]. */
  read(from: number, to: number): number {
    let seen = 0;
    for (let at = 0; at < this.#count; at++) if ((this.#last[at] <= to ? this.#last[at] : this.#before[at]) > from) seen++;
    return seen;
  }

  /** Forgets what lies before a second or in it. Returns whether nothing is left. */
  expire(second: number): boolean {
    for (let at = this.#count - 1; at >= 0; at--) {
      if (this.#last[at] > second) continue;
      this.#count--;
      this.#values[at] = this.#values[this.#count];
      this.#last[at] = this.#last[this.#count];
      this.#before[at] = this.#before[this.#count];
    }
    return this.#count === 0;
  }

  image(): SketchImage {
    return [this.#values.slice(0, this.#count), this.#last.slice(0, this.#count), this.#before.slice(0, this.#count)];
  }

  restore([values, last, before]: SketchImage): void {
    this.#values.set(values);
    this.#last.set(last);
    this.#before.set(before);
    this.#count = values.length;
  }

  #oldest(): number {
    let oldest = 0;
    for (let at = 1; at < this.#count; at++) if (this.#last[at] < this.#last[oldest]) oldest = at;
    return oldest;
  }
}

/** A sketch in a checkpoint: its columns. */
export type SketchImage = readonly [ArrayLike<number>, ArrayLike<number>, ArrayLike<number>];
