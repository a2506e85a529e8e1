import type { FieldTable, Reading } from './field-table.ts';

/** A value in a text. */
export interface FoundValue {
  readonly field: string;
  /** Offset at which its digits, or their sign, begin. */
  readonly at: number;
}

/** All that a file says but its values: the same text again means the same fields. */
interface Shape extends Reading {
  /** What stands between the values, end to end, without blanks before a value. */
  readonly text: Uint8Array;
  /** Where in `text` each value's part ends; the last one is what follows the last value. */
  readonly ends: Int32Array;
}

/** Namespaces differ in the fields that the kernel prints only when they are not 0. */
const maxShapes = 32;
/** From here on a call of memcmp is cheaper than a loop. */
const longPart = 32;

const blank = 32;
const tab = 9;
const minus = 45;
const zero = 48;

/**
 * Reads texts of which only the numbers change. Names are looked for once per shape; from then on the text between the
 * numbers is compared as bytes, and numbers go from bytes to doubles. Numbers beyond 2^53 lose their last digits.
 */
export class TextParser {
  readonly #table: FieldTable;
  readonly #find: (text: string) => readonly FoundValue[];
  readonly #shapes: Shape[] = [];

  /** @param find finds the values of a text that was not seen before, in order */
  constructor(table: FieldTable, find: (text: string) => readonly FoundValue[]) {
    this.#table = table;
    this.#find = find;
  }

  /** The values; undefined when the text is not what `find` expects. Valid until the next call. */
  parse(bytes: Buffer): Reading | undefined {
    for (let i = 0; i < this.#shapes.length; i++) {
      const shape = this.#shapes[i];
      if (!fits(shape, bytes)) continue;
      if (i > 0) this.#toFront(i);
      return shape;
    }
    return this.parseAnew(bytes);
  }

  /** As parse, but looks for the names again, whatever was seen before. */
  parseAnew(bytes: Buffer): Reading | undefined {
    const text = bytes.toString('latin1');
    const found = this.#find(text);
    const shape = shapeOf(text, found, this.#table);
    if (!fits(shape, bytes)) return undefined;
    const known = this.#shapes.findIndex(({ text: before }) => Buffer.compare(before, shape.text) === 0);
    if (known >= 0) this.#shapes.splice(known, 1);
    this.#shapes.unshift(shape);
    if (this.#shapes.length > maxShapes) this.#shapes.pop();
    return shape;
  }

  #toFront(index: number): void {
    this.#shapes.unshift(...this.#shapes.splice(index, 1));
  }
}

function shapeOf(text: string, found: readonly FoundValue[], table: FieldTable): Shape {
  const parts: string[] = [];
  const columns: number[] = [];
  let at = 0;
  for (const { field, at: valueAt } of found) {
    parts.push(text.slice(at, valueAt).replace(/[ \t]+$/, ''));
    columns.push(table.indexOf(field));
    at = valueAt + (/^-?\d+/.exec(text.slice(valueAt, valueAt + 32))?.[0].length ?? 0);
  }
  parts.push(text.slice(at));
  const ends = new Int32Array(parts.length);
  parts.reduce((end, part, i) => (ends[i] = end + part.length), 0);
  return {
    table,
    columns: Int32Array.from(columns),
    values: new Float64Array(columns.length),
    text: Buffer.from(parts.join(''), 'latin1'),
    ends,
  };
}

/** Whether the text is of this shape; its values are in the shape then. */
function fits({ text, ends, values }: Shape, bytes: Buffer): boolean {
  let at = 0;
  let part = 0;
  for (let i = 0; i < values.length; i++) {
    const end = ends[i];
    if (!samePart(text, part, end, bytes, at)) return false;
    at += end - part;
    part = end;
    let byte = bytes[at];
    while (byte === blank || byte === tab) byte = bytes[++at];
    const negative = byte === minus;
    if (negative) byte = bytes[++at];
    if (!(byte >= zero && byte <= zero + 9)) return false;
    let value = 0;
    do {
      value = value * 10 + (byte - zero);
      byte = bytes[++at];
    } while (byte >= zero && byte <= zero + 9);
    values[i] = negative ? -value : value;
  }
  const rest = text.length - part;
  return bytes.length - at === rest && samePart(text, part, text.length, bytes, at);
}

function samePart(text: Uint8Array, from: number, to: number, bytes: Buffer, at: number): boolean {
  const length = to - from;
  if (at + length > bytes.length) return false;
  if (length >= longPart) return bytes.compare(text, from, to, at, at + length) === 0;
  for (let i = 0; i < length; i++) if (text[from + i] !== bytes[at + i]) return false;
  return true;
}
