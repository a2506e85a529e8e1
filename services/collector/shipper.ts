import { mkdir } from 'node:fs/promises';
import { messageOf } from '../../core/app-error.ts';
import type { BusObserver } from '../../core/bus/bus.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import { type CollectorBody, CollectorMessage } from '../../proto/collect.ts';
import { collectorError } from './errors.ts';
import type { CollectorMetrics } from './metrics.ts';
import { Sender, type SenderOptions } from './sender.ts';
import { Spool, type SpooledSession } from './spool.ts';

/** Bytes that may wait for the spool's disk. */
const maxWaitingBytes = 32 * 1024 * 1024;
const messageOverheadBytes = 256;

/** What an earlier session left takes at most this part of the spool's cap. */
const leftBehindShare = 0.5;

export interface ShipperOptions {
  readonly spoolDir: string;
  readonly session: SpooledSession;
  readonly maxBytes: number;
  readonly sender: Omit<SenderOptions, 'metrics' | 'log' | 'limiter'>;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** A batch found no room on the disk. */
  refused(message: CollectorBody): void;
}

/** Takes messages to the gateway: numbers them, spools them, sends first what earlier sessions left. */
export class Shipper {
  readonly #options: ShipperOptions;
  readonly #spool: Spool;
  readonly #sender: Sender;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #seq = 1;
  #writes: Promise<void> = Promise.resolve();
  #waitingBytes = 0;

  private constructor(options: ShipperOptions, spool: Spool, older: readonly Spool[]) {
    this.#options = options;
    this.#spool = spool;
    this.#sender = new Sender(spool, this.#senderOptions());
    this.#running = this.#run(older);
  }

  static async start(options: ShipperOptions): Promise<Shipper> {
    const { spoolDir, session, maxBytes, log } = options;
    await mkdir(spoolDir, { recursive: true });
    const left = (await Spool.leftBehind(spoolDir, session.node)).filter((old) => old.session !== session.session);
    const observer: BusObserver = {
      lost: ({ reason, messages, bytes }) =>
        log.warn({ reason, messages, bytes }, 'the spool lost messages; their items are counted as skipped'),
    };
    const older: Spool[] = [];
    for (const old of left) {
      try {
        older.push(await Spool.open(spoolDir, old, Math.floor(maxBytes * leftBehindShare), observer));
      } catch (thrown) {
        log.error(
          { session: old.session, cause: messageOf(thrown) },
          'the spool of an earlier session cannot be opened; it is left where it is',
        );
      }
    }
    const share = older.length === 0 ? 1 : 1 - leftBehindShare;
    return new Shipper(options, await Spool.open(spoolDir, session, Math.floor(maxBytes * share), observer), older);
  }

  /** Spools a message; it is sent as soon as the gateway takes it. */
  ship(body: CollectorBody): void {
    const bytes = (body.batch?.records?.length ?? 0) + messageOverheadBytes;
    // A disk that hangs must not fill the memory.
    if (this.#waitingBytes + bytes > maxWaitingBytes) {
      this.#refuse(body, `${this.#waitingBytes} bytes wait to be written`);
      return;
    }
    this.#waitingBytes += bytes;
    this.#writes = this.#writes.then(async () => {
      try {
        await this.#spool.append(CollectorMessage.encode({ ...body, seq: this.#seq }).finish());
        this.#seq++;
      } catch (thrown) {
        this.#refuse(body, messageOf(thrown), thrown);
      }
      this.#waitingBytes -= bytes;
    });
  }

  #refuse(body: CollectorBody, cause: string, thrown?: unknown): void {
    const { limiter, log, refused } = this.#options;
    const error = collectorError('COLLECTOR_SPOOL_REFUSED', { cause }, thrown);
    limiter.once(error.code, (heldBack) => log.error({ code: error.code, heldBack, remedy: error.remedy }, error.message));
    refused(body);
  }

  /** Waits until all is acked, at most graceMs; returns how many messages stay in the spool for the next start. */
  async close(graceMs: number): Promise<number> {
    await this.#writes;
    const deadline = AbortSignal.timeout(graceMs);
    await this.#sender.acked(this.#seq - 1, deadline);
    this.#stopping.abort(new Error('the collector stops'));
    await this.#running;
    const { seq } = await this.#spool.acked();
    const left = this.#seq - 1 - seq;
    await (left === 0 ? this.#spool.remove() : this.#spool.close());
    return left;
  }

  async #run(older: readonly Spool[]): Promise<void> {
    const { signal } = this.#stopping;
    for (const spool of older) {
      const lastSeq = (await spool.nextSeq()) - 1;
      if (!signal.aborted) await new Sender(spool, this.#senderOptions()).run(signal, lastSeq);
      const { seq } = await spool.acked();
      await (seq >= lastSeq ? spool.remove() : spool.close());
    }
    await this.#sender.run(signal);
  }

  #senderOptions(): SenderOptions {
    const { sender, metrics, log, limiter } = this.#options;
    return { ...sender, metrics, log, limiter };
  }
}
