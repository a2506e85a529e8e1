import type { MessageValue } from '../bus.ts';
import { busError } from '../errors.ts';
import type { Unflushed } from '../unflushed.ts';
import type { Compression } from './compression.ts';
import { errorType } from './errors.ts';
import type { BrokerLink } from './link.ts';
import { produceRequest } from './produce-request.ts';
import { encodeRecordBatch, sizeOf } from './record-batch.ts';

/** Bytes of a batch before compression, about; a message that is larger goes alone. */
const batchBytes = 1024 * 1024;
/** Bytes that may wait; beyond, callers are told to come again. */
const maxWaitingBytes = 64 * 1024 * 1024;

export interface PartitionProducerOptions {
  readonly topic: string;
  readonly partition: number;
  readonly compression: Compression;
  /** How long the replicas may take. */
  readonly timeoutMs: number;
  readonly link: BrokerLink;
  /** Told of each batch that is durable. @param batchBytes as it lies at the broker */
  produced(baseOffset: number, messages: number, bytes: number, batchBytes: number): void;
}

interface Call {
  readonly values: readonly MessageValue[];
  readonly bytes: number;
  /** Values that are durable. */
  done: number;
  /** Offset of the first value. */
  offset: number;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

/**
 * Appends to one partition: one request at a time, so that order is kept without an idempotent producer, with what came
 * meanwhile in the next. A request that fails rejects the calls that are in it; what of them was stored all the same is a
 * repeat when they come again, and known as such by whoever reads.
 */
export class PartitionProducer {
  readonly #options: PartitionProducerOptions;
  readonly #calls: Call[] = [];
  #waitingBytes = 0;
  #batches = 0;
  #running: Promise<void> | undefined;

  constructor(options: PartitionProducerOptions) {
    this.#options = options;
  }

  /** Resolves with the offset of the first value once all are durable. */
  append(values: readonly MessageValue[]): Promise<number> {
    const { topic, partition } = this.#options;
    if (this.#waitingBytes > maxWaitingBytes)
      return Promise.reject(busError('BUS_BUSY', { found: this.#waitingBytes, topic, partition, limit: maxWaitingBytes }));
    const bytes = values.reduce((sum, value) => sum + sizeOf(value), 0);
    this.#waitingBytes += bytes;
    return new Promise<number>((resolve, reject) => {
      this.#calls.push({ values, bytes, done: 0, offset: -1, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Bytes that wait for durability. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** What waits for durability, to be told. */
  get unflushed(): Unflushed {
    const messages = this.#calls.reduce((sum, { values, done }) => sum + values.length - done, 0);
    return { topic: this.#options.topic, messages, bytes: this.#waitingBytes };
  }

  /** Batches that are durable. */
  get batches(): number {
    return this.#batches;
  }

  /** Resolves when nothing waits any more. */
  async flushed(): Promise<void> {
    await this.#running;
  }

  /** Rejects what waits. */
  close(error: unknown): void {
    this.#options.link.close();
    for (const call of this.#calls.splice(0)) this.#settle(call, () => call.reject(error));
  }

  async #run(): Promise<void> {
    // What is called in the same turn goes into one batch.
    await Promise.resolve();
    while (this.#calls.length > 0) await this.#produce();
    this.#running = undefined;
  }

  async #produce(): Promise<void> {
    const { topic, partition, compression, timeoutMs, link, produced } = this.#options;
    const { values, calls } = this.#nextBatch();
    try {
      const { baseOffset, batchBytes } = await this.#send(
        values,
        () => encodeRecordBatch(values, compression, Date.now()),
        (batch) => link.send(`messages for ${topic}/${partition}`, produceRequest(topic, partition, batch, timeoutMs)),
      );
      const bytes = values.reduce((sum, value) => sum + sizeOf(value), 0);
      this.#batches++;
      produced(baseOffset, values.length, bytes, batchBytes);
      let at = baseOffset;
      for (const { call, count } of calls) {
        if (call.done === 0) call.offset = at;
        call.done += count;
        at += count;
        if (call.done === call.values.length) this.#finish(call, () => call.resolve(call.offset));
      }
    } catch (thrown) {
      for (const { call } of calls) this.#finish(call, () => call.reject(thrown));
    }
  }

  async #send(
    values: readonly MessageValue[],
    encode: () => Promise<Buffer>,
    send: (batch: Buffer) => Promise<{ readonly baseOffset: number }>,
  ): Promise<{ readonly baseOffset: number; readonly batchBytes: number }> {
    if (values.length === 0) return { baseOffset: -1, batchBytes: 0 };
    const batch = await encode();
    const sent = send(batch).catch((thrown: unknown) => {
      // The leader has changed: the next request finds the new one.
      if (errorType(thrown) !== 'NOT_LEADER_FOR_PARTITION') throw thrown;
      return send(batch);
    });
    return { ...(await sent), batchBytes: batch.length };
  }

  /** Values of the first calls up to the size of a batch, at least one. */
  #nextBatch(): { values: MessageValue[]; calls: { call: Call; count: number }[] } {
    const values: MessageValue[] = [];
    const calls: { call: Call; count: number }[] = [];
    let bytes = 0;
    for (const call of this.#calls) {
      let count = 0;
      for (const value of call.values.slice(call.done)) {
        const size = sizeOf(value);
        if (values.length > 0 && bytes + size > batchBytes) break;
        values.push(value);
        bytes += size;
        count++;
      }
      if (count > 0 || call.values.length === 0) calls.push({ call, count });
      if (call.done + count < call.values.length) break;
    }
    return { values, calls };
  }

  #finish(call: Call, settle: () => void): void {
    const index = this.#calls.indexOf(call);
    if (index === -1) return;
    this.#calls.splice(index, 1);
    this.#settle(call, settle);
  }

  #settle(call: Call, settle: () => void): void {
    this.#waitingBytes -= call.bytes;
    settle();
  }
}
