import { join } from 'node:path';

const pattern = /^(\d+)-(\d{6,})\.ndjson(\.gz|\.gz\.tmp)?$/;

/** A file of the sink, as its name says. */
export interface EventFile {
  readonly name: string;
  readonly partition: number;
  readonly seq: number;
  readonly kind: 'plain' | 'gzip' | 'partial';
}

/** Path of a partition's file: `<partition>-<seq, 6 digits>.ndjson`. */
export function pathOf(dir: string, partition: number, seq: number): string {
  return join(dir, `${partition}-${String(seq).padStart(6, '0')}.ndjson`);
}

/** What a name in the folder stands for; undefined: not one of the sink's. */
export function parseName(name: string): EventFile | undefined {
  const match = pattern.exec(name);
  if (match === null) return undefined;
  const kind = match[3] === undefined ? 'plain' : match[3] === '.gz' ? 'gzip' : 'partial';
  return { name, partition: Number(match[1]), seq: Number(match[2]), kind };
}
