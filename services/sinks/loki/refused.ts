import type { SentPush } from './classify.ts';
import { type Clause, parseClauses } from './clauses.ts';

/** Which entries a 400 is about. */
export interface Refused {
  /** Never taken, with the clause that says why. */
  readonly refused: ReadonlyMap<number, string>;
  /** Too far behind this stream, with the clause. */
  readonly behind: ReadonlyMap<number, string>;
  /** The stream takes nothing before this, Unix time in s. */
  readonly oldestS?: number;
  /** Whether all other entries are stored. */
  readonly isExact: boolean;
}

/**
 * Finds the entries of a push that Loki's text refuses. The distributor names all that it refuses, grouped, by second, size
 * or stream; an ingester names the first ten and their number, and what the distributor had to say is lost then.
 */
export function matchRefused(body: string, sent: SentPush): Refused {
  const { clauses, ignored, rest } = parseClauses(body);
  const refused = new Map<number, string>();
  let isExact = rest === '' && clauses.every(({ kind }) => kind !== 'rate' && kind !== 'metadata');
  for (const clause of inOrderOfChecks(clauses)) {
    const found = entriesOf(clause, sent, refused);
    if (found === undefined) continue;
    if (found.length !== countOf(clause)) isExact = false;
    for (const entry of found) refused.set(entry, clause.text);
  }
  const behind = matchBehind(clauses, sent);
  if (behind.size > 0 || ignored !== undefined) isExact &&= ignored?.count === behind.size && ignored.of === sent.count;
  const oldest = clauses.flatMap((clause) => (clause.kind === 'behind' ? [clause.oldestS] : []));
  return { refused, behind, isExact, ...(oldest.length > 0 && { oldestS: Math.max(...oldest) }) };
}

/** Loki asks for the age before the size: an entry is refused for the first. */
function inOrderOfChecks(clauses: readonly Clause[]): Clause[] {
  const order: readonly Clause['kind'][] = ['old', 'new', 'long', 'metadata', 'behind', 'rate'];
  return [...clauses].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

function countOf(clause: Clause): number {
  return 'count' in clause ? clause.count : 0;
}

/** Entries that a clause of the distributor is about and that no clause before it was; undefined: it does not tell. */
function entriesOf(clause: Clause, sent: SentPush, before: ReadonlyMap<number, string>): number[] | undefined {
  const such = (fits: (entry: number) => boolean) => range(sent.count).filter((entry) => !before.has(entry) && fits(entry));
  if (clause.kind === 'long') return such((entry) => sent.lineBytes(entry) === clause.bytes);
  if (clause.kind !== 'old' && clause.kind !== 'new') return undefined;
  // The limit may fall within the second: the oldest (newest) of it are beyond.
  const sign = clause.kind === 'old' ? 1 : -1;
  const ofSecond = such((entry) => sent.seconds(entry) === clause.second).sort((a, b) => sign * (sent.nanos(a) - sent.nanos(b)));
  return ofSecond.slice(0, clause.count);
}

/** Entries that are named one by one, and those that are older than what the stream takes for certain. */
function matchBehind(clauses: readonly Clause[], sent: SentPush): Map<number, string> {
  const behind = new Map<number, string>();
  for (const clause of clauses) {
    if (clause.kind !== 'behind') continue;
    for (const entry of range(sent.count)) {
      const isNamed = sent.seconds(entry) === clause.seconds && sent.nanos(entry) === clause.nanos;
      if (isNamed || sent.seconds(entry) < clause.oldestS) behind.set(entry, clause.text);
    }
  }
  return behind;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
