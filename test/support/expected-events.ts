import { createHash } from 'node:crypto';

/** First half of a session's event ids, as docs promise it: 16 hex digits of SHA-256(node NUL session). */
export function idPrefixOf(node: string, session: Uint8Array): string {
  return createHash('sha256').update(node).update('\0').update(session).digest('hex').slice(0, 16);
}

/** What was seen against what was expected; `examples` names some ids that are wrong. */
export interface Verdict {
  readonly missing: number;
  readonly twice: number;
  readonly unexpected: number;
  readonly examples: readonly string[];
}

/** Nothing is missing, and nothing there twice. */
export const clean: Verdict = { missing: 0, twice: 0, unexpected: 0, examples: [] };

/** Which item numbers of which sessions must become an event, and how often each was seen. */
export class ExpectedEvents {
  readonly #expected = new Map<string, Uint8Array>();
  readonly #seen = new Map<string, Uint8Array>();
  /** Events of sessions of which nothing is expected. */
  #strangers = 0;
  /** Number of expected events. */
  count = 0;

  expect(prefix: string, item: number): void {
    const items = roomFor(this.#expected, prefix, item);
    if (items[item] === 0) this.count++;
    items[item] = 1;
  }

  /** Expects an item no longer. */
  forget(prefix: string, item: number): void {
    const items = roomFor(this.#expected, prefix, item);
    if (items[item] === 1) this.count--;
    items[item] = 0;
  }

  has(prefix: string, item: number): boolean {
    return this.#expected.get(prefix)?.[item] === 1;
  }

  /** Whether any item of a session is expected. */
  knows(prefix: string): boolean {
    return this.#expected.has(prefix);
  }

  /** One event was seen; its id is prefix, '-', item. */
  seen(prefix: string, item: number): void {
    if (!this.knows(prefix)) {
      this.#strangers++;
      return;
    }
    const items = roomFor(this.#seen, prefix, item);
    if (items[item] < 255) items[item]++;
  }

  verdict(): Verdict {
    const verdict = { missing: 0, twice: 0, unexpected: this.#strangers, examples: [] as string[] };
    for (const prefix of new Set([...this.#expected.keys(), ...this.#seen.keys()])) {
      const expected = this.#expected.get(prefix) ?? new Uint8Array(0);
      const seen = this.#seen.get(prefix) ?? new Uint8Array(0);
      for (let item = 0; item < Math.max(expected.length, seen.length); item++) {
        const [wanted, found] = [expected[item] ?? 0, seen[item] ?? 0];
        if (wanted === 1 && found === 0) verdict.missing++;
        if (wanted === 0 && found > 0) verdict.unexpected++;
        if (found > 1) verdict.twice++;
        if ((wanted !== found || found > 1) && verdict.examples.length < 5)
          verdict.examples.push(`${prefix}-${item}: expected ${wanted}, seen ${found}`);
      }
    }
    return verdict;
  }

  /** The same expectations, of which nothing was seen yet; those of others can be added. */
  copy(...others: readonly ExpectedEvents[]): ExpectedEvents {
    const copy = new ExpectedEvents();
    for (const one of [this, ...others]) for (const [prefix, item] of one.expected()) copy.expect(prefix, item);
    return copy;
  }

  /** Every expected item. */
  *expected(): Generator<[prefix: string, item: number]> {
    for (const [prefix, items] of this.#expected)
      for (let item = 0; item < items.length; item++) if (items[item] === 1) yield [prefix, item];
  }
}

function roomFor(sessions: Map<string, Uint8Array>, prefix: string, item: number): Uint8Array {
  const items = sessions.get(prefix);
  if (items !== undefined && item < items.length) return items;
  const larger = new Uint8Array(Math.max(1024, 2 * (item + 1)));
  if (items !== undefined) larger.set(items);
  sessions.set(prefix, larger);
  return larger;
}
