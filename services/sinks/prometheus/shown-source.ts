import type { Family, FieldDescription } from './family.ts';

/** What a field is shown as; undefined: it is not shown. */
export interface ShownField {
  readonly family: Family;
  readonly part: FieldDescription['part'];
}

/** Fields of one source, in the order in which they were told first. */
export class ShownSource {
  readonly source: string;
  readonly fields: (ShownField | undefined)[] = [];
  readonly #places = new Map<string, number>();
  readonly #describe: (source: string, field: string) => ShownField | undefined;

  constructor(source: string, describe: (source: string, field: string) => ShownField | undefined) {
    this.source = source;
    this.#describe = describe;
  }

  placeOf(field: string): number {
    let place = this.#places.get(field);
    if (place === undefined) {
      place = this.fields.push(this.#describe(this.source, field)) - 1;
      this.#places.set(field, place);
    }
    return place;
  }
}
