/** Ranges that are kept apart; beyond that the oldest is forgotten, and would be counted again. */
const MAX_RANGES = 4096;

/** Which offsets of a partition were already counted as damaged: several readers meet the same hole, it counts once. */
export class DamageRecord {
  /** Sorted, without overlap. */
  #ranges: { readonly from: number; readonly to: number }[] = [];

  /** Adds a range and returns how many of its offsets are new. */
  add(from: number, to: number): number {
    let known = 0;
    let low = from;
    let high = to;
    const apart: { readonly from: number; readonly to: number }[] = [];
    for (const range of this.#ranges) {
      if (range.to < from || range.from > to) {
        apart.push(range);
        continue;
      }
      known += Math.max(0, Math.min(range.to, to) - Math.max(range.from, from));
      low = Math.min(low, range.from);
      high = Math.max(high, range.to);
    }
    apart.push({ from: low, to: high });
    this.#ranges = apart.sort((a, b) => a.from - b.from).slice(-MAX_RANGES);
    return to - from - known;
  }
}
