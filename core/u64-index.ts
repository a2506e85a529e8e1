/**
 * Open-addressing map from a 64-bit key, given as two unsigned 32-bit halves, to a small integer >= 0.
 * Load stays at or below one half; there is no delete: owners rebuild.
 */
export class U64Index {
  #mask = 63;
  #shift = 26;
  #size = 0;
  #lo = new Int32Array(64);
  #hi = new Int32Array(64);
  #value = new Int32Array(64).fill(-1);

  get size(): number {
    return this.#size;
  }

  /** The value, or -1. */
  get(lo: number, hi: number): number {
    let slot = this.#slotOf(lo, hi);
    for (;;) {
      const value = this.#value[slot];
      if (value < 0 || (this.#lo[slot] === (lo | 0) && this.#hi[slot] === (hi | 0))) return value;
      slot = (slot + 1) & this.#mask;
    }
  }

  set(lo: number, hi: number, value: number): void {
    if ((this.#size + 1) * 2 > this.#mask + 1) this.#grow();
    let slot = this.#slotOf(lo, hi);
    while (this.#value[slot] >= 0 && !(this.#lo[slot] === (lo | 0) && this.#hi[slot] === (hi | 0))) {
      slot = (slot + 1) & this.#mask;
    }
    if (this.#value[slot] < 0) this.#size++;
    this.#lo[slot] = lo;
    this.#hi[slot] = hi;
    this.#value[slot] = value;
  }

  // The high bits of the product spread keys whose entropy sits anywhere (Fibonacci hashing).
  #slotOf(lo: number, hi: number): number {
    return Math.imul(lo ^ Math.imul(hi, 0x85ebca6b), 0x9e3779b1) >>> this.#shift;
  }

  #grow(): void {
    const [lo, hi, value] = [this.#lo, this.#hi, this.#value];
    const capacity = (this.#mask + 1) * 2;
    this.#mask = capacity - 1;
    this.#shift--;
    this.#size = 0;
    this.#lo = new Int32Array(capacity);
    this.#hi = new Int32Array(capacity);
    this.#value = new Int32Array(capacity).fill(-1);
    for (let slot = 0; slot < value.length; slot++) {
      const v = value[slot];
      if (v >= 0) this.set(lo[slot], hi[slot], v);
    }
  }
}
