import { Turn } from '../../../core/turn.ts';
import { escapedHelp } from './escape.ts';
import type { Family, FamilyDescription, FamilyRow } from './family.ts';

/** Text formats of Prometheus: 0.0.4, and OpenMetrics 1.0. */
export type TextFormat = 'text' | 'openmetrics';

/** Text is made for so long before other work gets its turn. */
const turnMs = 5;
/** Rows of one piece of text: a histogram's have some 25 lines each. */
const rowsPerPiece = 200;
/** A histogram shows at least the buckets up to 2^20 us, so that most series have the same. */
const leastBuckets = 20;
const microseconds = 1e6;
const otherLabels = 'k8s_namespace="other",k8s_node="other",k8s_pod="other"';

/** Lines in front of a family's samples. */
export function headerText({ name, type, unit, help }: Omit<FamilyDescription, 'scale'>, format: TextFormat): string {
  const family = format === 'openmetrics' && type === 'counter' ? name.replace(/_total$/, '') : name;
  const escaped = escapedHelp(help);
  if (format === 'text') return `# HELP ${family} ${escaped}\n# TYPE ${family} ${type === 'unknown' ? 'untyped' : type}\n`;
  const unitLine = unit !== undefined && family.endsWith(`_${unit}`) ? `# UNIT ${family} ${unit}\n` : '';
  return `# TYPE ${family} ${type}\n${unitLine}# HELP ${family} ${escaped.replaceAll('"', '\\"')}\n`;
}

/** Makes the text of a family anew where something changed. Several at once wait for the same. */
export async function render(family: Family): Promise<void> {
  if (family.rendering !== undefined) await family.rendering;
  if (!family.dirty) return;
  family.rendering ??= rows(family).finally(() => {
    family.rendering = undefined;
  });
  await family.rendering;
}

async function rows(family: Family): Promise<void> {
  family.dirty = false;
  family.compact();
  const { description, rows: all } = family;
  const pieces: Buffer[] = [];
  const turn = new Turn(turnMs);
  for (let from = 0; from < all.length; from += rowsPerPiece) {
    let text = '';
    const to = Math.min(all.length, from + rowsPerPiece);
    for (let at = from; at < to; at++) text += rowText(all[at], family);
    pieces.push(Buffer.from(text));
    if (turn.isOver()) await turn.next();
  }
  if (family.other.size > 0) pieces.push(Buffer.from(otherText(family, description)));
  family.text = pieces;
}

function rowText({ group, place, buckets, isOther, gone }: FamilyRow, family: Family): string {
  if (isOther || gone || (group.ended && !family.outlives)) return '';
  const { name, scale } = family.description;
  const value = group.values[place];
  if (buckets === undefined) return sample(name, group.labels, value * scale);
  const isSum = group.source.fields[place]?.part === 'sum';
  return histogramText(name, group.labels, family, isSum ? value : undefined, (bucket) => group.values[buckets[bucket] ?? -1]);
}

function otherText(family: Family, { name, scale, type }: FamilyDescription): string {
  const { other } = family;
  if (type === 'histogram') return histogramText(name, otherLabels, family, other.get('sum'), (bucket) => other.get(bucket));
  return sample(name, otherLabels, (other.get('value') ?? 0) * scale);
}

/** Bucket i counts what is below 2^i; le says so in seconds. */
function histogramText(
  name: string,
  labels: string,
  { maxBucket, description }: Family,
  sum: number | undefined,
  countOf: (bucket: number) => number | undefined,
): string {
  const comma = labels === '' ? '' : ',';
  let text = '';
  let count = 0;
  for (let bucket = 0; bucket <= Math.max(leastBuckets, maxBucket); bucket++) {
    const own = countOf(bucket);
    if (own !== undefined && !Number.isNaN(own)) count += own;
    text += `${name}_bucket{${labels}${comma}le="${2 ** bucket / microseconds}"} ${count}\n`;
  }
  text += `${name}_bucket{${labels}${comma}le="+Inf"} ${count}\n`;
  if (sum !== undefined && !Number.isNaN(sum)) text += sample(`${name}_sum`, labels, sum * description.scale);
  return text + sample(`${name}_count`, labels, count);
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`;
}
