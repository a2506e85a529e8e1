/** The kernel hands cookies to CPUs in blocks of so many, each from 1 on (include/linux/cookie.h). */
const blockCookies = 4096;
/** Cookies made in an interrupt count down from the top; inodes, which stand for cookies on old kernels, begin here. */
const firstInode = 0xf0000000;

interface Block {
  /** Highest cookie that is accounted for: seen, or counted as unseen. */
  highest: number;
  /** Whether a namespace of this block was made since the start: only behind it a gap is ours. */
  begun: boolean;
}

/**
 * Counts namespaces that came and went between two looks. Each CPU gives cookies one after the other: a number that is
 * left out is a namespace that nobody saw. It is known only when a later one of the same CPU is seen, and those before
 * the first one that is new are not counted, because they may have gone before the start: the count is a lower bound.
 */
export class UnseenNetns {
  readonly #blocks = new Map<number, Block>();
  #started = false;

  /** Namespaces left out so far. */
  count = 0;

  /** @param cookies all namespaces of one look; of the first look: those that were there before */
  look(cookies: Iterable<number>): void {
    for (const cookie of [...cookies].sort((a, b) => a - b)) if (cookie > 0 && cookie < firstInode) this.#see(cookie);
    this.#started = true;
  }

  #see(cookie: number): void {
    const number = Math.floor((cookie - 1) / blockCookies);
    const block = this.#blocks.get(number);
    if (block === undefined) {
      this.#blocks.set(number, { highest: cookie, begun: this.#started });
      return;
    }
    if (cookie <= block.highest) return;
    if (block.begun) this.count += cookie - block.highest - 1;
    block.begun = this.#started;
    block.highest = cookie;
  }
}
