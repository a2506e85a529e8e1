import { messageOf } from '../../core/app-error.ts';
import { joinSignals } from '../../core/joined-signal.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import { backoffMs, sleep } from '../../core/retry.ts';
import { CollectorMessage, type GatewayBody } from '../../proto/collect.ts';
import { recordSchema } from '../../schema/record.gen.ts';
import { collectorError } from './errors.ts';
import { drained, type GatewayCall, openGatewayCall, welcome } from './gateway-call.ts';
import type { GatewayTarget } from './gateway-target.ts';
import { HoleDeclarer } from './hole-declarer.ts';
import type { CollectorMetrics } from './metrics.ts';
import { SendWindow } from './send-window.ts';
import type { Spool } from './spool.ts';

const reconnect = { initialMs: 100, maxMs: 5_000 };

export interface SenderOptions {
  readonly gateway: GatewayTarget;
  readonly version: string;
  /** Bytes that may be sent and not yet acked. */
  readonly maxInFlightBytes: number;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** The gateway wants a keyframe, or messages were lost from the spool. */
  onKeyframeRequest(reason: string): void;
}

/** How a run ended: all that can be read is acked; the signal aborted; the spool cannot be read. */
export type RunEnd = 'acked' | 'stopped' | 'unreadable';

/** Sends one session's spool to the gateway, in order, again and again until it is acked. */
export class Sender {
  readonly #spool: Spool;
  readonly #options: SenderOptions;
  readonly #window: SendWindow;
  readonly #declarer: HoleDeclarer;
  /** Reading the spool failed. */
  #unreadable = false;

  constructor(spool: Spool, options: SenderOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#window = new SendWindow(options.maxInFlightBytes, options.metrics);
    this.#declarer = new HoleDeclarer(this.#window, options.metrics, (reason) => options.onKeyframeRequest(reason));
  }

  /**
   * Runs until the signal aborts. With `lastSeq`, the end of a session of which nothing more comes, also until all of
   * it that can be read is acked, or it cannot be read at all. Never rejects while the gateway may come back.
   */
  async run(signal: AbortSignal, lastSeq = Infinity): Promise<RunEnd> {
    await this.#window.restore(this.#spool);
    const end = this.#window.ackedSeq >= lastSeq ? 'acked' : await this.#sessions(signal, lastSeq);
    await this.#window.save(this.#spool);
    this.#window.restart();
    return end;
  }

  /** Resolves when everything up to a seq is acked, or the signal aborts. */
  acked(seq: number, signal: AbortSignal): Promise<void> {
    return this.#window.reached(seq, signal);
  }

  async #sessions(signal: AbortSignal, lastSeq: number): Promise<RunEnd> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const ackedBefore = this.#window.ackedSeq;
      try {
        await this.#session(signal, lastSeq);
        if (!signal.aborted) return 'acked';
      } catch (thrown) {
        if (signal.aborted) break;
        this.#warn(thrown);
        if (this.#unreadable && lastSeq !== Infinity) return 'unreadable';
      }
      if (this.#window.ackedSeq > ackedBefore) attempt = 0;
      await sleep(backoffMs(attempt, reconnect), signal).catch(() => undefined);
    }
    return 'stopped';
  }

  async #session(signal: AbortSignal, lastSeq: number): Promise<void> {
    const call = openGatewayCall(this.#options.gateway);
    const { signal: stop, release } = joinSignals(signal, call.broken);
    this.#unreadable = false;
    try {
      call.stream.write(this.#hello());
      const ackedSeq = await welcome(call.stream, stop, (body) => this.#receive(body));
      this.#window.restart();
      this.#declarer.restart();
      await this.#send(call, ackedSeq, stop, lastSeq);
      if (lastSeq !== Infinity) await this.#finish(call, ackedSeq, stop, lastSeq);
      if (call.broken.aborted && !signal.aborted) throw call.broken.reason;
    } finally {
      call.close();
      release();
    }
  }

  /** What the gateway has already is read all the same: the item numbers are followed without a hole. */
  async #send(call: GatewayCall, ackedSeq: number, stop: AbortSignal, lastSeq: number): Promise<void> {
    if (this.#window.sentSeq >= lastSeq) return;
    try {
      for await (const fetch of this.#spool.read(this.#window.sentSeq + 1, stop, lastSeq)) {
        this.#declarer.fetched(fetch);
        for (const message of fetch.messages) {
          await this.#window.room(message.value.length, stop);
          if (stop.aborted) return;
          const bytes = this.#declarer.prepared(message);
          if (bytes !== undefined) await this.#write(call, message.offset + 1, bytes, ackedSeq, stop);
        }
      }
    } catch (thrown) {
      this.#unreadable = true;
      throw thrown;
    }
  }

  /**
   * The reader is at the end of a session: tells the items that are known to be missing there, and waits for the last ack.
   * A damaged end holds messages that nobody can ack.
   */
  async #finish(call: GatewayCall, ackedSeq: number, stop: AbortSignal, lastSeq: number): Promise<void> {
    if (stop.aborted) return;
    const unread = lastSeq - this.#window.sentSeq;
    if (unread > 0) {
      this.#options.log.warn(
        { code: 'COLLECTOR_SPOOL_END_UNREADABLE', session: this.#spool.session.session, messages: unread },
        'the last messages of an earlier session cannot be read: of their items only those are counted as skipped that other messages tell of',
      );
    }
    const closing = this.#declarer.closing(lastSeq + 1);
    if (closing !== undefined) await this.#write(call, lastSeq + 1, closing, ackedSeq, stop);
    await this.#window.reached(this.#window.sentSeq, stop);
  }

  async #write({ stream }: GatewayCall, seq: number, bytes: Buffer, ackedSeq: number, stop: AbortSignal): Promise<void> {
    this.#window.sent(seq, bytes.length);
    if (seq <= ackedSeq) this.#window.acked(seq);
    else if (!stream.write(bytes)) await drained(stream, stop);
  }

  #receive(body: GatewayBody): void {
    const { log, limiter } = this.#options;
    if (body.ack) {
      this.#window.acked(body.ack.seq ?? 0);
      this.#window.saveSoon(this.#spool);
    } else if (body.keyframeRequest) this.#options.onKeyframeRequest(body.keyframeRequest.reason ?? '');
    else if (body.settings || body.command)
      limiter.once('unknown-body', (heldBack) => log.info({ heldBack }, 'the gateway sent settings or a command; this version knows none'));
  }

  #hello(): Buffer {
    const { node, session } = this.#spool.session;
    const hello = { node, session: Buffer.from(session, 'hex'), version: this.#options.version, replay: false, schema: recordSchema };
    return Buffer.from(CollectorMessage.encode({ hello }).finish());
  }

  #warn(thrown: unknown): void {
    const { gateway, limiter, log } = this.#options;
    const error = this.#unreadable
      ? collectorError('COLLECTOR_SPOOL_UNREADABLE', { session: this.#spool.session.session, cause: messageOf(thrown) }, thrown)
      : gateway.explain(thrown);
    limiter.once(`${error.code}/${this.#spool.session.session}`, (heldBack) =>
      log.warn({ code: error.code, heldBack, remedy: error.remedy }, error.message),
    );
  }
}
