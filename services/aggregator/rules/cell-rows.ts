import type { RingPool, RingPools } from './ring-pool.ts';

/**
 * How values of one second, and seconds of a window, become one number. `held`: the last value goes on until another
 * comes, and its window holds what it was at the end of each second.
 */
export type CellKind = 'sum' | 'max' | 'min' | 'last' | 'held';

/** One number that rows keep a window of. */
export interface Cell {
  readonly kind: CellKind;
  readonly windowS: number;
  /** The signal that is read from it: told when its window changes. */
  readonly signal: number;
}

/** Told when the window of a row's cell changed: the row, and the cell's signal. */
export type ChangeListener = (row: number, signal: number) => void;

const sumKind = 0;
const maxKind = 1;
const minKind = 2;
const lastKind = 3;
const heldKind = 4;
const kindNumbers: Readonly<Record<CellKind, number>> = { sum: sumKind, max: maxKind, min: minKind, last: lastKind, held: heldKind };

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
  readonly #pools: readonly RingPool[];
  readonly #changed: ChangeListener;
  readonly #touched = [new RowList(), new RowList()];
  /** The aggregate of the window as of the last second that was folded; of `held` what it is now. */
  #values = new Float64Array(0);
  /** Block of the ring, -1: the window is empty. */
  #blocks = new Int32Array(0);
  /** Buckets that hold something; of `held` the last second at whose end the value was another than before. */
  #filled = new Int32Array(0);
  /** Rings that hold something, in no particular order, and where each of them stands there. */
  #active = new Int32Array(64);
  #places = new Int32Array(0);
  #activeCount = 0;
  #rows = 0;
  /** The last second that was folded. */
  #foldedS = 0;

  constructor(cells: readonly Cell[], pools: RingPools, changed: ChangeListener) {
    this.cells = cells;
    this.width = cells.length;
    this.#kinds = Uint8Array.from(cells, ({ kind }) => kindNumbers[kind]);
    this.#pools = cells.map(({ kind, windowS }) => pools.of(windowS, kind === 'sum' ? 0 : Number.NaN));
    this.#changed = changed;
  }

  /** Rows that there is room for. */
  get rows(): number {
    return this.#rows;
  }

  /** Makes room for a row. */
  reach(row: number): void {
    if (row < this.#rows) return;
    const rows = Math.max(row + 1, Math.ceil(this.#rows * 1.5), 16);
    this.even = this.#longer(this.even, rows);
    this.odd = this.#longer(this.odd, rows);
    this.#values = this.#longer(this.#values, rows);
    const blocks = new Int32Array(rows * this.width).fill(-1);
    blocks.set(this.#blocks);
    this.#blocks = blocks;
    const filled = new Int32Array(rows * this.width);
    filled.set(this.#filled);
    this.#filled = filled;
    const places = new Int32Array(rows * this.width);
    places.set(this.#places);
    this.#places = places;
    for (const list of this.#touched) list.reach(rows);
    this.#rows = rows;
  }

  /**
   * Opens a row for values of one of the two open seconds. They are put into `even` or `odd` from there on.
   * @param parity of the second
   * @returns place of its first cell
   */
  touch(row: number, parity: number): number {
    if (row >= this.#rows) this.reach(row);
    this.#touched[parity].add(row);
    return row * this.width;
  }

  /** Adds a value to a cell in an open second. */
  add(row: number, cell: number, second: number, value: number): void {
    const parity = second & 1;
    const at = this.touch(row, parity) + cell;
    const values = parity === 0 ? this.even : this.odd;
    const kind = this.#kinds[cell];
    if (kind === sumKind) values[at] += value;
    else if (kind >= lastKind || isBeyond(kind, value, values[at])) values[at] = value;
  }

  /**
   * Adds a value to a second that was folded already; of a held value what it is from the next second on.
   * @returns false when the second has left the window
   */
  addLate(row: number, cell: number, second: number, value: number): boolean {
    if (this.#kinds[cell] === heldKind) {
      this.add(row, cell, this.#foldedS + 1, value);
      return true;
    }
    // What would leave the window before it is read again comes too late.
    if (second <= this.#foldedS + 1 - this.cells[cell].windowS) return false;
    this.reach(row);
    this.#put(row * this.width + cell, row, cell, second, value);
    return true;
  }

  /** Folds a second: it must follow the one before. */
  fold(second: number): void {
    this.#foldedS = second;
    this.#expire(second);
    const touched = this.#touched[second & 1];
    const values = (second & 1) === 0 ? this.even : this.odd;
    for (let index = 0; index < touched.count; index++) {
      const row = touched.rows[index];
      const base = row * this.width;
      for (let cell = 0; cell < this.width; cell++) {
        const value = values[base + cell];
        if (this.#kinds[cell] === sumKind) {
          if (value === 0) continue;
          values[base + cell] = 0;
        } else {
          if (Number.isNaN(value)) continue;
          values[base + cell] = Number.NaN;
        }
        this.#put(base + cell, row, cell, second, value);
      }
    }
    touched.clear();
  }

  /** Goes to a second without looking at those between: all windows must be empty, or their values held. */
  skipTo(second: number): void {
    for (let index = this.#activeCount - 1; index >= 0; index--) this.#settle(this.#active[index]);
    this.#foldedS = second;
  }

  /** Whether a row's cell has something in its window. */
  has(row: number, cell: number): boolean {
    if (row >= this.#rows) return false;
    const at = row * this.width + cell;
    return this.#kinds[cell] === heldKind ? !Number.isNaN(this.#values[at]) : this.#blocks[at] >= 0;
  }

  /** The aggregate of a window: 0 of an empty sum, else NaN; of a held value what it is now. */
  value(row: number, cell: number): number {
    if (row >= this.#rows) return this.#kinds[cell] === sumKind ? 0 : Number.NaN;
    const at = row * this.width + cell;
    return this.#kinds[cell] === lastKind ? this.#newest(at, cell) : this.#values[at];
  }

  /** The value of one second of a window; 0 of a sum without any, else NaN. @param back seconds before the last that was folded */
  bucket(row: number, cell: number, back: number): number {
    const at = row * this.width + cell;
    const kind = this.#kinds[cell];
    const block = row < this.#rows ? this.#blocks[at] : -1;
    if (block < 0) return kind === heldKind && row < this.#rows ? this.#values[at] : kind === sumKind ? 0 : Number.NaN;
    const { data, length } = this.#pools[cell];
    return data[block * length + ((this.#foldedS - back) % length)];
  }

  /** How much a row's cell has, with what is not folded yet: of a group, what decides who must go. */
  weight(row: number, cell: number): number {
    if (row >= this.#rows) return 0;
    const at = row * this.width + cell;
    if (this.#kinds[cell] === sumKind) return this.#values[at] + this.even[at] + this.odd[at];
    let weight = Number.NEGATIVE_INFINITY;
    for (const value of [this.#values[at], this.even[at], this.odd[at]]) if (value > weight) weight = value;
    return weight;
  }

  /** Empties a row. */
  clear(row: number): void {
    if (row >= this.#rows) return;
    for (let cell = 0; cell < this.width; cell++) {
      const at = row * this.width + cell;
      const empty = this.#kinds[cell] === sumKind ? 0 : Number.NaN;
      this.even[at] = empty;
      this.odd[at] = empty;
      if (this.#blocks[at] >= 0) this.#release(at, cell);
      if (!Number.isNaN(this.#values[at]) && this.#values[at] !== 0) this.#changed(row, this.cells[cell].signal);
      this.#values[at] = empty;
      this.#filled[at] = 0;
    }
  }

  /** All that a cell holds, for a checkpoint. */
  image(cell: number): CellImage {
    const empty = this.#kinds[cell] === sumKind ? 0 : Number.NaN;
    const { data, length } = this.#pools[cell];
    const rows: number[] = [];
    const scalars: number[] = [];
    const ringRows: number[] = [];
    for (let row = 0; row < this.#rows; row++) {
      const at = row * this.width + cell;
      const told = [this.even[at], this.odd[at], this.#values[at], this.#filled[at]];
      const isEmpty = told.slice(0, 3).every((value) => Object.is(value, empty)) && this.#blocks[at] < 0;
      if (isEmpty) continue;
      rows.push(row);
      scalars.push(...told);
      if (this.#blocks[at] >= 0) ringRows.push(row);
    }
    const rings = new Float64Array(ringRows.length * length);
    ringRows.forEach((row, index) => {
      const first = this.#blocks[row * this.width + cell] * length;
      rings.set(data.subarray(first, first + length), index * length);
    });
    return { rows: Int32Array.from(rows), scalars: Float64Array.from(scalars), ringRows: Int32Array.from(ringRows), rings };
  }

  /** Takes back what `image` gave, of a cell of the same kind and window. @param foldedS second up to which it was folded */
  restore(cell: number, { rows, scalars, ringRows, rings }: CellImage, foldedS: number): void {
    this.#foldedS = foldedS;
    const isSum = this.#kinds[cell] === sumKind;
    const isSet = (value: number): boolean => (isSum ? value !== 0 : !Number.isNaN(value));
    rows.forEach((row, index) => {
      this.reach(row);
      const at = row * this.width + cell;
      const [even, odd, value, filled] = scalars.subarray(index * 4, index * 4 + 4);
      if (isSet(even)) this.touch(row, 0);
      if (isSet(odd)) this.touch(row, 1);
      this.even[at] = even;
      this.odd[at] = odd;
      this.#values[at] = value;
      this.#filled[at] = filled;
    });
    const { length } = this.#pools[cell];
    ringRows.forEach((row, index) => {
      const at = row * this.width + cell;
      this.#activate(at, cell);
      this.#pools[cell].data.set(rings.subarray(index * length, (index + 1) * length), this.#blocks[at] * length);
    });
  }

  /** The rings' oldest second goes, and the next takes its place. */
  #expire(second: number): void {
    // Backwards: a ring that goes is replaced by the last one, which was seen.
    for (let index = this.#activeCount - 1; index >= 0; index--) {
      const at = this.#active[index];
      const cell = at % this.width;
      const kind = this.#kinds[cell];
      if (kind === heldKind) {
        this.#hold(at, cell, second);
        continue;
      }
      const { data, length } = this.#pools[cell];
      const bucket = this.#blocks[at] * length + (second % length);
      const old = data[bucket];
      if (kind === sumKind) {
        if (old === 0) continue;
        data[bucket] = 0;
        this.#filled[at]--;
        if (this.#filled[at] === 0) this.#release(at, cell);
        else this.#subtract(at, cell, old);
      } else {
        if (Number.isNaN(old)) continue;
        data[bucket] = Number.NaN;
        this.#filled[at]--;
        if (this.#filled[at] === 0) this.#release(at, cell);
        else if (kind !== lastKind && old === this.#values[at]) this.#values[at] = this.#extreme(at, cell, kind);
      }
      this.#changed((at / this.width) | 0, this.cells[cell].signal);
    }
  }

  /** Differences of whole numbers are exact; others are added up anew, so that nothing is left of what went. */
  #subtract(at: number, cell: number, old: number): void {
    const rest = this.#values[at] - old;
    if (Number.isSafeInteger(rest) && Number.isInteger(old)) {
      this.#values[at] = rest;
      return;
    }
    const { data, length } = this.#pools[cell];
    const first = this.#blocks[at] * length;
    let sum = 0;
    for (let bucket = first; bucket < first + length; bucket++) sum += data[bucket];
    this.#values[at] = sum;
  }

  /** Puts a value into a bucket of the window. */
  #put(at: number, row: number, cell: number, second: number, value: number): void {
    const kind = this.#kinds[cell];
    if (kind === heldKind) {
      this.#change(at, row, cell, second, value);
      return;
    }
    if (this.#blocks[at] < 0) this.#activate(at, cell);
    const { data, length } = this.#pools[cell];
    const bucket = this.#blocks[at] * length + (second % length);
    const old = data[bucket];
    if (kind === sumKind) {
      data[bucket] = old + value;
      this.#values[at] += value;
      this.#filled[at] += (old === 0 ? 1 : 0) - (data[bucket] === 0 ? 1 : 0);
      // Values of both signs may cancel out.
      if (this.#filled[at] === 0) this.#release(at, cell);
    } else {
      if (Number.isNaN(old)) this.#filled[at]++;
      if (kind === lastKind || isBeyond(kind, value, old)) data[bucket] = value;
      if (kind !== lastKind && isBeyond(kind, value, this.#values[at])) this.#values[at] = value;
    }
    this.#changed(row, this.cells[cell].signal);
  }

  /** A held value becomes another at a second. Until then the whole window held the one before. */
  #change(at: number, row: number, cell: number, second: number, value: number): void {
    const before = this.#values[at];
    if (value === before) return;
    const { length } = this.#pools[cell];
    if (this.#blocks[at] < 0) {
      this.#activate(at, cell);
      const first = this.#blocks[at] * length;
      this.#pools[cell].data.fill(before, first, first + length);
    }
    this.#values[at] = value;
    this.#filled[at] = second;
    this.#pools[cell].data[this.#blocks[at] * length + (second % length)] = value;
    this.#changed(row, this.cells[cell].signal);
  }

  /** A held value's next second; once the whole window is the same it needs no ring. */
  #hold(at: number, cell: number, second: number): void {
    const { data, length } = this.#pools[cell];
    const bucket = this.#blocks[at] * length + (second % length);
    if (data[bucket] !== this.#values[at]) this.#changed((at / this.width) | 0, this.cells[cell].signal);
    data[bucket] = this.#values[at];
    if (second - this.#filled[at] >= length) this.#settle(at);
  }

  #settle(at: number): void {
    const cell = at % this.width;
    const value = this.#values[at];
    this.#release(at, cell);
    if (this.#kinds[cell] === heldKind) this.#values[at] = value;
  }

  #newest(at: number, cell: number): number {
    const block = this.#blocks[at];
    if (block < 0) return Number.NaN;
    const { data, length } = this.#pools[cell];
    for (let back = 0; back < length; back++) {
      const value = data[block * length + ((this.#foldedS - back) % length)];
      if (!Number.isNaN(value)) return value;
    }
    return Number.NaN;
  }

  #extreme(at: number, cell: number, kind: number): number {
    const { data, length } = this.#pools[cell];
    const first = this.#blocks[at] * length;
    let extreme = Number.NaN;
    for (let bucket = first; bucket < first + length; bucket++) {
      const value = data[bucket];
      if (!Number.isNaN(value) && isBeyond(kind, value, extreme)) extreme = value;
    }
    return extreme;
  }

  #activate(at: number, cell: number): void {
    this.#blocks[at] = this.#pools[cell].take();
    if (this.#activeCount === this.#active.length) {
      const longer = new Int32Array(this.#activeCount * 2);
      longer.set(this.#active);
      this.#active = longer;
    }
    this.#places[at] = this.#activeCount;
    this.#active[this.#activeCount++] = at;
  }

  /** Gives a ring back. */
  #release(at: number, cell: number): void {
    this.#pools[cell].give(this.#blocks[at]);
    this.#blocks[at] = -1;
    this.#values[at] = this.#kinds[cell] === sumKind ? 0 : Number.NaN;
    const last = this.#active[--this.#activeCount];
    this.#active[this.#places[at]] = last;
    this.#places[last] = this.#places[at];
  }

  #longer(values: Float64Array<ArrayBuffer>, rows: number): Float64Array<ArrayBuffer> {
    const longer = new Float64Array(rows * this.width);
    if (this.#kinds.some((kind) => kind !== sumKind)) {
      for (let at = values.length; at < longer.length; at++) if (this.#kinds[at % this.width] !== sumKind) longer[at] = Number.NaN;
    }
    longer.set(values);
    return longer;
  }
}

/** What a cell holds of all rows that hold anything, in columns. */
export interface CellImage {
  readonly rows: Int32Array;
  /** Of each row: even, odd, value, filled. */
  readonly scalars: Float64Array;
  /** Rows that have a ring, and their rings end to end. */
  readonly ringRows: Int32Array;
  readonly rings: Float64Array;
}

/** Whether a value takes the place of an extreme; NaN: there is none yet. */
function isBeyond(kind: number, value: number, extreme: number): boolean {
  return kind === minKind ? !(value >= extreme) : !(value <= extreme);
}

/** Rows that were touched, each once. */
class RowList {
  rows = new Int32Array(16);
  count = 0;
  #is = new Uint8Array(16);

  reach(rows: number): void {
    const is = new Uint8Array(rows);
    is.set(this.#is.subarray(0, Math.min(rows, this.#is.length)));
    this.#is = is;
    const longer = new Int32Array(rows);
    longer.set(this.rows.subarray(0, this.count));
    this.rows = longer;
  }

  add(row: number): void {
    if (this.#is[row] === 1) return;
    this.#is[row] = 1;
    this.rows[this.count++] = row;
  }

  clear(): void {
    for (let index = 0; index < this.count; index++) this.#is[this.rows[index]] = 0;
    this.count = 0;
  }
}
