import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { type AppError, messageOf } from '../../core/app-error.ts';
import type { MessageValue } from '../../core/bus/bus.ts';
import { CollectorMessage, type GatewayBody, type Hello } from '../../proto/collect.ts';
import type { Refusal } from './authorization.ts';
import { gatewayError } from './errors.ts';
import { countRefused, type GatewayMetrics } from './metrics.ts';
import { encodeReplayed, encodeStreamMessage } from './raw-encoder.ts';

/** What a stream needs from the gateway. */
export interface StreamPorts {
  partitionOf(node: string): number;
  acked(session: string): number;
  /** Durable when resolved; retried inside for as long as the bus may recover. */
  append(partition: number, values: readonly MessageValue[]): Promise<void>;
  advance(session: string, seq: number, partition: number): void;
  readonly maxInFlightBytes: number;
  readonly metrics: GatewayMetrics;
  /** Why it may not write as this node; undefined when it may. */
  refusalOf(hello: Hello): Refusal | undefined;
  warn(error: AppError): void;
}

/** As RFC 1123 has it for host names; the aggregator refuses longer ones. */
const maxNodeBytes = 253;

interface Queued {
  readonly seq: number;
  readonly value: readonly [Uint8Array, Uint8Array];
  readonly bytes: number;
}

/** What Hello said. */
interface Opened {
  readonly node: string;
  readonly session: Buffer;
  readonly sessionHex: string;
  readonly replay: boolean;
  readonly partition: number;
}

/** The server side of one collector's stream: checks, appends in order, acks what is durable. */
export class CollectorStream {
  readonly #call: ServerDuplexStream<Buffer, GatewayBody>;
  readonly #ports: StreamPorts;
  #hello: Opened | undefined;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #appending = false;
  #lastSeq = 0;
  #ended = false;

  constructor(call: ServerDuplexStream<Buffer, GatewayBody>, ports: StreamPorts) {
    this.#call = call;
    this.#ports = ports;
    call.on('data', (bytes: Buffer) => this.#receive(bytes));
    call.on('end', () => this.#end());
    call.on('error', () => this.#end());
    call.on('cancelled', () => this.#end());
  }

  /** Asks the collector for a keyframe. */
  requestKeyframe(reason: string): void {
    if (this.#hello !== undefined && !this.#ended) this.#call.write({ keyframeRequest: { reason } });
  }

  /** Ends the stream; the collector comes back and goes on behind what is acked. */
  breakOff(reason: string, code: status): void {
    this.#refuse(reason, code);
  }

  #receive(bytes: Buffer): void {
    // What comes behind a failed append must not be appended either: it would be acked over the hole.
    if (this.#ended) return;
    const { metrics } = this.#ports;
    let message: CollectorMessage;
    try {
      message = CollectorMessage.decode(bytes);
    } catch (thrown) {
      this.#invalid(messageOf(thrown));
      return;
    }
    if (this.#hello === undefined) {
      this.#open(message.hello ?? undefined);
      return;
    }
    const { seq } = message;
    const items = message.batch?.count ?? 0;
    metrics.messagesIn++;
    metrics.bytesIn += bytes.length;
    metrics.itemsIn += items;
    if (!Number.isSafeInteger(seq) || seq <= 0 || message.body === undefined || message.body === 'hello') {
      this.#invalid(`it has seq ${seq} and ${message.body ?? 'no body'}`);
      return;
    }
    if (seq <= this.#lastSeq) {
      metrics.repeatedItems += items;
      return;
    }
    const { node, session, replay } = this.#hello;
    if (replay !== (message.body === 'replayed')) {
      this.#invalid(`it has the body ${message.body} in a stream ${replay ? 'that replays' : 'of records'}`);
      return;
    }
    this.#lastSeq = seq;
    const value = replay ? encodeReplayed(message.replayed ?? new Uint8Array(0), session, seq) : encodeStreamMessage(node, session, bytes);
    const queuedBytes = value[0].length + value[1].length;
    this.#queue.push({ seq, value, bytes: queuedBytes });
    this.#queuedBytes += queuedBytes;
    if (this.#queuedBytes >= this.#ports.maxInFlightBytes) this.#call.pause();
    metrics.queuedBytes += queuedBytes;
    metrics.itemsQueued += items;
    void this.#drain();
  }

  #open(hello: Hello | undefined): void {
    const node = hello?.node ?? '';
    const session = Buffer.from(hello?.session ?? []);
    const nodeBytes = Buffer.byteLength(node);
    if (hello === undefined || nodeBytes === 0 || nodeBytes > maxNodeBytes || session.length !== 16) {
      const found =
        hello === undefined ? 'something else than Hello' : `a node name of ${nodeBytes} bytes and a session of ${session.length} bytes`;
      const expected = `Hello with a node name of 1 to ${maxNodeBytes} bytes and a session of 16 bytes`;
      countRefused(this.#ports.metrics, 'hello');
      this.#refuse(gatewayError('GATEWAY_HELLO_INVALID', { found, expected }).message);
      return;
    }
    const refusal = this.#ports.refusalOf(hello);
    if (refusal !== undefined) {
      countRefused(this.#ports.metrics, refusal.reason);
      this.#ports.warn(refusal.error);
      this.#refuse(refusal.error.message, refusal.status);
      return;
    }
    const sessionHex = session.toString('hex');
    this.#hello = { node, session, sessionHex, replay: hello.replay ?? false, partition: this.#ports.partitionOf(node) };
    this.#lastSeq = this.#ports.acked(sessionHex);
    this.#call.write({ welcome: { ackedSeq: this.#lastSeq } });
  }

  /** One append at a time per stream: a retried one is never overtaken. */
  async #drain(): Promise<void> {
    if (this.#appending) return;
    this.#appending = true;
    const hello = this.#hello as Opened;
    try {
      while (this.#queue.length > 0) {
        const batch = this.#queue;
        this.#queue = [];
        const beganMs = performance.now();
        await this.#ports.append(
          hello.partition,
          batch.map(({ value }) => value),
        );
        this.#ports.metrics.appends++;
        this.#ports.metrics.appendSeconds += (performance.now() - beganMs) / 1e3;
        const bytes = batch.reduce((sum, queued) => sum + queued.bytes, 0);
        this.#queuedBytes -= bytes;
        this.#ports.metrics.queuedBytes -= bytes;
        const { seq } = batch[batch.length - 1];
        this.#ports.advance(hello.sessionHex, seq, hello.partition);
        if (!this.#ended) this.#call.write({ ack: { seq } });
        if (this.#call.isPaused() && this.#queuedBytes < this.#ports.maxInFlightBytes / 2) this.#call.resume();
      }
    } catch (thrown) {
      this.#queue = [];
      this.#ports.metrics.queuedBytes -= this.#queuedBytes;
      this.#queuedBytes = 0;
      this.#refuse(messageOf(thrown), status.UNAVAILABLE);
    } finally {
      this.#appending = false;
    }
    if (this.#ended) this.#call.end();
  }

  /** What cannot be read is counted and passed over: the aggregator sees its items as a gap. */
  #invalid(cause: string): void {
    this.#ports.metrics.invalidMessages++;
    this.#ports.warn(gatewayError('GATEWAY_MESSAGE_INVALID', { node: this.#hello?.node ?? 'unknown', cause }));
    if (this.#hello === undefined) this.#refuse(cause);
  }

  #refuse(details: string, code: status = status.INVALID_ARGUMENT): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call.emit('error', { code, details });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#appending) this.#call.end();
  }
}
