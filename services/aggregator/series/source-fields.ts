import { describeMetric, isKnownSource, isOwnSource } from '../../../schema/metrics.ts';

/**
 * Sources of one partition, and fields of one source, that the catalogue does not know: more are not plausible. What one
 * node invents must not keep others from being read, nor make each of their targets large.
 */
const maxUnknownSources = 32;
const maxUnknownFields = 512;
/** Of those with a number in their names, the catalogue knows any. */
const maxFields = 4096;

/** The fields of one source or probe over all nodes of the partition: the places of values in its series' arrays. */
export class SourceFields {
  readonly source: string;
  /** Of a probe: its fields are metric numbers, and all of them count. */
  readonly ofProbe: boolean;
  readonly fields: string[] = [];
  /** Whether the field only rises; others hold what is now. */
  readonly counts: boolean[] = [];
  readonly #places = new Map<string, number>();
  #unknown = 0;

  constructor(source: string, ofProbe: boolean, fields: readonly string[] = []) {
    this.source = source;
    this.ofProbe = ofProbe;
    for (const field of fields) this.placeOf(field);
  }

  /** The field's place, given on its first use; -1 when there are too many. */
  placeOf(field: string): number {
    const known = this.#places.get(field);
    if (known !== undefined) return known;
    if (this.fields.length >= maxFields) return -1;
    const description = this.ofProbe ? undefined : describeMetric(this.source, field);
    if (description?.known === false && ++this.#unknown > maxUnknownFields) return -1;
    const place = this.fields.push(field) - 1;
    this.#places.set(field, place);
    this.counts.push(description === undefined || description.type === 'counter');
    return place;
  }
}

/** All sources of a partition, by name. */
export class SourceTable {
  readonly all: SourceFields[] = [];
  readonly #byName = new Map<string, SourceFields>();
  #unknown = 0;

  /** The source, made with these fields on its first use; undefined when there are too many. */
  get(source: string, ofProbe: boolean, fields: readonly string[] = []): SourceFields | undefined {
    const known = this.#byName.get(source);
    if (known !== undefined) return known;
    if (!ofProbe && !isKnownSource(source) && !isOwnSource(source) && ++this.#unknown > maxUnknownSources) return undefined;
    const created = new SourceFields(source, ofProbe, fields);
    this.all.push(created);
    this.#byName.set(source, created);
    return created;
  }
}
