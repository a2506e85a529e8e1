import type { FamilyRow } from './family.ts';
import type { ShownSource } from './shown-source.ts';

/** Series of one source that share all labels, as they were told last. */
export class ShownGroup {
  readonly key: string;
  readonly source: ShownSource;
  /** As they stand between the braces. */
  readonly labels: string;
  /** By place of the field in the source; NaN where none was told. */
  values: Float64Array<ArrayBuffer>;
  /** By slot (ShownField): what has to be taken out when it goes. */
  readonly rows: (FamilyRow | undefined)[] = [];
  ended = false;
  /** When it goes, once it has ended: ms of the monotonic clock. */
  goneAtMs = 0;
  removed = false;
  /** Keyframe that told of it last. */
  keyframe = 0;

  constructor(key: string, source: ShownSource, labels: string) {
    this.key = key;
    this.source = source;
    this.labels = labels;
    this.values = new Float64Array(source.fields.length).fill(Number.NaN);
  }

  /** Its rows, each with its slot. */
  *shownRows(): Iterable<readonly [slot: number, row: FamilyRow]> {
    for (let slot = 0; slot < this.rows.length; slot++) {
      const row = this.rows[slot];
      if (row !== undefined) yield [slot, row];
    }
  }

  /** Makes room for a field that the source got later. */
  reach(place: number): void {
    if (place < this.values.length) return;
    const values = new Float64Array(this.source.fields.length).fill(Number.NaN);
    values.set(this.values);
    this.values = values;
  }
}
