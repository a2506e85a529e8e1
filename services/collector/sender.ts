import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { messageOf } from '../../core/app-error.ts';
import type { Fetch } from '../../core/bus/bus.ts';
import type { Log, LogLimiter } from '../../core/log.ts';
import { backoffMs, sleep } from '../../core/retry.ts';
import { CollectorMessage, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';
import { recordSchema } from '../../schema/record.gen.ts';
import { collectorError } from './errors.ts';
import type { CollectorMetrics } from './metrics.ts';
import { SendWindow } from './send-window.ts';
import type { Spool } from './spool.ts';

const path = '/jitterscope.collect.v1.Collect/Stream';
const reconnect = { initialMs: 100, maxMs: 5_000 };

export interface SenderOptions {
  /** gRPC target of the gateway: unix:<path>. */
  readonly address: string;
  readonly version: string;
  /** Bytes that may be sent and not yet acked. */
  readonly maxInFlightBytes: number;
  readonly metrics: CollectorMetrics;
  readonly log: Log;
  readonly limiter: LogLimiter;
  /** The gateway wants a keyframe, or messages were lost from the spool. */
  onKeyframeRequest(reason: string): void;
}

/** Sends one session's spool to the gateway, in order, again and again until it is acked. */
export class Sender {
  readonly #spool: Spool;
  readonly #options: SenderOptions;
  readonly #window: SendWindow;

  constructor(spool: Spool, options: SenderOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#window = new SendWindow(options.maxInFlightBytes, options.metrics);
  }

  /** Runs until the signal aborts or, with `untilSeq`, everything up to it is acked. Never rejects while the gateway may come back. */
  async run(signal: AbortSignal, untilSeq = Infinity): Promise<void> {
    await this.#window.restore(this.#spool);
    for (let attempt = 0; !signal.aborted && this.#window.ackedSeq < untilSeq; attempt++) {
      const ackedBefore = this.#window.ackedSeq;
      try {
        await this.#session(signal, untilSeq);
      } catch (thrown) {
        if (signal.aborted) break;
        this.#warn(thrown);
      }
      if (this.#window.ackedSeq > ackedBefore) attempt = 0;
      if (this.#window.ackedSeq < untilSeq) await sleep(backoffMs(attempt, reconnect), signal).catch(() => undefined);
    }
    await this.#window.save(this.#spool);
  }

  /** Resolves when everything up to a seq is acked, or the signal aborts. */
  acked(seq: number, signal: AbortSignal): Promise<void> {
    return this.#window.reached(seq, signal);
  }

  async #session(signal: AbortSignal, untilSeq: number): Promise<void> {
    const client = new Client(this.#options.address, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
      'grpc.keepalive_time_ms': 20_000,
      'grpc.keepalive_timeout_ms': 10_000,
      'grpc.max_send_message_length': -1,
    });
    const call = client.makeBidiStreamRequest<Buffer, GatewayBody>(
      path,
      (b) => b,
      (b) => GatewayMessage.decode(b),
    );
    const broken = new AbortController();
    const stop = AbortSignal.any([signal, broken.signal]);
    call.on('error', (error) => broken.abort(error));
    call.on('end', () => broken.abort(new Error('the gateway ended the stream')));
    try {
      call.write(this.#hello());
      const ackedSeq = await welcome(call, stop, (body) => this.#receive(body));
      this.#window.restart();
      const finished = untilSeq === Infinity ? never(stop) : this.#window.reached(untilSeq, stop);
      await Promise.race([this.#send(call, ackedSeq, stop), finished]);
      if (broken.signal.aborted && !signal.aborted) throw broken.signal.reason;
    } finally {
      broken.abort(new Error('done'));
      call.cancel();
      client.close();
    }
  }

  /** What the gateway has already is read all the same: the item numbers are followed without a hole. */
  async #send(call: ClientDuplexStream<Buffer, GatewayBody>, ackedSeq: number, stop: AbortSignal): Promise<void> {
    for await (const fetch of this.#spool.read(this.#window.sentSeq + 1, stop)) {
      for (const { offset, value } of fetch.messages) {
        await this.#window.room(value.length, stop);
        const bytes = this.#prepared(value, fetch);
        this.#window.sent(offset + 1, bytes.length);
        if (offset + 1 <= ackedSeq) this.#window.acked(offset + 1);
        else if (!call.write(bytes)) await drained(call, stop);
      }
    }
  }

  /** Tells the hole before a batch, if there is one, and follows the item numbers. */
  #prepared(value: Uint8Array, fetch: Fetch): Buffer {
    // The fetch's memory is used again before HTTP/2 has written the message.
    const bytes = Buffer.from(value);
    const message = CollectorMessage.decode(bytes);
    const { batch } = message;
    if (!batch) return bytes;
    const first = batch.firstItem ?? 0;
    const missing = first - this.#window.nextItem;
    this.#window.nextItem = first + (batch.count ?? 0);
    if (missing <= 0) return bytes;
    const reason = fetch.holes.some((hole) => hole.reason === 'damaged') ? 'spool_damaged' : 'spool_full';
    const declared = (batch.skipped ?? []).some(
      (range) => (range.firstItem ?? 0) <= first - missing && (range.firstItem ?? 0) + (range.count ?? 0) >= first,
    );
    if (declared) return bytes;
    this.#options.metrics.skippedItems += missing;
    this.#options.onKeyframeRequest(reason);
    const skipped = [{ firstItem: first - missing, count: missing, reason }, ...(batch.skipped ?? [])];
    return Buffer.from(CollectorMessage.encode({ ...message, batch: { ...batch, skipped } }).finish());
  }

  #receive(body: GatewayBody): void {
    const { log } = this.#options;
    if (body.ack) {
      this.#window.acked(body.ack.seq ?? 0);
      this.#window.saveSoon(this.#spool);
    } else if (body.keyframeRequest) this.#options.onKeyframeRequest(body.keyframeRequest.reason ?? '');
    else if (body.settings || body.command) log.info({}, 'the gateway sent settings or a command; this version knows none');
  }

  #hello(): Buffer {
    const { node, session } = this.#spool.session;
    const hello = { node, session: Buffer.from(session, 'hex'), version: this.#options.version, replay: false, schema: recordSchema };
    return Buffer.from(CollectorMessage.encode({ hello }).finish());
  }

  #warn(thrown: unknown): void {
    const { address, limiter, log } = this.#options;
    const error = collectorError('COLLECTOR_STREAM_BROKEN', { address, cause: messageOf(thrown) }, thrown);
    limiter.once(error.code, (heldBack) => log.warn({ code: error.code, heldBack }, error.message));
  }
}

/** Resolves with the acked seq of the gateway's first answer; passes all later ones on. */
function welcome(call: ClientDuplexStream<Buffer, GatewayBody>, stop: AbortSignal, later: (body: GatewayBody) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    stop.addEventListener('abort', () => reject(stop.reason), { once: true });
    call.on('data', (body: GatewayBody) => {
      if (body.welcome) resolve(body.welcome.ackedSeq ?? 0);
      else later(body);
    });
  });
}

function drained(call: ClientDuplexStream<Buffer, GatewayBody>, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      stop.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    stop.addEventListener('abort', done);
  });
}

function never(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
}
