import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { type AppError, messageOf } from '../../core/app-error.ts';
import type { MessageValue } from '../../core/bus/bus.ts';
import { CollectorMessage, type GatewayBody, type Hello } from '../../proto/collect.ts';
import type { Refusal } from './authorization.ts';
import { gatewayError } from './errors.ts';
import type { BudgetedStream, MemoryBudget, PartitionBudget } from './memory-budget.ts';
import { countRefused, type GatewayMetrics } from './metrics.ts';
import { streamKey } from './positions.ts';
import { encodeReplayed, encodeStreamMessage } from './raw-encoder.ts';

/** What a stream needs from the gateway. */
export interface StreamPorts {
  partitionOf(node: string): number;
  acked(key: string): number;
  /** Durable when resolved; retried inside for as long as the bus may recover, until the signal aborts. */
  append(partition: number, values: readonly MessageValue[], signal: AbortSignal): Promise<void>;
  advance(key: string, seq: number, partition: number): void;
  readonly budget: MemoryBudget;
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
  /** Under which its position is kept. */
  readonly key: string;
  readonly replay: boolean;
  readonly partition: number;
}

/** The server side of one collector's stream: checks, appends in order, acks what is durable. */
export class CollectorStream implements BudgetedStream {
  readonly #call: ServerDuplexStream<Buffer, GatewayBody>;
  readonly #ports: StreamPorts;
  #hello: Opened | undefined;
  /** Of the partition that Hello led to. */
  #budget: PartitionBudget | undefined;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #appending = false;
  #lastSeq = 0;
  #ended = false;
  readonly #lost = new AbortController();
  readonly #reads: GatedReads;

  constructor(call: ServerDuplexStream<Buffer, GatewayBody>, ports: StreamPorts) {
    this.#call = call;
    this.#ports = ports;
    this.#reads = new GatedReads(call);
    call.on('data', (bytes: Buffer) => this.#receive(bytes));
    call.on('end', () => this.#end());
    call.on('error', () => this.#abandon());
    call.on('cancelled', () => this.#abandon());
  }

  /** Bytes that wait for durability. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Takes no more messages, but for one that is being read. */
  pause(): void {
    this.#reads.close();
  }

  resume(): void {
    this.#reads.open();
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
    this.#budget?.took(this, queuedBytes);
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
    const replay = hello.replay ?? false;
    const key = streamKey(replay ? '' : node, session);
    const partition = this.#ports.partitionOf(node);
    this.#hello = { node, session, key, replay, partition };
    this.#lastSeq = this.#ports.acked(key);
    this.#call.write({ welcome: { ackedSeq: this.#lastSeq } });
    this.#budget = this.#ports.budget.part(partition);
    this.#budget.join(this);
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
        await this.#append(batch, hello);
        const { seq } = batch[batch.length - 1];
        this.#ports.advance(hello.key, seq, hello.partition);
        if (!this.#ended) this.#call.write({ ack: { seq } });
      }
    } catch (thrown) {
      this.#refuse(messageOf(thrown), status.UNAVAILABLE);
    } finally {
      this.#appending = false;
    }
    if (this.#ended) this.#finish();
  }

  async #append(batch: readonly Queued[], { partition }: Opened): Promise<void> {
    const { metrics } = this.#ports;
    const beganMs = performance.now();
    try {
      await this.#ports.append(
        partition,
        batch.map(({ value }) => value),
        this.#lost.signal,
      );
      metrics.appends++;
      metrics.appendSeconds += (performance.now() - beganMs) / 1e3;
    } finally {
      this.#gave(batch);
    }
  }

  #gave(queued: readonly Queued[]): void {
    const bytes = queued.reduce((sum, one) => sum + one.bytes, 0);
    this.#queuedBytes -= bytes;
    this.#budget?.gave(bytes);
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
    this.#abandon();
    if (!this.#appending) this.#finish();
  }

  /** Nobody waits for an ack any more: what is not on its way to the bus is sent again, over another stream. */
  #abandon(): void {
    this.#gave(this.#queue.splice(0));
    this.#lost.abort(new Error('the stream broke off'));
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#appending) this.#finish();
  }

  #finish(): void {
    this.#budget?.leave(this);
    this.#call.end();
  }
}

/**
 * Whether a stream reads on. A stream that is only paused reads up to 16 messages ahead, of any size; this one holds back the
 * asking for the next (stream.Readable, _read).
 */
class GatedReads {
  readonly #read: () => void;
  #isOpen = true;
  #isAsked = false;

  constructor(call: Pick<ServerDuplexStream<Buffer, GatewayBody>, '_read'>) {
    const read = call._read;
    this.#read = () => read.call(call, 1);
    call._read = () => {
      this.#isAsked = true;
      if (this.#isOpen) this.open();
    };
  }

  open(): void {
    this.#isOpen = true;
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#read();
  }

  close(): void {
    this.#isOpen = false;
  }
}
