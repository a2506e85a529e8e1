/** Bytes between two places of a segment's index. */
const INDEX_STEP_BYTES = 256 * 1024;

/** One segment file of a partition. Its name is its base offset in 20 digits. */
export class Segment {
  /** Offset of its first message. */
  readonly base: number;
  readonly path: string;
  /** Durable bytes: nothing beyond them is read. */
  size: number;
  /** Offset after its last message. */
  end: number;
  /** Dropped by retention: readers leave it. */
  deleted = false;
  /** Places in the file where a frame begins, with its offset; sparse, rising. */
  readonly #offsets: number[] = [];
  readonly #positions: number[] = [];

  constructor(folder: string, base: number, size: number, end: number) {
    this.base = base;
    this.path = `${folder}/${segmentName(base)}`;
    this.size = size;
    this.end = end;
  }

  /** Records that `bytes` more are durable, up to and without the offset `end`. */
  grow(bytes: number, end: number): void {
    const indexed = this.#positions.at(-1) ?? 0;
    if (this.size - indexed >= INDEX_STEP_BYTES) {
      this.#offsets.push(this.end);
      this.#positions.push(this.size);
    }
    this.size += bytes;
    this.end = end;
  }

  /** The last known place at or before an offset: where a reader that looks for it begins. */
  placeOf(offset: number): { readonly offset: number; readonly position: number } {
    let low = 0;
    let high = this.#offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#offsets[middle] <= offset) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? { offset: this.base, position: 0 } : { offset: this.#offsets[low - 1], position: this.#positions[low - 1] };
  }
}

/** File name of the segment that begins at an offset. */
export function segmentName(base: number): string {
  return `${String(base).padStart(20, '0')}.log`;
}

/** Base offset that a file name says, or undefined if it is not a segment's. */
export function segmentBase(name: string): number | undefined {
  if (!/^\d{20}\.log$/.test(name)) return undefined;
  const base = Number(name.slice(0, 20));
  return Number.isSafeInteger(base) ? base : undefined;
}
