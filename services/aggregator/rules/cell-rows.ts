import { type Cell, type CellImage, type ChangeListener, heldKind, isBeyond, kindNumbers, lastKind, sumKind } from './cell.ts';
import { CellList } from './cell-list.ts';
import type { RingPool, RingPools } from './ring-pool.ts';

/** Of each cell: the aggregate of its window as of the last second that was folded (of `held` what it is now), ... */
const valueAt = 0;
/** ... its ring's block + 1, 0: the window is empty, ... */
const blockAt = 1;
/** ... how many buckets hold something (of `held` the last second in which the value became another), ... */
const filledAt = 2;
/** ... and where it stands among the active rings. */
const placeAt = 3;
const stride = 4;

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
  /** Cells with something in an even and an odd second; one may be there twice. */
  readonly #touched = [new CellList(), new CellList()];
  /** Four numbers for each cell, side by side: see the offsets below. */
  #windows = new Float64Array(0);
  /** Rings that hold something, in no particular order. */
  readonly #active = new CellList();
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
    this.even = this.#longer(this.even, rows, 1);
    this.odd = this.#longer(this.odd, rows, 1);
    this.#windows = this.#longer(this.#windows, rows, stride);
    this.#rows = rows;
  }

  /** Adds 1 to a sum in an open second. The row must be within reach. @param at row * width + cell */
  count(at: number, parity: number): void {
    const values = parity === 0 ? this.even : this.odd;
    if (values[at]++ === 0) this.#touched[parity].push(at);
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
      this.add(row, cell, this.#foldedS + 1, value);
      return true;
    }
    // What would leave the window before it is read again comes too late.
    if (second <= this.#foldedS + 1 - this.cells[cell].windowS) return false;
    this.reach(row);
    this.#put(row * this.width + cell, cell, second, value);
    return true;
  }

  /** Folds a second: it must follow the one before. */
  fold(second: number): void {
    this.#foldedS = second;
    this.#expire(second);
    const touched = this.#touched[second & 1];
    const values = (second & 1) === 0 ? this.even : this.odd;
    for (let index = 0; index < touched.count; index++) {
      const at = touched.cells[index];
      const cell = this.#cellOf(at);
      const value = values[at];
      const isSum = this.#kinds[cell] === sumKind;
      if (isSum ? value === 0 : Number.isNaN(value)) continue;
      values[at] = isSum ? 0 : Number.NaN;
      this.#put(at, cell, second, value);
    }
    touched.count = 0;
  }

  /** Goes to a second without looking at those between: all windows must be empty, or their values held. */
  skipTo(second: number): void {
    for (let index = this.#active.count - 1; index >= 0; index--) this.#settle(this.#active.cells[index]);
    this.#foldedS = second;
  }

  /** Whether a row's cell has something in its window. */
  has(row: number, cell: number): boolean {
    if (row >= this.#rows) return false;
    const at = row * this.width + cell;
    return this.#kinds[cell] === heldKind ? !Number.isNaN(this.#windows[at * stride]) : this.#windows[at * stride + blockAt] > 0;
  }

  /** The aggregate of a window: 0 of an empty sum, else NaN; of a held value what it is now. */
  value(row: number, cell: number): number {
    if (row >= this.#rows) return this.#kinds[cell] === sumKind ? 0 : Number.NaN;
    const at = row * this.width + cell;
    return this.#kinds[cell] === lastKind ? this.#newest(at, cell) : this.#windows[at * stride];
  }

  /** The sum of a window. */
  sum(row: number, cell: number): number {
    return row < this.#rows ? this.#windows[(row * this.width + cell) * stride] : 0;
  }

  /** The value of one second of a window; 0 of a sum without any, else NaN. @param back seconds before the last that was folded */
  bucket(row: number, cell: number, back: number): number {
    const at = row * this.width + cell;
    const kind = this.#kinds[cell];
    const block = row < this.#rows ? this.#windows[at * stride + blockAt] - 1 : -1;
    if (block < 0) return kind === heldKind && row < this.#rows ? this.#windows[at * stride] : kind === sumKind ? 0 : Number.NaN;
    const { data, length } = this.#pools[cell];
    return data[block * length + ((this.#foldedS - back) % length)];
  }

  /** How much a row's cell has, with what is not folded yet: of a group, what decides who must go. */
  weight(row: number, cell: number): number {
    if (row >= this.#rows) return 0;
    const at = row * this.width + cell;
    if (this.#kinds[cell] === sumKind) return this.#windows[at * stride] + this.even[at] + this.odd[at];
    let weight = Number.NEGATIVE_INFINITY;
    for (const value of [this.#windows[at * stride], this.even[at], this.odd[at]]) if (value > weight) weight = value;
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
      if (this.#windows[at * stride + blockAt] > 0) this.#release(at, cell);
      if (!Number.isNaN(this.#windows[at * stride]) && this.#windows[at * stride] !== 0) this.#changed(row, this.cells[cell].signal);
      this.#windows[at * stride] = empty;
      this.#windows[at * stride + filledAt] = 0;
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
      const told = [this.even[at], this.odd[at], this.#windows[at * stride], this.#windows[at * stride + filledAt]];
      const isEmpty = told.slice(0, 3).every((value) => Object.is(value, empty)) && this.#windows[at * stride + blockAt] === 0;
      if (isEmpty) continue;
      rows.push(row);
      scalars.push(...told);
      if (this.#windows[at * stride + blockAt] > 0) ringRows.push(row);
    }
    const rings = new Float64Array(ringRows.length * length);
    ringRows.forEach((row, index) => {
      const first = (this.#windows[(row * this.width + cell) * stride + blockAt] - 1) * length;
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
      if (isSet(even)) this.#touched[0].push(at);
      if (isSet(odd)) this.#touched[1].push(at);
      this.even[at] = even;
      this.odd[at] = odd;
      this.#windows[at * stride] = value;
      this.#windows[at * stride + filledAt] = filled;
    });
    const { length } = this.#pools[cell];
    ringRows.forEach((row, index) => {
      const at = row * this.width + cell;
      this.#activate(at, cell);
      this.#pools[cell].data.set(rings.subarray(index * length, (index + 1) * length), (this.#windows[at * stride + blockAt] - 1) * length);
    });
  }

  /** The rings' oldest second goes, and the next takes its place. */
  #expire(second: number): void {
    // Backwards: a ring that goes is replaced by the last one, which was seen.
    for (let index = this.#active.count - 1; index >= 0; index--) {
      const at = this.#active.cells[index];
      const cell = this.#cellOf(at);
      const kind = this.#kinds[cell];
      if (kind === heldKind) {
        this.#hold(at, cell, second);
        continue;
      }
      const { data, length } = this.#pools[cell];
      const bucket = (this.#windows[at * stride + blockAt] - 1) * length + (second % length);
      const old = data[bucket];
      if (kind === sumKind) {
        if (old === 0) continue;
        data[bucket] = 0;
        this.#windows[at * stride + filledAt]--;
        if (this.#windows[at * stride + filledAt] === 0) this.#release(at, cell);
        else this.#subtract(at, cell, old);
      } else {
        if (Number.isNaN(old)) continue;
        data[bucket] = Number.NaN;
        this.#windows[at * stride + filledAt]--;
        if (this.#windows[at * stride + filledAt] === 0) this.#release(at, cell);
        else if (kind !== lastKind && old === this.#windows[at * stride]) this.#windows[at * stride] = this.#extreme(at, cell, kind);
      }
      this.#changed(this.#rowOf(at), this.cells[cell].signal);
    }
  }

  /** Differences of whole numbers are exact; others are added up anew, so that nothing is left of what went. */
  #subtract(at: number, cell: number, old: number): void {
    const rest = this.#windows[at * stride] - old;
    if (Number.isSafeInteger(rest) && Number.isInteger(old)) {
      this.#windows[at * stride] = rest;
      return;
    }
    const { data, length } = this.#pools[cell];
    const first = (this.#windows[at * stride + blockAt] - 1) * length;
    let sum = 0;
    for (let bucket = first; bucket < first + length; bucket++) sum += data[bucket];
    this.#windows[at * stride] = sum;
  }

  /** Puts a value into a bucket of the window. */
  #put(at: number, cell: number, second: number, value: number): void {
    const kind = this.#kinds[cell];
    if (kind === heldKind) {
      this.#change(at, cell, second, value);
      return;
    }
    if (this.#windows[at * stride + blockAt] === 0) this.#activate(at, cell);
    const { data, length } = this.#pools[cell];
    const bucket = (this.#windows[at * stride + blockAt] - 1) * length + (second % length);
    const old = data[bucket];
    if (kind === sumKind) {
      data[bucket] = old + value;
      this.#windows[at * stride] += value;
      this.#windows[at * stride + filledAt] += (old === 0 ? 1 : 0) - (data[bucket] === 0 ? 1 : 0);
      // Values of both signs may cancel out.
      if (this.#windows[at * stride + filledAt] === 0) this.#release(at, cell);
    } else {
      if (Number.isNaN(old)) this.#windows[at * stride + filledAt]++;
      if (kind === lastKind || isBeyond(kind, value, old)) data[bucket] = value;
      if (kind !== lastKind && isBeyond(kind, value, this.#windows[at * stride])) this.#windows[at * stride] = value;
    }
    this.#changed(this.#rowOf(at), this.cells[cell].signal);
  }

  /** A held value becomes another at a second. Until then the whole window held the one before. */
  #change(at: number, cell: number, second: number, value: number): void {
    const before = this.#windows[at * stride];
    if (value === before) return;
    const { length } = this.#pools[cell];
    if (this.#windows[at * stride + blockAt] === 0) {
      this.#activate(at, cell);
      const first = (this.#windows[at * stride + blockAt] - 1) * length;
      this.#pools[cell].data.fill(before, first, first + length);
    }
    this.#windows[at * stride] = value;
    this.#windows[at * stride + filledAt] = second;
    this.#pools[cell].data[(this.#windows[at * stride + blockAt] - 1) * length + (second % length)] = value;
    this.#changed(this.#rowOf(at), this.cells[cell].signal);
  }

  /** A held value's next second; once the whole window is the same it needs no ring. */
  #hold(at: number, cell: number, second: number): void {
    const { data, length } = this.#pools[cell];
    const bucket = (this.#windows[at * stride + blockAt] - 1) * length + (second % length);
    if (data[bucket] !== this.#windows[at * stride]) this.#changed(this.#rowOf(at), this.cells[cell].signal);
    data[bucket] = this.#windows[at * stride];
    if (second - this.#windows[at * stride + filledAt] >= length) this.#settle(at);
  }

  #settle(at: number): void {
    const cell = this.#cellOf(at);
    const value = this.#windows[at * stride];
    this.#release(at, cell);
    if (this.#kinds[cell] === heldKind) this.#windows[at * stride] = value;
  }

  #newest(at: number, cell: number): number {
    const block = this.#windows[at * stride + blockAt] - 1;
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
    const first = (this.#windows[at * stride + blockAt] - 1) * length;
    let extreme = Number.NaN;
    for (let bucket = first; bucket < first + length; bucket++) {
      const value = data[bucket];
      if (!Number.isNaN(value) && isBeyond(kind, value, extreme)) extreme = value;
    }
    return extreme;
  }

  #activate(at: number, cell: number): void {
    this.#windows[at * stride + blockAt] = this.#pools[cell].take() + 1;
    this.#windows[at * stride + placeAt] = this.#active.count;
    this.#active.push(at);
  }

  /** Gives a ring back. */
  #release(at: number, cell: number): void {
    this.#pools[cell].give(this.#windows[at * stride + blockAt] - 1);
    this.#windows[at * stride + blockAt] = 0;
    this.#windows[at * stride] = this.#kinds[cell] === sumKind ? 0 : Number.NaN;
    const last = this.#active.cells[--this.#active.count];
    const place = this.#windows[at * stride + placeAt];
    this.#active.cells[place] = last;
    this.#windows[last * stride + placeAt] = place;
  }

  #cellOf(at: number): number {
    return this.width === 1 ? 0 : at % this.width;
  }

  #rowOf(at: number): number {
    return this.width === 1 ? at : Math.floor(at / this.width);
  }

  /** A longer copy; numbers of cells that are no sums begin with NaN. @param each numbers of a cell */
  #longer(values: Float64Array<ArrayBuffer>, rows: number, each: number): Float64Array<ArrayBuffer> {
    const longer = new Float64Array(rows * this.width * each);
    longer.set(values);
    for (let cell = 0; cell < this.width; cell++) {
      if (this.#kinds[cell] === sumKind) continue;
      for (let row = values.length / (this.width * each); row < rows; row++)
        longer[(row * this.width + cell) * each + valueAt] = Number.NaN;
    }
    return longer;
  }
}
