import { type Cell, type CellImage, type ChangeListener, heldKind, isBeyond, kindNumbers, lastKind, sumKind } from './cell.ts';
import { CellList } from './cell-list.ts';
import { CellRings, isEmpty, longerOf } from './cell-rings.ts';
import type { RingPools } from './ring-pool.ts';

/**
 * Rows of cells, flat: what comes in the two seconds that are open adds to accumulators that lie side by side; when a
 * second is over, those that were touched are folded into rings, and the rings' oldest second goes. Only rings that hold
 * something cost time then. Seconds are told by number, and evaluated one after the other.
 */
export class CellRows {
  readonly cells: readonly Cell[];
  /** Accumulators of even and odd seconds, by row * width + cell. Empty: 0 of a sum, else NaN. */
  even = new Float64Array(0);
  odd = new Float64Array(0);
  readonly width: number;
  readonly #kinds: Uint8Array;
  readonly #rings: CellRings;
  /** Cells with something in an even and an odd second; one may be there twice. */
  readonly #touched = [new CellList(), new CellList()];
  #rows = 0;

  constructor(cells: readonly Cell[], pools: RingPools, changed: ChangeListener) {
    this.cells = cells;
    this.width = cells.length;
    this.#kinds = Uint8Array.from(cells, ({ kind }) => kindNumbers[kind]);
    this.#rings = new CellRings(cells, pools, changed);
  }

  /** Rows that there is room for. */
  get rows(): number {
    return this.#rows;
  }

  /** Makes room for a row. */
  reach(row: number): void {
    if (row < this.#rows) return;
    const rows = Math.max(row + 1, Math.ceil(this.#rows * 1.5), 16);
    this.even = longerOf(this.even, rows, this.#kinds, 1);
    this.odd = longerOf(this.odd, rows, this.#kinds, 1);
    this.#rings.reach(rows);
    this.#rows = rows;
  }

  /** Adds 1 to a sum in an open second. The row must be within reach. @param at row * width + cell */
  count(at: number, parity: number): void {
    const values = parity === 0 ? this.even : this.odd;
    if (values[at]++ === 0) this.#touched[parity].push(at);
  }

  /** Adds 1 to several sums of a row likewise. */
  countAll(row: number, cells: Int32Array, parity: number): void {
    const values = parity === 0 ? this.even : this.odd;
    const first = row * this.width;
    for (let index = 0; index < cells.length; index++) {
      const at = first + cells[index];
      if (values[at]++ === 0) this.#touched[parity].push(at);
    }
  }

  /** Adds a value to a cell in an open second. */
  add(row: number, cell: number, second: number, value: number): void {
    if (row >= this.#rows) this.reach(row);
    const parity = second & 1;
    const at = row * this.width + cell;
    const values = parity === 0 ? this.even : this.odd;
    const before = values[at];
    const kind = this.#kinds[cell];
    if (kind === sumKind) {
      if (before === 0 && value !== 0) this.#touched[parity].push(at);
      values[at] = before + value;
      return;
    }
    if (Number.isNaN(before)) this.#touched[parity].push(at);
    if (kind >= lastKind || isBeyond(kind, value, before)) values[at] = value;
  }

  /**
   * Adds a value to a second that was folded already; of a held value what it is from the next second on.
   * @returns false when the second has left the window
   */
  addLate(row: number, cell: number, second: number, value: number): boolean {
    if (this.#kinds[cell] === heldKind) {
      this.add(row, cell, this.#rings.foldedS + 1, value);
      return true;
    }
    // What would leave the window before it is read again comes too late.
    if (second <= this.#rings.foldedS + 1 - this.cells[cell].windowS) return false;
    this.reach(row);
    this.#rings.put(row * this.width + cell, cell, second, value);
    return true;
  }

  /** Folds a second: it must follow the one before. */
  fold(second: number): void {
    this.#rings.expire(second);
    const touched = this.#touched[second & 1];
    const values = (second & 1) === 0 ? this.even : this.odd;
    for (let index = 0; index < touched.count; index++) {
      const at = touched.cells[index];
      const cell = this.width === 1 ? 0 : at % this.width;
      const value = values[at];
      const isSum = this.#kinds[cell] === sumKind;
      if (isEmpty(isSum, value)) continue;
      values[at] = isSum ? 0 : Number.NaN;
      this.#rings.put(at, cell, second, value);
    }
    touched.count = 0;
  }

  /** Goes to a second without looking at those between: all windows must be empty, or their values held. */
  skipTo(second: number): void {
    this.#rings.skipTo(second);
  }

  /** Whether a row's cell has something in its window. */
  has(row: number, cell: number): boolean {
    return row < this.#rows && this.#rings.has(row * this.width + cell, cell);
  }

  /** The aggregate of a window: 0 of an empty sum, else NaN; of a held value what it is now. */
  value(row: number, cell: number): number {
    return row < this.#rows ? this.#rings.value(row * this.width + cell, cell) : this.#nothing(cell);
  }

  /** The sum of a window. */
  sum(row: number, cell: number): number {
    return row < this.#rows ? this.#rings.total(row * this.width + cell) : 0;
  }

  /** The value of one second of a window; 0 of a sum without any, else NaN. @param back seconds before the last that was folded */
  bucket(row: number, cell: number, back: number): number {
    return row < this.#rows ? this.#rings.bucket(row * this.width + cell, cell, back) : this.#nothing(cell);
  }

  /** How much a row's cell has, with what is not folded yet: of a group, what decides who must go. */
  weight(row: number, cell: number): number {
    if (row >= this.#rows) return 0;
    const at = row * this.width + cell;
    if (this.#kinds[cell] === sumKind) return this.#rings.total(at) + this.even[at] + this.odd[at];
    let weight = Number.NEGATIVE_INFINITY;
    for (const value of [this.#rings.total(at), this.even[at], this.odd[at]]) if (value > weight) weight = value;
    return weight;
  }

  /** Empties a row. */
  clear(row: number): void {
    if (row >= this.#rows) return;
    for (let cell = 0; cell < this.width; cell++) {
      const at = row * this.width + cell;
      this.even[at] = this.#nothing(cell);
      this.odd[at] = this.#nothing(cell);
      this.#rings.clear(at, cell);
    }
  }

  /** All that a cell holds of the rows from one up to another, for a checkpoint. */
  image(cell: number, from: number, to: number): CellImage {
    return this.#rings.image(cell, from, Math.min(to, this.#rows), [this.even, this.odd]);
  }

  /** Takes back what `image` gave, of a cell of the same kind and window. @param foldedS second up to which it was folded */
  restore(cell: number, image: CellImage, foldedS: number): void {
    this.#rings.foldedS = foldedS;
    const isSum = this.#kinds[cell] === sumKind;
    image.rows.forEach((row, index) => {
      this.reach(row);
      const at = row * this.width + cell;
      this.even[at] = image.scalars[index * 4];
      this.odd[at] = image.scalars[index * 4 + 1];
      if (!isEmpty(isSum, this.even[at])) this.#touched[0].push(at);
      if (!isEmpty(isSum, this.odd[at])) this.#touched[1].push(at);
    });
    this.#rings.restore(cell, image);
  }

  #nothing(cell: number): number {
    return this.#kinds[cell] === sumKind ? 0 : Number.NaN;
  }
}
