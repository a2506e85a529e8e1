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

/** The windows of cells, flat: rings of one bucket a second that exist only while there is something in them. Cells are told by row * width + cell. */
export class CellRings {
  /** The last second that was folded. */
  foldedS = 0;
  readonly #cells: readonly Cell[];
  readonly #width: number;
  readonly #kinds: Uint8Array;
  readonly #pools: readonly RingPool[];
  readonly #changed: ChangeListener;
  /** Four numbers for each cell, side by side: see the offsets above. */
  #windows = new Float64Array(0);
  /** Rings that hold something, in no particular order. */
  readonly #active = new CellList();

  constructor(cells: readonly Cell[], pools: RingPools, changed: ChangeListener) {
    this.#cells = cells;
    this.#width = cells.length;
    this.#kinds = Uint8Array.from(cells, ({ kind }) => kindNumbers[kind]);
    this.#pools = cells.map(({ kind, windowS }) => pools.of(windowS, kind === 'sum' ? 0 : Number.NaN));
    this.#changed = changed;
  }

  /** Makes room for so many rows. */
  reach(rows: number): void {
    this.#windows = longerOf(this.#windows, rows, this.#kinds, stride);
  }

  /** Goes to a second without looking at those between: all windows must be empty, or their values held. */
  skipTo(second: number): void {
    for (let index = this.#active.count - 1; index >= 0; index--) this.#settle(this.#active.cells[index]);
    this.foldedS = second;
  }

  /** Whether there is something in the window. */
  has(at: number, cell: number): boolean {
    return this.#kinds[cell] === heldKind ? !Number.isNaN(this.#windows[at * stride]) : this.#windows[at * stride + blockAt] > 0;
  }

  /** The aggregate of the window: 0 of an empty sum, else NaN; of a held value what it is now. */
  value(at: number, cell: number): number {
    return this.#kinds[cell] === lastKind ? this.#newest(at, cell) : this.#windows[at * stride];
  }

  /** The sum of a window, or its extreme, whatever its kind. */
  total(at: number): number {
    return this.#windows[at * stride];
  }

  /** The value of one second of a window; 0 of a sum without any, else NaN. @param back seconds before the last that was folded */
  bucket(at: number, cell: number, back: number): number {
    const kind = this.#kinds[cell];
    const block = this.#windows[at * stride + blockAt] - 1;
    if (block < 0) return kind === heldKind ? this.#windows[at * stride] : kind === sumKind ? 0 : Number.NaN;
    const { data, length } = this.#pools[cell];
    return data[block * length + ((this.foldedS - back) % length)];
  }

  /** Empties a window. */
  clear(at: number, cell: number): void {
    if (this.#windows[at * stride + blockAt] > 0) this.#release(at, cell);
    const value = this.#windows[at * stride];
    if (!Number.isNaN(value) && value !== 0) this.#changed(this.#rowOf(at), this.#cells[cell].signal);
    this.#windows[at * stride] = this.#kinds[cell] === sumKind ? 0 : Number.NaN;
    this.#windows[at * stride + filledAt] = 0;
  }

  /** The rings' oldest second goes, and the next takes its place. */
  expire(second: number): void {
    this.foldedS = second;
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
      this.#changed(this.#rowOf(at), this.#cells[cell].signal);
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
  put(at: number, cell: number, second: number, value: number): void {
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
    this.#changed(this.#rowOf(at), this.#cells[cell].signal);
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
    this.#changed(this.#rowOf(at), this.#cells[cell].signal);
  }

  /** A held value's next second; once the whole window is the same it needs no ring. */
  #hold(at: number, cell: number, second: number): void {
    const { data, length } = this.#pools[cell];
    const bucket = (this.#windows[at * stride + blockAt] - 1) * length + (second % length);
    if (data[bucket] !== this.#windows[at * stride]) this.#changed(this.#rowOf(at), this.#cells[cell].signal);
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
      const value = data[block * length + ((this.foldedS - back) % length)];
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

  /** What the windows of a cell's rows hold, for a checkpoint; rows that hold nothing are left out. @param open what is in open seconds: even, odd */
  image(cell: number, from: number, to: number, open: readonly [Float64Array, Float64Array]): CellImage {
    const isSum = this.#kinds[cell] === sumKind;
    const { data, length } = this.#pools[cell];
    const rows: number[] = [];
    const scalars: number[] = [];
    const rings: number[] = [];
    for (let row = from; row < to; row++) {
      const at = row * this.#width + cell;
      const [even, odd, value] = [open[0][at], open[1][at], this.#windows[at * stride]];
      const block = this.#windows[at * stride + blockAt];
      if (block === 0 && isEmpty(isSum, even) && isEmpty(isSum, odd) && isEmpty(isSum, value)) continue;
      rows.push(row);
      scalars.push(even, odd, value, this.#windows[at * stride + filledAt]);
      if (block > 0) rings.push(row);
    }
    const buckets = new Float64Array(rings.length * length);
    rings.forEach((row, index) => {
      const first = (this.#windows[(row * this.#width + cell) * stride + blockAt] - 1) * length;
      buckets.set(data.subarray(first, first + length), index * length);
    });
    return { rows: Int32Array.from(rows), scalars: Float64Array.from(scalars), ringRows: Int32Array.from(rings), rings: buckets };
  }

  /** Takes back what `image` gave of a cell of the same kind and window. There must be room, and `foldedS` be what it was. */
  restore(cell: number, { rows, scalars, ringRows, rings }: CellImage): void {
    rows.forEach((row, index) => {
      const at = row * this.#width + cell;
      this.#windows[at * stride] = scalars[index * 4 + 2];
      this.#windows[at * stride + filledAt] = scalars[index * 4 + 3];
    });
    const { length } = this.#pools[cell];
    ringRows.forEach((row, index) => {
      const at = row * this.#width + cell;
      this.#activate(at, cell);
      const first = (this.#windows[at * stride + blockAt] - 1) * length;
      this.#pools[cell].data.set(rings.subarray(index * length, (index + 1) * length), first);
    });
  }

  #cellOf(at: number): number {
    return this.#width === 1 ? 0 : at % this.#width;
  }

  #rowOf(at: number): number {
    return this.#width === 1 ? at : Math.floor(at / this.#width);
  }
}

/** Whether nothing was told to a number. */
export function isEmpty(isSum: boolean, value: number): boolean {
  return isSum ? value === 0 : Number.isNaN(value);
}

/** A longer copy for so many rows of cells; numbers of cells that are no sums begin with NaN. @param each numbers of a cell, of which the first is its value */
export function longerOf(values: Float64Array, rows: number, kinds: Uint8Array, each: number): Float64Array<ArrayBuffer> {
  const width = kinds.length;
  const longer = new Float64Array(rows * width * each);
  longer.set(values);
  for (let cell = 0; cell < width; cell++) {
    if (kinds[cell] === sumKind) continue;
    for (let row = values.length / (width * each); row < rows; row++) longer[(row * width + cell) * each + valueAt] = Number.NaN;
  }
  return longer;
}
