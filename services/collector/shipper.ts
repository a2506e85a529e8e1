import { mkdir } from 'node:fs/promises';
import { AppError, messageOf } from '../../core/app-error.ts';
import type { BusObserver } from '../../core/bus/bus.ts';
import type { PartitionStats } from '../../core/bus/partition-log.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import { isSystemError } from '../../core/system-error.ts';
import { type CollectorBody, CollectorMessage } from '../../proto/collect.ts';
import { collectorError } from './errors.ts';
import { messageBytes } from './message-size.ts';
import type { CollectorMetrics } from './metrics.ts';
import { Sender, type SenderOptions } from './sender.ts';
import { Spool, type SpooledSession } from './spool.ts';
import { fitLeftBehind } from './spool-budget.ts';

/** Bytes that may wait for the spool's disk. */
const maxWaitingBytes = 32 * 1024 * 1024;

export interface ShipperOptions {
  readonly spoolDir: string;
  readonly session: SpooledSession;
  /** Budget of all sessions on the disk. */
  readonly maxBytes: number;
  readonly sender: Omit<SenderOptions, 'metrics' | 'log' | 'limiter'>;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** A batch found no room on the disk. */
  refused(message: CollectorBody): void;
}

/** Takes messages to the gateway: numbers them, spools them, and sends beside them what earlier sessions left. */
export class Shipper {
  readonly #options: ShipperOptions;
  readonly #spool: Spool;
  readonly #sender: Sender;
  readonly #stopping = new AbortController();
  readonly #running: Promise<unknown>;
  /** Sends what earlier sessions left; ends with how many of their messages stay. */
  readonly #catchingUp: Promise<number>;
  #seq = 1;
  #writes: Promise<void> = Promise.resolve();
  #waitingBytes = 0;

  private constructor(options: ShipperOptions, spool: Spool, older: readonly SpooledSession[], observer: BusObserver) {
    this.#options = options;
    this.#spool = spool;
    this.#sender = new Sender(spool, this.#senderOptions());
    this.#running = this.#sender.run(this.#stopping.signal);
    this.#catchingUp = this.#catchUp(older, observer);
  }

  /** Rejects with COLLECTOR_SPOOL_UNUSABLE when the disk refuses. */
  static async start(options: ShipperOptions): Promise<Shipper> {
    try {
      return await Shipper.#open(options);
    } catch (thrown) {
      if (!isSystemError(thrown) && !(thrown instanceof AppError)) throw thrown;
      throw collectorError('COLLECTOR_SPOOL_UNUSABLE', { folder: options.spoolDir, cause: messageOf(thrown) }, thrown);
    }
  }

  static async #open(options: ShipperOptions): Promise<Shipper> {
    const { spoolDir, session, maxBytes, log } = options;
    await mkdir(spoolDir, { recursive: true });
    const found = (await Spool.leftBehind(spoolDir, session.node)).filter((old) => old.session !== session.session);
    const { left, ownBytes } = await fitLeftBehind(spoolDir, found, maxBytes, log);
    const observer: BusObserver = {
      lost: ({ reason, messages, bytes }) =>
        log.warn({ code: 'COLLECTOR_SPOOL_LOST', reason, messages, bytes }, 'the spool lost messages; their items are counted as skipped'),
    };
    return new Shipper(options, await Spool.open(spoolDir, session, ownBytes, observer), left, observer);
  }

  /** Spools a message; it is sent as soon as the gateway takes it. */
  ship(body: CollectorBody): void {
    const bytes = messageBytes(body);
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

  /** How full the spool of this session is. */
  stats(): PartitionStats {
    return this.#spool.stats();
  }

  /** Resolves when all that was shipped is spooled or refused. */
  async written(): Promise<void> {
    await this.#writes;
  }

  /** Waits until all is acked, at most graceMs; returns how many messages stay in the spool for the next start. */
  async close(graceMs: number): Promise<number> {
    await this.#writes;
    const deadline = AbortSignal.timeout(graceMs);
    await this.#sender.acked(this.#seq - 1, deadline);
    await Promise.race([this.#catchingUp, aborted(deadline)]);
    this.#stopping.abort(new Error('the collector stops'));
    await this.#running;
    const { seq } = await this.#spool.acked();
    const left = this.#seq - 1 - seq;
    await (left === 0 ? this.#spool.remove() : this.#spool.close());
    return left + (await this.#catchingUp);
  }

  /** One session after the other, oldest first. One that cannot be read stays where it is and holds up nothing. */
  async #catchUp(older: readonly SpooledSession[], observer: BusObserver): Promise<number> {
    let left = 0;
    for (const session of older) {
      try {
        left += await this.#sendLeftBehind(session, observer);
      } catch (thrown) {
        this.#options.log.error(
          { code: 'COLLECTOR_SPOOL_NOT_OPENED', session: session.session, cause: messageOf(thrown) },
          'the spool of an earlier session cannot be opened or removed; it is left where it is',
        );
      }
    }
    return left;
  }

  async #sendLeftBehind(session: SpooledSession, observer: BusObserver): Promise<number> {
    const { spoolDir, maxBytes, log } = this.#options;
    const spool = await Spool.open(spoolDir, session, maxBytes, observer);
    const lastSeq = (await spool.nextSeq()) - 1;
    const end = await new Sender(spool, this.#senderOptions()).run(this.#stopping.signal, lastSeq);
    const left = end === 'acked' ? 0 : lastSeq - (await spool.acked()).seq;
    await (end === 'acked' ? spool.remove() : spool.close());
    if (end === 'unreadable')
      log.error(
        { code: 'COLLECTOR_SPOOL_SET_ASIDE', session: session.session, messages: left },
        'an earlier session is set aside until the next start',
      );
    return left;
  }

  #senderOptions(): SenderOptions {
    const { sender, metrics, log, limiter } = this.#options;
    return { ...sender, metrics, log, limiter };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
