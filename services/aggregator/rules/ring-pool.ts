/** Rings of one length, in one array: a window of whole seconds takes a block only while there is something in it. */
export class RingPool {
  readonly length: number;
  /** Block b lies from b * length on; the bucket of second s is b * length + s % length. */
  data = new Float64Array(0);
  readonly #empty: number;
  readonly #free: number[] = [];
  #used = 0;

  /** @param length seconds @param empty what a bucket without data holds */
  constructor(length: number, empty: number) {
    this.length = length;
    this.#empty = empty;
  }

  /** A block of empty buckets. */
  take(): number {
    const block = this.#free.pop() ?? this.#used++;
    if ((block + 1) * this.length > this.data.length) this.#grow();
    return block;
  }

  /** Gives a block back. */
  give(block: number): void {
    this.data.fill(this.#empty, block * this.length, (block + 1) * this.length);
    this.#free.push(block);
  }

  #grow(): void {
    const blocks = Math.max(this.#used, Math.ceil((this.data.length / this.length) * 1.5), 4);
    const longer = new Float64Array(blocks * this.length).fill(this.#empty, this.data.length);
    longer.set(this.data);
    this.data = longer;
  }
}

/** The pools of one set of windows, made on first use. */
export class RingPools {
  readonly #pools = new Map<string, RingPool>();

  /** The pool for windows of a length whose empty buckets hold `empty`. */
  of(lengthS: number, empty: number): RingPool {
    const key = `${lengthS}/${empty}`;
    const known = this.#pools.get(key) ?? new RingPool(lengthS, empty);
    this.#pools.set(key, known);
    return known;
  }
}
