import type { ChangeListener } from './cell.ts';
import { DistinctWindow, type SketchImage } from './distinct-window.ts';
import { QuantileWindow } from './quantile-window.ts';

/** Windows of one signal that are more than a number: how many different values there are, or how they are spread. */
export class SketchRows {
  readonly #kind: 'distinct' | 'quantile';
  readonly #windowS: number;
  readonly #signal: number;
  readonly #changed: ChangeListener;
  readonly #rows = new Map<number, DistinctWindow | QuantileWindow>();

  constructor(kind: 'distinct' | 'quantile', windowS: number, signal: number, changed: ChangeListener) {
    this.#kind = kind;
    this.#windowS = windowS;
    this.#signal = signal;
    this.#changed = changed;
  }

  add(row: number, second: number, value: number): void {
    this.#row(row).add(second, value);
  }

  /** Adds what a log2 histogram counted of integers with so many bits. */
  addBits(row: number, second: number, bits: number, count: number): void {
    const window = this.#row(row);
    if (window instanceof QuantileWindow) window.addBits(second, bits, count);
  }

  /** A second is over. */
  fold(second: number): void {
    for (const [row, window] of this.#rows) {
      if (window.expire(second - this.#windowS)) this.#rows.delete(row);
      this.#changed(row, this.#signal);
    }
  }

  /** What a row's window up to a second says; NaN: it is empty. @param quantile of a spread */
  value(row: number, second: number, quantile: number): number {
    const window = this.#rows.get(row);
    if (window === undefined) return Number.NaN;
    const from = second - this.#windowS;
    return window instanceof QuantileWindow ? window.read(from, second, quantile) : window.read(from, second);
  }

  clear(row: number): void {
    this.#rows.delete(row);
  }

  /** Of the rows from one up to another. */
  image(from: number, to: number): (readonly [row: number, image: SketchImage])[] {
    const images: (readonly [row: number, image: SketchImage])[] = [];
    if (this.#rows.size === 0) return images;
    for (let row = from; row < to; row++) {
      const window = this.#rows.get(row);
      if (window !== undefined) images.push([row, window.image()]);
    }
    return images;
  }

  restore(images: readonly (readonly [row: number, image: SketchImage])[]): void {
    for (const [row, image] of images) this.#row(row).restore(image);
  }

  #row(row: number): DistinctWindow | QuantileWindow {
    let window = this.#rows.get(row);
    if (window === undefined) {
      window = this.#kind === 'distinct' ? new DistinctWindow() : new QuantileWindow();
      this.#rows.set(row, window);
    }
    return window;
  }
}
