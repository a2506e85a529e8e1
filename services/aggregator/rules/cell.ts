/**
 * How values of one second, and seconds of a window, become one number. `held`: the last value goes on until another
 * comes, and its window holds what it was at the end of each second.
 */
type CellKind = 'sum' | 'max' | 'min' | 'last' | 'held';

/** One number that rows keep a window of. */
export interface Cell {
  readonly kind: CellKind;
  readonly windowS: number;
  /** The signal that is read from it: told when its window changes. */
  readonly signal: number;
}

/** Told when the window of a row's cell changed: the row, and the cell's signal. */
export type ChangeListener = (row: number, signal: number) => void;

export const sumKind = 0;
const maxKind = 1;
const minKind = 2;
export const lastKind = 3;
export const heldKind = 4;
export const kindNumbers: Readonly<Record<CellKind, number>> = { sum: sumKind, max: maxKind, min: minKind, last: lastKind, held: heldKind };

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
export function isBeyond(kind: number, value: number, extreme: number): boolean {
  return kind === minKind ? !(value >= extreme) : !(value <= extreme);
}
