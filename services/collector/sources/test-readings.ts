import { readFileSync } from 'node:fs';
import type { Reading } from './field-table.ts';
import type { SourceTarget } from './source.ts';

/** A recorded file of a kernel. */
export function fixture(name: string): Buffer {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url));
}

/** The values of a reading by field. */
export function valuesOf({ table, columns, values }: Reading): Record<string, number> {
  return Object.fromEntries(Array.from(values, (value, i) => [table.fieldAt(columns[i]) ?? '', value]));
}

/** Collects what a source takes: values by target's key. */
export function collected(
  read: (take: (target: SourceTarget, reading: Reading) => void) => unknown,
): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {};
  read((target, reading) => {
    found[target.key] = valuesOf(reading);
  });
  return found;
}

/** Values of a text of paired lines, read the slow way. */
export function pairedTruth(text: string): Record<string, number> {
  const lines = text.trimEnd().split('\n');
  const truth: Record<string, number> = {};
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = (lines[i] ?? '').split(' ');
    const values = (lines[i + 1] ?? '').split(' ');
    for (let j = 1; j < names.length; j++) truth[`${names[0]?.slice(0, -1)}.${names[j]}`] = Number(values[j]);
  }
  return truth;
}
