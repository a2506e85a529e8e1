const chunkOffsets = 8_192;
const wordBits = 32;

interface Chunk {
  readonly words: Uint32Array;
  count: number;
}

/** Offsets of a partition, one bit each where there are some: a million take 128 KiB, scattered or not. */
export class OffsetSet {
  readonly #chunks = new Map<number, Chunk>();
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The lowest one. */
  first(): number | undefined {
    if (this.#size === 0) return undefined;
    let lowest = Number.POSITIVE_INFINITY;
    for (const index of this.#chunks.keys()) lowest = Math.min(lowest, index);
    const { words } = this.#chunks.get(lowest) as Chunk;
    const word = words.findIndex((bits) => bits !== 0);
    return lowest * chunkOffsets + word * wordBits + 31 - Math.clz32(words[word] & -words[word]);
  }

  has(offset: number): boolean {
    const chunk = this.#chunks.get(Math.floor(offset / chunkOffsets));
    if (chunk === undefined) return false;
    const bit = offset % chunkOffsets;
    return (chunk.words[bit >>> 5] & (1 << (bit & 31))) !== 0;
  }

  add(offset: number): void {
    if (this.has(offset)) return;
    const index = Math.floor(offset / chunkOffsets);
    const chunk = this.#chunks.get(index) ?? { words: new Uint32Array(chunkOffsets / wordBits), count: 0 };
    this.#chunks.set(index, chunk);
    const bit = offset % chunkOffsets;
    chunk.words[bit >>> 5] |= 1 << (bit & 31);
    chunk.count++;
    this.#size++;
  }

  /** Those from `from` to `to` (exclusive), rising within 8,192. Whoever iterates may delete them. */
  *within(from: number, to: number): Generator<number> {
    for (const [index, { words }] of this.#overlapping(from, to)) {
      const base = index * chunkOffsets;
      const last = Math.min(to, base + chunkOffsets);
      for (let offset = Math.max(from, base); offset < last; offset++) {
        const bit = offset - base;
        if ((words[bit >>> 5] & (1 << (bit & 31))) !== 0) yield offset;
      }
    }
  }

  /** Takes those from `from` to `to` (exclusive) out; returns how many. */
  delete(from: number, to = from + 1): number {
    const before = this.#size;
    for (const [index, chunk] of this.#overlapping(from, to)) {
      const base = index * chunkOffsets;
      if (from <= base && to >= base + chunkOffsets) {
        this.#size -= chunk.count;
        chunk.count = 0;
      } else this.#deleteBits(chunk, Math.max(0, from - base), Math.min(chunkOffsets, to - base));
      if (chunk.count === 0) this.#chunks.delete(index);
    }
    return before - this.#size;
  }

  #deleteBits(chunk: Chunk, first: number, end: number): void {
    for (let bit = first; bit < end; bit++) {
      const mask = 1 << (bit & 31);
      if ((chunk.words[bit >>> 5] & mask) === 0) continue;
      chunk.words[bit >>> 5] &= ~mask;
      chunk.count--;
      this.#size--;
    }
  }

  /** Whatever the range: no more than there are chunks is looked at. */
  *#overlapping(from: number, to: number): Generator<[index: number, chunk: Chunk]> {
    const [first, last] = [Math.floor(from / chunkOffsets), Math.floor((to - 1) / chunkOffsets)];
    if (last - first < this.#chunks.size) {
      for (let index = first; index <= last; index++) {
        const chunk = this.#chunks.get(index);
        if (chunk !== undefined) yield [index, chunk];
      }
    } else {
      for (const [index, chunk] of [...this.#chunks]) if (index >= first && index <= last) yield [index, chunk];
    }
  }
}
