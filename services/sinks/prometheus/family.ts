import type { ShownGroup } from './shown-group.ts';

/** A metric as Prometheus sees it. */
export interface FamilyDescription {
  /** Of a counter it ends in _total. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'unknown' | 'histogram';
  /** Ends the name (before _total). */
  readonly unit?: string;
  readonly help: string;
  /** The value shown is the series' times this. */
  readonly scale: number;
}

/** What one field of a source or probe is shown as. */
export interface FieldDescription {
  readonly family: FamilyDescription;
  /** The value; of a histogram the number of a log2 bucket, or the sum of all values. */
  readonly part: 'value' | 'sum' | number;
}

/** One series of a family: a value of a group, or all buckets of a histogram. */
export interface FamilyRow {
  readonly group: ShownGroup;
  /** Places of the values in the group: the value or sum, and of a histogram the buckets by number. */
  place: number;
  readonly buckets: number[] | undefined;
  /** Beyond the cap: part of `other`. */
  readonly isOther: boolean;
  /** Taken out: it is shown no longer. */
  gone: boolean;
}

/** Rows that are gone are forgotten together, when there are more than this and than others. */
const maxStale = 256;

/** All series of one metric, and their text as it was rendered last. */
export class Family {
  readonly description: FamilyDescription;
  rows: FamilyRow[] = [];
  /** Rows that are shown by themselves. */
  own = 0;
  /** Sums of the rows beyond the cap: the value or sum, and buckets by number. Of counters only what was added since the start. */
  readonly other = new Map<'value' | 'sum' | number, number>();
  /** A value, or which series there are, has changed since the text was rendered. */
  dirty = true;
  /** Rows that are gone. */
  stale = 0;
  /** The text of all rows, cut into pieces. */
  text: readonly Buffer[] = [];
  /** Highest bucket that was told. */
  maxBucket = 0;
  /** While the text is made. */
  rendering: Promise<void> | undefined;

  constructor(description: FamilyDescription) {
    this.description = description;
  }

  /** Values of what ended are still shown, of what rises. */
  get outlives(): boolean {
    return this.description.type === 'counter' || this.description.type === 'histogram';
  }

  /** A row beyond the cap changed by so much. */
  addToOther(part: 'value' | 'sum' | number, by: number): void {
    this.other.set(part, (this.other.get(part) ?? 0) + by);
  }

  /** Takes a row out. Nobody may ever ask for the text: what is gone must not gather until then. */
  drop(row: FamilyRow): void {
    row.gone = true;
    this.dirty = true;
    if (!row.isOther) this.own--;
    this.stale++;
    if (this.stale > maxStale && this.stale * 2 > this.rows.length) this.compact();
  }

  /** Forgets the rows that are gone. */
  compact(): void {
    if (this.stale === 0) return;
    this.rows = this.rows.filter(({ gone }) => !gone);
    this.stale = 0;
  }
}
