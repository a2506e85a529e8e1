import type { Family, FieldDescription } from './family.ts';

/** What a field is shown as; undefined: it is not shown. */
export interface ShownField {
  readonly family: Family;
  readonly part: FieldDescription['part'];
  /** Place of the source's first field of that family: where a group keeps its row of it. */
  readonly slot: number;
}

type Describe = (source: string, field: string) => Omit<ShownField, 'slot'> | undefined;

/** Fields of one source, in the order in which they were told first. */
export class ShownSource {
  readonly source: string;
  readonly fields: (ShownField | undefined)[] = [];
  readonly #places = new Map<string, number>();
  readonly #describe: Describe;

  constructor(source: string, describe: Describe) {
    this.source = source;
    this.#describe = describe;
  }

  placeOf(field: string): number {
    let place = this.#places.get(field);
    if (place === undefined) {
      place = this.fields.length;
      const shown = this.#describe(this.source, field);
      const first = this.fields.findIndex((other) => other !== undefined && other.family === shown?.family);
      this.fields.push(shown === undefined ? undefined : { ...shown, slot: first < 0 ? place : first });
      this.#places.set(field, place);
    }
    return place;
  }
}
