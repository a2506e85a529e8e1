/**
 * Offsets of a partition that somebody is done with, in any order: all below `next`, and some beyond. As text it is kept
 * with a commit.
 */
export class SettledOffsets {
  #next: number;
  /** Disjoint, rising, beyond `next`; `to` exclusive. */
  #ranges: { from: number; to: number }[];

  constructor(next = 0, ranges: readonly (readonly [from: number, to: number])[] = []) {
    this.#next = next;
    this.#ranges = [];
    for (const [from, to] of ranges) this.add(from, to);
  }

  /** From a commit: its offset, and what `text` says. Text that is none counts as empty. */
  static decode(next: number, text: string): SettledOffsets {
    const ranges: [number, number][] = [];
    let at = next;
    for (const part of text.split(' ')) {
      const match = /^(\d+)(?:\+(\d+))?$/.exec(part);
      if (match === null) continue;
      const from = at + Number(match[1]);
      at = from + Number(match[2] ?? 1);
      ranges.push([from, at]);
    }
    return new SettledOffsets(next, ranges);
  }

  /** All below it are settled. */
  get next(): number {
    return this.#next;
  }

  /** The ranges beyond `next`: distance to the one before, and length if it is not 1: "3 1+20". */
  get text(): string {
    let at = this.#next;
    return this.#ranges
      .map(({ from, to }) => {
        const gap = from - at;
        at = to;
        return to - from === 1 ? `${gap}` : `${gap}+${to - from}`;
      })
      .join(' ');
  }

  has(offset: number): boolean {
    return offset < this.#next || this.#ranges.some(({ from, to }) => offset >= from && offset < to);
  }

  /** How many of the offsets from `earliest` to `end` (exclusive) are not settled. */
  open(earliest: number, end: number): number {
    const first = Math.max(earliest, this.#next);
    let open = Math.max(0, end - first);
    for (const { from, to } of this.#ranges) open -= Math.max(0, Math.min(to, end) - Math.max(from, first));
    return open;
  }

  /** Settles the offsets from `from` to `to` (exclusive). */
  add(from: number, to = from + 1): void {
    const joined = { from, to };
    const apart = this.#ranges.filter((range) => {
      if (range.to < joined.from || range.from > joined.to) return true;
      joined.from = Math.min(joined.from, range.from);
      joined.to = Math.max(joined.to, range.to);
      return false;
    });
    this.#ranges = [...apart, joined].sort((a, b) => a.from - b.from);
    while (this.#ranges.length > 0 && this.#ranges[0].from <= this.#next)
      this.#next = Math.max(this.#next, (this.#ranges.shift() as { to: number }).to);
  }
}
