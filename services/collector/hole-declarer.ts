import type { Fetch, Hole, Message } from '../../core/bus/bus.ts';
import { CollectorMessage, type SkippedItems, type TimeOffset } from '../../proto/collect.ts';
import { type CollectorMetrics, countSkipped } from './metrics.ts';
import type { SendWindow } from './send-window.ts';
import { SkippedRanges, uncovered } from './skipped-ranges.ts';

/** Follows the item numbers of one session's messages on their way out, and declares the items that are missing. */
export class HoleDeclarer {
  readonly #window: SendWindow;
  readonly #metrics: CollectorMetrics;
  readonly #onHole: (reason: string) => void;
  /** What the messages themselves say is numbered: a heartbeat behind a lost batch knows more than the batches. */
  #numberedTo = 0;
  #clockOffset: TimeOffset | undefined;
  /** Holes of the spool behind the last batch. */
  #holes: readonly Hole[] = [];
  /** What was declared here: the collector may tell of the same items later. */
  readonly #told = new SkippedRanges();
  /** Holes below are counted: a message that is sent again counts none twice. */
  #countedTo = 0;

  constructor(window: SendWindow, metrics: CollectorMetrics, onHole: (reason: string) => void) {
    this.#window = window;
    this.#metrics = metrics;
    this.#onHole = onHole;
  }

  /** The messages are read again from the last ack on. */
  restart(): void {
    this.#holes = [];
  }

  /** Called with each fetch, before its messages. */
  fetched({ holes }: Fetch): void {
    this.#holes = [...this.#holes, ...holes];
  }

  /** The message as it goes out: a batch behind a hole tells of it, as does an empty one that closes a session. Undefined: the bytes are no message. */
  prepared({ offset, value }: Message, closing = false): Buffer | undefined {
    // The fetch's memory is used again before HTTP/2 has written the message.
    const bytes = Buffer.from(value);
    let message: CollectorMessage;
    try {
      message = CollectorMessage.decode(bytes);
    } catch {
      this.#holes = [...this.#holes, { from: offset, to: offset + 1, reason: 'damaged' }];
      return undefined;
    }
    const { batch, heartbeat, keyframe } = message;
    this.#numberedTo = Math.max(this.#numberedTo, heartbeat?.nextItem ?? 0, keyframe?.nextItem ?? 0);
    this.#clockOffset = batch?.clockOffset ?? heartbeat?.clockOffset ?? this.#clockOffset;
    return batch ? this.#declared(message, bytes, offset, closing) : bytes;
  }

  /** An empty batch that tells of the items missing at the end of a session; undefined if none is known to be. */
  closing(seq: number): Buffer | undefined {
    const firstItem = this.#numberedTo;
    if (firstItem <= this.#window.nextItem) return undefined;
    const message = { seq, batch: { firstItem, count: 0, clockOffset: this.#clockOffset ?? null } };
    return this.prepared({ offset: seq - 1, value: CollectorMessage.encode(message).finish() }, true);
  }

  #declared(message: CollectorMessage, bytes: Buffer, offset: number, closing: boolean): Buffer {
    const batch = message.batch ?? {};
    const first = batch.firstItem ?? 0;
    const own = (batch.skipped ?? []).flatMap((range) => this.#untold(range));
    const holes = this.#holes.filter(({ from }) => from < offset);
    this.#holes = this.#holes.filter(({ from }) => from > offset);
    // Without a hole in the spool the items were refused by it: the collector tells of them itself, unless it is gone.
    const missing = holes.length > 0 || closing ? uncovered(this.#window.nextItem, first, batch.skipped ?? []) : [];
    this.#window.nextItem = first + (batch.count ?? 0);
    if (missing.length === 0 && own.length === (batch.skipped ?? []).length) return bytes;
    const reason = holes.length === 0 ? 'disk_full' : holes.some((hole) => hole.reason === 'damaged') ? 'spool_damaged' : 'spool_full';
    for (const { from, to } of missing) {
      this.#count(from, to, reason);
      this.#told.add(from, to - from, reason);
    }
    if (missing.length > 0) this.#onHole(reason);
    const declared = missing.map(({ from, to }) => ({ firstItem: from, count: to - from, reason }));
    const skipped = [...declared, ...own].sort((a, b) => (a.firstItem ?? 0) - (b.firstItem ?? 0));
    return Buffer.from(CollectorMessage.encode({ ...message, batch: { ...batch, skipped } }).finish());
  }

  /** The parts of a batch's own range that were not told as a hole before. */
  #untold({ firstItem, count, reason }: SkippedItems): SkippedItems[] {
    const first = firstItem ?? 0;
    const parts = uncovered(first, first + (count ?? 0), this.#told.all);
    return parts.map(({ from, to }) => ({ firstItem: from, count: to - from, reason: reason ?? '' }));
  }

  #count(from: number, to: number, reason: string): void {
    countSkipped(this.#metrics, reason, Math.max(0, to - Math.max(from, this.#countedTo)));
    this.#countedTo = Math.max(this.#countedTo, to);
  }
}
