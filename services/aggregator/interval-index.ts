import { U64Index } from '../../core/u64-index.ts';

const two32 = 0x1_0000_0000;
/** More than one may be meant. */
export const ambiguous = -2;
/** Nobody is known. */
export const nobody = -1;

/** Which entity had a 64-bit key (a cookie, an inode, a cgroup id), and when. Filled once; look-ups allocate nothing. */
export class IntervalIndex {
  readonly #heads = new U64Index();
  readonly #entity: number[] = [];
  readonly #next: number[] = [];
  readonly #from: number[] = [];
  readonly #to: number[] = [];

  /** Adds an interval [fromBootNs, toBootNs): outer bounds of the time in which the entity had the key. */
  add(key: number, entity: number, fromBootNs: number, toBootNs: number): void {
    const [lo, hi] = [key >>> 0, Math.floor(key / two32)];
    this.#next.push(this.#heads.get(lo, hi));
    this.#heads.set(lo, hi, this.#entity.length);
    this.#entity.push(entity);
    this.#from.push(fromBootNs);
    this.#to.push(toBootNs);
  }

  /**
   * Who had a key that the kernel does not give twice: the only one that ever had it, whatever the time; of several
   * the one at that time.
   */
  get(lo: number, hi: number, bootNs: number): number {
    const head = this.#heads.get(lo, hi);
    if (head < 0) return nobody;
    return this.#next[head] < 0 ? this.#entity[head] : this.at(lo, hi, bootNs);
  }

  /** The only one that ever had a key, at any time; `ambiguous` when there were several. */
  only(lo: number, hi: number): number {
    const head = this.#heads.get(lo, hi);
    if (head < 0) return nobody;
    return this.#next[head] < 0 ? this.#entity[head] : ambiguous;
  }

  /** The only entity that may have had a key at a time, `ambiguous` or `nobody`. */
  at(lo: number, hi: number, bootNs: number): number {
    let found = nobody;
    for (let at = this.#heads.get(lo, hi); at >= 0; at = this.#next[at]) {
      if (bootNs < this.#from[at] || bootNs >= this.#to[at]) continue;
      if (found >= 0 && found !== this.#entity[at]) return ambiguous;
      found = this.#entity[at];
    }
    return found;
  }
}
