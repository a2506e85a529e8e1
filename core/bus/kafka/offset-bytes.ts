/** Ranges that are kept apart; beyond, neighbours become one. */
const maxSpans = 64;

/** Offsets of a log, and the bytes that they take at the broker. */
interface Span {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly bytes: number;
}

/**
 * How many bytes ranges of offsets take, by what this process wrote and read of a partition: record batches as they lie at
 * the broker. What it has not seen is taken for as large as what it has.
 */
export class OffsetBytes {
  /** Rising, without overlap. */
  #spans: Span[] = [];

  get isEmpty(): boolean {
    return this.#spans.length === 0;
  }

  /** A range was written or read. What lies below what is known already is left out: it was told before. */
  note(from: number, to: number, bytes: number): void {
    if (to <= from || from < (this.#spans.at(-1)?.to ?? 0)) return;
    this.#spans.push({ from, to, bytes });
    if (this.#spans.length > maxSpans) this.#spans = this.#spans.flatMap((span, index) => joined(span, this.#spans[index + 1], index));
  }

  /** Forgets what is below an offset, but for the last that is known. */
  trim(earliest: number): void {
    const kept = this.#spans.filter(({ to }) => to > earliest);
    this.#spans = kept.length > 0 ? kept : this.#spans.slice(-1);
  }

  /** Mean bytes of a message; 0 while nothing is known. */
  get meanBytes(): number {
    let [bytes, messages] = [0, 0];
    for (const span of this.#spans) {
      bytes += span.bytes;
      messages += span.to - span.from;
    }
    return messages > 0 ? bytes / messages : 0;
  }

  /** Bytes of a range, about. @param meanBytes of a message that was not seen */
  estimate(from: number, to: number, meanBytes = this.meanBytes): number {
    let bytes = 0;
    let unseen = Math.max(0, to - from);
    for (const span of this.#spans) {
      const shared = Math.min(to, span.to) - Math.max(from, span.from);
      if (shared <= 0) continue;
      bytes += (span.bytes * shared) / (span.to - span.from);
      unseen -= shared;
    }
    return Math.round(bytes + unseen * meanBytes);
  }
}

/** Every second span with the one behind it; what lies between the two is taken for as large as they are. */
function joined(span: Span, next: Span | undefined, index: number): Span[] {
  if (index % 2 === 1) return [];
  if (next === undefined) return [span];
  const seen = span.to - span.from + next.to - next.from;
  return [{ from: span.from, to: next.to, bytes: ((span.bytes + next.bytes) * (next.to - span.from)) / seen }];
}
