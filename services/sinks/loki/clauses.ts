/** What Loki says of entries that it refuses, in the text of a 400 or 429 (pkg/validation, pkg/ingester/stream.go). */
export type Clause =
  /** `count` entries of that second are older than the oldest, or newer than the newest, that is taken. */
  | { readonly kind: 'old' | 'new'; readonly second: number; readonly count: number; readonly text: string }
  /** `count` entries of that many bytes are too long. */
  | { readonly kind: 'long'; readonly bytes: number; readonly count: number; readonly text: string }
  /** The whole stream, for its labels. */
  | { readonly kind: 'labels'; readonly text: string }
  /** `count` entries of the stream, without saying which. */
  | { readonly kind: 'metadata'; readonly count: number; readonly text: string }
  /** One entry at that time is behind what the stream takes (`oldestS`), or one too many. */
  | { readonly kind: 'behind'; readonly seconds: number; readonly nanos: number; readonly oldestS: number; readonly text: string }
  | { readonly kind: 'rate'; readonly text: string };

/** A text of Loki taken apart. */
export interface Clauses {
  readonly clauses: readonly Clause[];
  /** `total ignored: N out of M`, where it says so. */
  readonly ignored?: { readonly count: number; readonly of: number };
  /** What was not understood. */
  readonly rest: string;
}

const maxTextLength = 300;
const time = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+(?:Z|[+-]\\d\\d:\\d\\d)';
const stream = "'(?<labels>\\{.*?\\})'";

const patterns = {
  age: new RegExp(
    `entry for stream ${stream} has timestamp too (?<which>old|new): (?<at>${time})(?:, oldest acceptable timestamp is: ${time})?`,
  ),
  long: new RegExp(`max entry size '\\d+' bytes exceeded for stream ${stream} while adding an entry with length '(?<bytes>\\d+)' bytes`),
  metadata: new RegExp(`stream ${stream} has (?:structured metadata too large|too many structured metadata labels): [^;\\n]*`),
  labels: new RegExp(
    `(?:entry for stream ${stream} has \\d+ label names; limit \\d+|stream '\\{.*?\\}' has (?:label name too long|label value too long|duplicate label name): '[^']*'|missing required labels '[^']*'[^;\\n]*)`,
  ),
  ignored: new RegExp(
    `entry with timestamp (?<date>\\d{4}-\\d\\d-\\d\\d) (?<clock>[\\d:]+)(?:\\.(?<fraction>\\d+))? (?<zone>[+-]\\d{4}) \\S+ ignored, reason: '(?:entry too far behind, entry timestamp is: ${time}, oldest acceptable timestamp is: (?<oldest>${time})|(?<other>.*?))',\\n`,
  ),
} as const;
const summary = /user '[^']*', total ignored: (\d+) out of (\d+) for stream: \{.*\}/;
const counted = /^(?<count>\d+) errors like: /;

/** Takes the text of a refusal apart. Pure. */
export function parseClauses(body: string): Clauses {
  const clauses: Clause[] = [];
  const each = new RegExp(
    `(?:\\d+ errors like: )?(?:${Object.values(patterns)
      .map(({ source }) => source.replace(/\?<\w+>/g, '?:'))
      .join('|')})`,
    'g',
  );
  const total = summary.exec(body);
  const rest = body
    .replace(each, (text) => {
      clauses.push(clauseOf(text));
      return '';
    })
    .replace(summary, '')
    .replace(/[;\s]+/g, ' ')
    .trim();
  return { clauses, rest, ...(total && { ignored: { count: Number(total[1]), of: Number(total[2]) } }) };
}

function clauseOf(whole: string): Clause {
  const count = Number(counted.exec(whole)?.groups?.count ?? 1);
  const plain = whole.replace(counted, '').trim().replace(/,$/, '');
  const text = plain.length > maxTextLength ? `${plain.slice(0, maxTextLength)}…` : plain;
  const age = patterns.age.exec(plain)?.groups;
  if (age) return { kind: age.which === 'old' ? 'old' : 'new', second: Math.floor(Date.parse(age.at) / 1000), count, text };
  const long = patterns.long.exec(plain)?.groups;
  if (long) return { kind: 'long', bytes: Number(long.bytes), count, text };
  const ignored = patterns.ignored.exec(whole)?.groups;
  if (ignored?.oldest) {
    const { date, clock, fraction = '', zone, oldest } = ignored;
    const seconds = Date.parse(`${date}T${clock}${zone.slice(0, 3)}:${zone.slice(3)}`) / 1000;
    return { kind: 'behind', seconds, nanos: Number(fraction.padEnd(9, '0')), oldestS: Math.floor(Date.parse(oldest) / 1000), text };
  }
  if (ignored) return { kind: 'rate', text };
  return patterns.metadata.test(plain) ? { kind: 'metadata', count, text } : { kind: 'labels', text };
}
