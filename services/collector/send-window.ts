import type { CollectorMetrics } from './metrics.ts';
import type { Spool } from './spool.ts';

/** How often the acked position is written down at most: what is sent again after a kill is dropped as repeats. */
const saveMs = 5_000;

/** What is sent and not yet acked: bounds it in bytes, and remembers where the session stands. */
export class SendWindow {
  /** Everything up to here is durable at the gateway. */
  ackedSeq = 0;
  /** Last seq handed to the stream. */
  sentSeq = 0;
  /** Number of the item that follows what was sent. */
  nextItem = 0;
  /** Number of the item that follows what was acked. */
  #ackedItem = 0;
  readonly #maxBytes: number;
  readonly #metrics: CollectorMetrics;
  #inFlight: { readonly seq: number; readonly bytes: number; readonly nextItem: number }[] = [];
  #bytes = 0;
  readonly #waiters = new Set<() => void>();
  #saveTimer: NodeJS.Timeout | undefined;

  constructor(maxBytes: number, metrics: CollectorMetrics) {
    this.#maxBytes = maxBytes;
    this.#metrics = metrics;
  }

  async restore(spool: Spool): Promise<void> {
    const { seq, nextItem } = await spool.acked();
    this.ackedSeq = seq;
    this.#ackedItem = nextItem;
  }

  /** A new stream: what was not acked is sent again. */
  restart(): void {
    this.sentSeq = this.ackedSeq;
    this.nextItem = this.#ackedItem;
    this.#inFlight = [];
    this.#count(-this.#bytes);
  }

  sent(seq: number, bytes: number): void {
    this.sentSeq = seq;
    this.#inFlight.push({ seq, bytes, nextItem: this.nextItem });
    this.#count(bytes);
  }

  acked(seq: number): void {
    if (seq <= this.ackedSeq) return;
    this.ackedSeq = seq;
    let done = 0;
    for (const message of this.#inFlight) {
      if (message.seq > seq) break;
      this.#count(-message.bytes);
      this.#ackedItem = message.nextItem;
      done++;
    }
    this.#inFlight.splice(0, done);
    for (const wake of [...this.#waiters]) wake();
  }

  /** Waits until so many bytes may be sent. One message always may. */
  async room(bytes: number, stop: AbortSignal): Promise<void> {
    while (!stop.aborted && this.#inFlight.length > 0 && this.#bytes + bytes > this.#maxBytes) await this.#woken(stop);
  }

  async reached(seq: number, stop: AbortSignal): Promise<void> {
    while (!stop.aborted && this.ackedSeq < seq) await this.#woken(stop);
  }

  saveSoon(spool: Spool): void {
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      // Not written down means sent again after a restart, and dropped there.
      this.#write(spool).catch(() => undefined);
    }, saveMs);
  }

  async save(spool: Spool): Promise<void> {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    await this.#write(spool).catch(() => undefined);
  }

  /** Sessions that are sent side by side share the metric. */
  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#metrics.inFlightBytes += bytes;
  }

  #write(spool: Spool): Promise<void> {
    return spool.ack({ seq: this.ackedSeq, nextItem: this.#ackedItem });
  }

  #woken(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        stop.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      stop.addEventListener('abort', wake);
    });
  }
}
