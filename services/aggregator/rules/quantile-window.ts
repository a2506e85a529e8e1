import type { SketchImage } from './distinct-window.ts';

/** Four buckets for each power of two: the middle of one is at most 12.5 % off. */
const perOctave = 4;
/** Exponents of doubles that have buckets of their own: 2^-20 to 2^43. */
const lowestExponent = -20;
const bucketCount = 64 * perOctave;
/** Of a double's high word: its exponent, and the first two bits behind the point. */
const bucketShift = 18;
const lowestBucket = (1023 + lowestExponent) * perOctave;
/** Pairs of second and bucket; a window that has more forgets its oldest. */
const maxEntries = 65_536;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);

/** Bucket of a value; what is not positive, or too small, is in bucket 0. */
export function bucketOf(value: number): number {
  double[0] = value;
  const bucket = value > 0 ? (words[1] >>> bucketShift) - lowestBucket : 0;
  return bucket < 0 ? 0 : bucket >= bucketCount ? bucketCount - 1 : bucket;
}

/** Middle of a bucket; of bucket 0, where whatever is not positive falls, 0. */
export function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const octave = 2 ** (lowestExponent + Math.floor(bucket / perOctave));
  return octave * (1 + ((bucket % perOctave) + 0.5) / perOctave);
}

const counts = new Float64Array(bucketCount);

/** How the values of a window of whole seconds are spread: counts by second and bucket. */
export class QuantileWindow {
  #seconds = new Int32Array(16);
  #buckets = new Uint16Array(16);
  #counts = new Float64Array(16);
  #size = 0;

  add(second: number, value: number): void {
    this.#count(second, bucketOf(value), 1);
  }

  /** Adds what a log2 histogram counted of integers with so many bits: spread evenly over the buckets between. */
  addBits(second: number, bits: number, count: number): void {
    if (bits === 0) this.#count(second, 0, count);
    else for (let part = 0; part < perOctave; part++) this.#count(second, bucketOf(2 ** (bits - 1)) + part, count / perOctave);
  }

  #count(second: number, bucket: number, count: number): void {
    // What is open is at the end.
    for (let at = this.#size - 1; at >= 0 && this.#seconds[at] >= second - 1; at--) {
      if (this.#seconds[at] !== second || this.#buckets[at] !== bucket) continue;
      this.#counts[at] += count;
      return;
    }
    if (this.#size === this.#seconds.length) this.#grow();
    this.#seconds[this.#size] = second;
    this.#buckets[this.#size] = bucket;
    this.#counts[this.#size++] = count;
  }

  /** A quantile (0 to 1) of the seconds (from, to]; NaN without values. */
  read(from: number, to: number, quantile: number): number {
    counts.fill(0);
    let total = 0;
    for (let at = 0; at < this.#size; at++) {
      if (this.#seconds[at] <= from || this.#seconds[at] > to) continue;
      counts[this.#buckets[at]] += this.#counts[at];
      total += this.#counts[at];
    }
    return quantileOf(counts, total, quantile);
  }

  /** Forgets what lies before a second or in it. Returns whether nothing is left. */
  expire(second: number): boolean {
    if (this.#size === 0) return true;
    // Once for many: an entry that is gone is only skipped by `read`.
    if (this.#seconds[this.#size >> 1] <= second || this.#seconds[this.#size - 1] <= second) this.#compact(second);
    return this.#size === 0;
  }

  image(): SketchImage {
    return [this.#seconds.slice(0, this.#size), this.#buckets.slice(0, this.#size), this.#counts.slice(0, this.#size)];
  }

  restore([seconds, buckets, told]: SketchImage): void {
    while (this.#seconds.length < seconds.length) this.#resize(this.#seconds.length * 2);
    this.#seconds.set(seconds);
    this.#buckets.set(buckets);
    this.#counts.set(told);
    this.#size = seconds.length;
  }

  #compact(second: number): void {
    let kept = 0;
    for (let at = 0; at < this.#size; at++) {
      if (this.#seconds[at] <= second) continue;
      this.#seconds[kept] = this.#seconds[at];
      this.#buckets[kept] = this.#buckets[at];
      this.#counts[kept++] = this.#counts[at];
    }
    this.#size = kept;
  }

  #grow(): void {
    if (this.#size < maxEntries) this.#resize(this.#size * 2);
    else this.#compact(this.#seconds[this.#size >> 2]);
  }

  #resize(length: number): void {
    const seconds = new Int32Array(length);
    seconds.set(this.#seconds);
    this.#seconds = seconds;
    const buckets = new Uint16Array(length);
    buckets.set(this.#buckets);
    this.#buckets = buckets;
    const longer = new Float64Array(length);
    longer.set(this.#counts);
    this.#counts = longer;
  }
}

function quantileOf(histogram: Float64Array, total: number, quantile: number): number {
  if (total === 0) return Number.NaN;
  const rank = quantile * total;
  let below = 0;
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    below += histogram[bucket];
    if (below > 0 && below >= rank) return middleOf(bucket);
  }
  return Number.NaN;
}
