/** Numbers that look random and are the same for the same seed (mulberry32), so that a failed run can be made again. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [from, to). */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from));
  }
}

/** JITTERSCOPE_SEED, or another one each time; a test prints it. */
export function seedOfRun(): number {
  return Number(process.env.JITTERSCOPE_SEED ?? (Date.now() ^ (process.pid << 16)) >>> 0);
}

/** A number from the environment, or its default: how large a promise test is made. */
export function sizeFromEnvironment(name: string, byDefault: number): number {
  const text = process.env[name];
  const size = text === undefined || text === '' ? byDefault : Number(text);
  if (!Number.isSafeInteger(size) || size < 1) throw new Error(`${name}: found "${text}", expected a whole number of at least 1`);
  return size;
}
