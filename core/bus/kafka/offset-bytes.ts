/** Ranges that are kept apart; beyond, neighbours become one. */
const maxSpans = 256;
/** Whoever knows a range at so many places knows it well enough. */
const maxPlaces = 64;

/** Offsets of a log, and the bytes that they take at the broker. */
interface Span {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly bytes: number;
}

/** Messages whose bytes are known, and those bytes: of all partitions of a topic, or of one. */
export class SeenBytes {
  #bytes = 0;
  #messages = 0;

  /** Whether there are any. */
  get isEmpty(): boolean {
    return this.#messages === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Mean bytes of a message; 0 while nothing is known. */
  get meanBytes(): number {
    return this.#messages === 0 ? 0 : this.#bytes / this.#messages;
  }

  /** @param sign -1: they are forgotten */
  add({ from, to, bytes }: Span, sign: 1 | -1): void {
    this.#messages += sign * (to - from);
    this.#bytes = this.#messages === 0 ? 0 : this.#bytes + sign * bytes;
  }
}

/**
 * How many bytes ranges of offsets take, by what this process wrote and read of a partition: record batches as they lie at
 * the broker. What it has not seen is taken for as large as what it has.
 */
export class OffsetBytes {
  /** Rising, without overlap. */
  #spans: Span[] = [];
  readonly #seen = new SeenBytes();
  readonly #topic: SeenBytes;

  /** @param topic where all partitions of the topic are summed up */
  constructor(topic = new SeenBytes()) {
    this.#topic = topic;
  }

  /** A range was written or read. Of what is known already nothing changes: it was told before. */
  note(from: number, to: number, bytes: number): void {
    if (to <= from) return;
    const share = bytes / (to - from);
    const last = this.#spans.at(-1);
    const isBehindAll = last === undefined || from >= last.to;
    const added = isBehindAll ? [{ from, to, bytes }] : this.#gaps(from, to).map((gap) => ({ ...gap, bytes: share * (gap.to - gap.from) }));
    this.#spans.push(...added);
    this.#count(added, 1);
    if (!isBehindAll && added.length > 0) this.#spans.sort((one, other) => one.from - other.from);
    if (this.#spans.length > maxSpans) this.#join();
  }

  /** Forgets what is below an offset, but for the last that is known. */
  trim(earliest: number): void {
    const above = this.#spans.findIndex(({ to }) => to > earliest);
    const below = above === -1 ? this.#spans.length - 1 : above;
    if (below > 0) this.#count(this.#spans.splice(0, below), -1);
  }

  /** Forgets all. */
  clear(): void {
    this.#count(this.#spans.splice(0), -1);
  }

  /** Offset behind the last one that is known. */
  get end(): number {
    return this.#spans.at(-1)?.to ?? 0;
  }

  /** Bytes of what is known. */
  get seenBytes(): number {
    return this.#seen.bytes;
  }

  /** Mean bytes of a message, as far as it is known; else of one in the topic. */
  get meanBytes(): number {
    return this.#seen.isEmpty ? this.#topic.meanBytes : this.#seen.meanBytes;
  }

  /** Bytes of a range, about. */
  estimate(from: number, to: number): number {
    let bytes = 0;
    let unseen = Math.max(0, to - from);
    for (const span of this.#spans) {
      const shared = Math.min(to, span.to) - Math.max(from, span.from);
      if (shared <= 0) continue;
      bytes += (span.bytes * shared) / (span.to - span.from);
      unseen -= shared;
    }
    return Math.round(bytes + unseen * this.meanBytes);
  }

  /**
   * Offsets to look at for a better estimate of a range: spread at random over what is not known of it. Empty when most of
   * it is known, or enough places are.
   */
  unsure(from: number, to: number, places: number): number[] {
    const gaps = this.#gaps(from, to);
    const unseen = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
    if (unseen * 2 <= to - from || gaps.length > maxPlaces) return [];
    const found = new Set<number>();
    for (let place = 0; place < places; place++) {
      let skipped = Math.floor(((place + Math.random()) / places) * unseen);
      for (const gap of gaps) {
        if (skipped < gap.to - gap.from) {
          found.add(gap.from + skipped);
          break;
        }
        skipped -= gap.to - gap.from;
      }
    }
    return [...found];
  }

  /** What is not known of a range. */
  #gaps(from: number, to: number): { readonly from: number; readonly to: number }[] {
    const gaps = [];
    let at = from;
    for (const span of this.#spans) {
      if (span.to <= at) continue;
      if (span.from >= to) break;
      if (span.from > at) gaps.push({ from: at, to: span.from });
      at = span.to;
    }
    if (at < to) gaps.push({ from: at, to });
    return gaps;
  }

  /** Neighbours become one: first those with little between them; where that is not enough, all. */
  #join(): void {
    const close = joined(this.#spans, (gap, seen) => gap <= seen);
    this.#count(this.#spans, -1);
    this.#spans = close.length <= maxSpans * 0.75 ? close : joined(this.#spans, () => true);
    this.#count(this.#spans, 1);
  }

  #count(spans: readonly Span[], sign: 1 | -1): void {
    for (const span of spans) {
      this.#seen.add(span, sign);
      this.#topic.add(span, sign);
    }
  }
}

/** Pairs of neighbours as one, where they may be; what lies between the two is taken for as large as they are. */
function joined(spans: readonly Span[], mayJoin: (gap: number, seen: number) => boolean): Span[] {
  const found: Span[] = [];
  for (let index = 0; index < spans.length; index++) {
    const span = spans[index];
    const next = spans.at(index + 1);
    const seen = next === undefined ? 0 : span.to - span.from + next.to - next.from;
    if (next === undefined || !mayJoin(next.from - span.to, seen)) {
      found.push(span);
      continue;
    }
    found.push({ from: span.from, to: next.to, bytes: ((span.bytes + next.bytes) * (next.to - span.from)) / seen });
    index++;
  }
  return found;
}
