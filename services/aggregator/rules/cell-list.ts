/** Cells by row * width + cell. */
export class CellList {
  cells = new Int32Array(64);
  count = 0;

  push(at: number): void {
    if (this.count === this.cells.length) {
      const longer = new Int32Array(this.count * 2);
      longer.set(this.cells);
      this.cells = longer;
    }
    this.cells[this.count++] = at;
  }
}
