import { varintLength, writeVarint } from '../../../core/varint.ts';
import type { EventBatchView } from '../../../schema/batch.ts';
import { IdField, MetadataFields } from './metadata.ts';
import type { Stream } from './streams.ts';

/** Room in front for the tags and lengths of the request and its stream, which are known at the end. */
const headBytes = 16;
const tag = {
  streams: 0x0a,
  labels: 0x0a,
  entries: 0x12,
  timestamp: 0x0a,
  line: 0x12,
  seconds: 0x08,
  nanos: 0x10,
} as const;

/**
 * Assembles a PushRequest (proto/loki.proto) with one stream: lines and metadata are copied as bytes, no object
 * is made for an event. With snappy behind both it makes 1.2 to 1.7 times what the generated encoder does (bench/loki.bench.ts).
 */
export class PushWriter {
  #buffer: Buffer;
  readonly #id = new IdField();
  readonly #fields = new MetadataFields();

  /** @param initialBytes Room to start with; it doubles when it must and is kept. */
  constructor(initialBytes = 256 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(1024, initialBytes));
  }

  /** The request with these rows. The bytes are valid until the next call. */
  write(stream: Stream, view: EventBatchView, rows: Uint32Array): Buffer {
    const labels = Buffer.from(stream.labels);
    this.#room(headBytes, labels.length + 8);
    let at = headBytes;
    this.#buffer[at++] = tag.labels;
    at = writeVarint(this.#buffer, at, labels.length);
    at += labels.copy(this.#buffer, at);
    for (let index = 0; index < rows.length; index++) at = this.#writeEntry(at, view, rows[index]);
    const length = at - headBytes;
    const start = headBytes - 1 - varintLength(length);
    this.#buffer[start] = tag.streams;
    writeVarint(this.#buffer, start + 1, length);
    return this.#buffer.subarray(start, at);
  }

  #writeEntry(start: number, view: EventBatchView, row: number): number {
    const line = view.line(row);
    // Its newline is copied, too, and written over: cheaper than a view without it.
    const lineBytes = line.length - 1;
    const seconds = view.timeSeconds(row);
    const nanos = view.timeNanos(row);
    const timeBytes = 2 + varintLength(seconds) + varintLength(nanos);
    const fields = this.#fields.of(view, row);
    const entryBytes = 2 + timeBytes + 1 + varintLength(lineBytes) + lineBytes + this.#id.length(view, row) + fields.length;

    this.#room(start, entryBytes + 16);
    const buffer = this.#buffer;
    let at = start;
    buffer[at++] = tag.entries;
    at = writeVarint(buffer, at, entryBytes);
    buffer[at++] = tag.timestamp;
    buffer[at++] = timeBytes;
    buffer[at++] = tag.seconds;
    at = writeVarint(buffer, at, seconds);
    buffer[at++] = tag.nanos;
    at = writeVarint(buffer, at, nanos);
    buffer[at++] = tag.line;
    at = writeVarint(buffer, at, lineBytes);
    buffer.set(line, at);
    at += lineBytes;
    at = this.#id.write(buffer, at, view, row);
    buffer.set(fields, at);
    return at + fields.length;
  }

  #room(at: number, bytes: number): void {
    if (at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(at + bytes, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, at));
    this.#buffer = larger;
  }
}
