import type { MessageValue } from './bus.ts';
import { encodeGroupEnd, encodeMessageHeader, HEADER_BYTES } from './frame.ts';

/** One call of append that waits to be durable. */
export interface AppendCall {
  readonly values: readonly MessageValue[];
  /** Bytes on disk. */
  readonly bytes: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: unknown) => void;
}

/** When waiting calls are written. */
export interface QueueOptions {
  /** At most one write in this time. */
  readonly commitMs: number;
  /** Bytes that are written without waiting for `commitMs`. A group is at most twice as large. */
  readonly commitBytes: number;
  /** Writes a group and settles its calls. Must not reject. */
  readonly write: (group: readonly AppendCall[]) => Promise<void>;
}

/** Gathers the appends of all callers into groups, one of which is written at a time. */
export class AppendQueue {
  readonly #options: QueueOptions;
  #calls: AppendCall[] = [];
  #pendingBytes = 0;
  #lastWriteAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  /** Being written. */
  #group: readonly AppendCall[] = [];

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Bytes that wait or are being written. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Resolves with the offset of the first value once the group it is in was written. */
  push(values: readonly MessageValue[], bytes: number): Promise<number> {
    this.#pendingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#calls.push({ values, bytes, resolve, reject });
      this.#schedule();
    });
  }

  /** Messages that wait or are being written. */
  get pendingMessages(): number {
    return [...this.#group, ...this.#calls].reduce((sum, { values }) => sum + values.length, 0);
  }

  /** Rejects what waits, and what is being written: of that nobody waits for the outcome any more. */
  abandon(error: unknown): void {
    for (const call of [...this.#group, ...this.#calls.splice(0)]) call.reject(error);
  }

  /** Writes everything that waits. */
  async drain(): Promise<void> {
    while (this.#running !== undefined || this.#calls.length > 0) await this.#start();
  }

  #schedule(): void {
    if (this.#running !== undefined) return;
    const { commitMs, commitBytes } = this.#options;
    const waitMs = this.#pendingBytes >= commitBytes ? 0 : this.#lastWriteAt + commitMs - performance.now();
    if (waitMs > 0) this.#timer ??= setTimeout(() => void this.#start(), waitMs);
    else void this.#start();
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running ??= this.#writeGroup().finally(() => {
      this.#running = undefined;
      if (this.#calls.length > 0) this.#schedule();
    });
    return this.#running;
  }

  async #writeGroup(): Promise<void> {
    // Whatever is appended in this turn of the event loop goes into the same group.
    await new Promise((resolve) => setImmediate(resolve));
    this.#lastWriteAt = performance.now();
    const group = this.#take();
    this.#group = group;
    await this.#options.write(group);
    this.#group = [];
    for (const call of group) this.#pendingBytes -= call.bytes;
  }

  /** At least one call; further ones while the group stays within twice `commitBytes`. */
  #take(): AppendCall[] {
    let count = 0;
    for (let bytes = 0; count < this.#calls.length; count++) {
      bytes += this.#calls[count].bytes;
      if (count > 0 && bytes > this.#options.commitBytes * 2) break;
    }
    return this.#calls.splice(0, count);
  }
}

/** Bytes that messages take on disk. */
export function frameBytes(values: readonly MessageValue[]): number {
  let bytes = 0;
  for (const value of values) bytes += HEADER_BYTES + valueBytes(value);
  return bytes;
}

/** Length of one message. */
export function valueBytes(value: MessageValue): number {
  if (value instanceof Uint8Array) return value.byteLength;
  let bytes = 0;
  for (const part of value) bytes += part.byteLength;
  return bytes;
}

/** One durable write. */
export interface EncodedGroup {
  readonly buffers: readonly Uint8Array[];
  readonly bytes: number;
  /** Offset of the first message, and after the last one. */
  readonly first: number;
  readonly next: number;
}

/** The buffers of one write: a header before each value, and the end of the group. Values are not copied. */
export function encodeGroup(group: readonly AppendCall[], first: number): EncodedGroup {
  let count = 0;
  let bytes = HEADER_BYTES;
  for (const call of group) {
    count += call.values.length;
    bytes += call.bytes;
  }
  const headers = Buffer.allocUnsafe((count + 1) * HEADER_BYTES);
  const buffers: Uint8Array[] = [];
  let offset = first;
  let at = 0;
  for (const { values } of group) {
    for (const value of values) {
      const parts = value instanceof Uint8Array ? [value] : value;
      encodeMessageHeader(headers, at, offset++, parts);
      buffers.push(headers.subarray(at, at + HEADER_BYTES));
      for (const part of parts) if (part.byteLength > 0) buffers.push(part);
      at += HEADER_BYTES;
    }
  }
  encodeGroupEnd(headers, at, offset);
  buffers.push(headers.subarray(at));
  return { buffers, bytes, first, next: offset };
}
