import { FieldTable, type LayoutNumbers } from './field-table.ts';
import { type NetnsFileSource, wholeTarget } from './source.ts';
import { type FoundValue, TextParser } from './text-parser.ts';

/** A source whose file is one target: all of its values are the namespace's. */
export function textSource(
  name: string,
  file: string,
  find: (text: string) => readonly FoundValue[],
  numbers: LayoutNumbers,
  bits: 32 | 64,
): NetnsFileSource {
  const parser = new TextParser(new FieldTable(name, numbers, bits), find);
  return {
    name,
    file,
    read(bytes, take, anew) {
      const reading = anew ? parser.parseAnew(bytes) : parser.parse(bytes);
      if (reading === undefined || reading.values.length === 0) return false;
      take(wholeTarget, reading);
      return true;
    },
  };
}
