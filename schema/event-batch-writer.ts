import { EventBatch } from '../proto/bus.ts';
import { eventBatchError } from './event-batch-errors.ts';

/** Where to render: `buffer` from `at` on. The same object each time: use it before the next call. */
export interface Reservation {
  buffer: Buffer;
  at: number;
}

const rowBytes = 8 + 8 + 8 + 2 + 1 + 2 + 1 + 2 + 2 + 2 + 2 + 4;
const two16 = 0x1_0000;
const two32 = 0x1_0000_0000;
const linesTag = (16 << 3) | 2;

/** One dictionary column: remembers its last string, because neighbours mostly agree. */
interface Column {
  indices: Uint16Array;
  last: string;
  lastIndex: number;
}

/**
 * Builds EventBatches (proto/bus.proto) row by row. The caller renders each NDJSON line straight into the
 * writer's buffer (`reserve`, `commit`), then closes the row with `add`. No object is made per row. The
 * columns take the host's byte order, which is little-endian on all platforms that are built for.
 */
export class EventBatchWriter {
  /** Rows so far. */
  count = 0;
  #lines: Buffer;
  #lineStart = 0;
  #linesEnd = 0;
  #capacity = 0;
  #time = new Uint32Array(0);
  #origins = new Uint32Array(0);
  #idNumber = new Uint32Array(0);
  #lineOffsets = new Uint32Array(0);
  #kind = new Uint8Array(0);
  #severity = new Uint8Array(0);
  readonly #columns: readonly [Column, Column, Column, Column, Column, Column];
  readonly #dictionary = new Map<string, number>();
  #dictionaryBytes = 0;
  #baseRawOffset = 0;
  #lastRawOffset = -1;
  #lastOrdinal = -1;
  readonly #reservation: Reservation;

  /** @param initialBytes Room for lines to start with; the buffer doubles when it must and is kept by `reset`. */
  constructor(initialBytes = 512 * 1024) {
    this.#lines = Buffer.allocUnsafeSlow(Math.max(64, initialBytes));
    this.#reservation = { buffer: this.#lines, at: 0 };
    this.#columns = [column(), column(), column(), column(), column(), column()];
    this.#growColumns(256);
    this.reset();
  }

  /** Size of the encoded batch in bytes, about: exact but for a few tags and lengths and for strings outside ASCII. */
  get byteLength(): number {
    return this.#linesEnd + this.count * rowBytes + this.#dictionaryBytes + 64;
  }

  /** Makes room for `maxBytes` more of the current line. Nothing is taken until `commit`. */
  reserve(maxBytes: number): Reservation {
    const end = this.#linesEnd + maxBytes;
    if (end > this.#lines.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, this.#lines.length * 2));
      larger.set(this.#lines.subarray(0, this.#linesEnd));
      this.#lines = larger;
      this.#reservation.buffer = larger;
    }
    this.#reservation.at = this.#linesEnd;
    return this.#reservation;
  }

  /** Takes `length` bytes, at most what was reserved, as the next part of the current line. */
  commit(length: number): void {
    this.#linesEnd += length;
  }

  /** Takes a line that is rendered already, its newline included. */
  putLine(line: Uint8Array | string): void {
    const length = Buffer.byteLength(line);
    const { buffer, at } = this.reserve(length);
    if (typeof line === 'string') buffer.write(line, at);
    else buffer.set(line, at);
    this.commit(length);
  }

  /** Forgets what was committed of the current line. */
  abandon(): void {
    this.#linesEnd = this.#lineStart;
  }

  /**
   * Closes the row: its line is what was committed since the row before, and ends with a newline.
   * Origins (rawOffset, ordinal) strictly increase; idNumber is a safe integer; kind and severity are
   * indices into `eventKinds` and `severities`. Throws EVENT_BATCH_MISUSED where that is not so.
   */
  add(
    timeSeconds: number,
    timeNanos: number,
    rawOffset: number,
    ordinal: number,
    idPrefix: string,
    idNumber: number,
    kind: number,
    type: string,
    severity: number,
    namespace: string,
    pod: string,
    node: string,
    podUid = '',
  ): void {
    const row = this.count;
    if (row === this.#capacity) this.#growColumns(row * 2);
    if (row === 0) this.#baseRawOffset = rawOffset;
    const rawDelta = rawOffset - this.#baseRawOffset;
    if (rawOffset < this.#lastRawOffset || (rawOffset === this.#lastRawOffset && ordinal <= this.#lastOrdinal) || rawDelta >= two32) {
      throw misused(
        `origin ${rawOffset}/${ordinal} after ${this.#lastRawOffset}/${this.#lastOrdinal}`,
        'rising origins within 2^32 raw offsets',
      );
    }
    if (this.#linesEnd === this.#lineStart || this.#lines[this.#linesEnd - 1] !== 10)
      throw misused('a line without its newline', 'one committed line a row');
    if (this.#dictionary.size > two16 - 6) throw misused(`${this.#dictionary.size} distinct strings`, 'less than 65530');

    const pair = row * 2;
    // seconds * 1e9 + nanos in 64 bits, by halves that stay exact in a double.
    const high = Math.floor(timeSeconds / two16) * 1e9;
    const low = (high % two16) * two16 + (timeSeconds % two16) * 1e9 + timeNanos;
    this.#time[pair] = low % two32;
    this.#time[pair + 1] = Math.floor(high / two16) + Math.floor(low / two32);
    this.#origins[pair] = rawDelta;
    this.#origins[pair + 1] = ordinal;
    this.#idNumber[pair] = idNumber % two32;
    this.#idNumber[pair + 1] = Math.floor(idNumber / two32);
    this.#kind[row] = kind;
    this.#severity[row] = severity;
    this.#put(this.#columns[0], row, idPrefix);
    this.#put(this.#columns[1], row, type);
    this.#put(this.#columns[2], row, namespace);
    this.#put(this.#columns[3], row, pod);
    this.#put(this.#columns[4], row, node);
    this.#put(this.#columns[5], row, podUid);
    this.#lineOffsets[row] = this.#lineStart;

    this.#lineStart = this.#linesEnd;
    this.#lastRawOffset = rawOffset;
    this.#lastOrdinal = ordinal;
    this.count = row + 1;
  }

  /**
   * The encoded EventBatch, in memory of its own. The lines are copied once. Does not reset.
   * @param firstEvent Running number of the first row in the partition's output.
   * @param appendedDay Day on which what all rows come from was appended, since 1970-01-01; 0: not told.
   */
  finish(firstEvent: number, appendedDay = 0): Uint8Array {
    const rows = this.count;
    const [idPrefix, type, namespace, pod, node, podUid] = this.#columns;
    const head = EventBatch.encode({
      baseRawOffset: this.#baseRawOffset,
      firstEvent,
      count: rows,
      timeUnixNs: bytesOf(this.#time, rows * 2),
      origins: bytesOf(this.#origins, rows * 2),
      dictionary: [...this.#dictionary.keys()],
      idPrefix: bytesOf(idPrefix.indices, rows),
      idNumber: bytesOf(this.#idNumber, rows * 2),
      kind: bytesOf(this.#kind, rows),
      type: bytesOf(type.indices, rows),
      severity: bytesOf(this.#severity, rows),
      namespace: bytesOf(namespace.indices, rows),
      pod: bytesOf(pod.indices, rows),
      node: bytesOf(node.indices, rows),
      lineOffsets: bytesOf(this.#lineOffsets, rows),
      podUid: bytesOf(podUid.indices, rows),
      ...(appendedDay > 0 && { appendedDay }),
    })
      .uint32(linesTag)
      .uint32(this.#lineStart);
    // The lines are the last field, so the rest is encoded first and they go where they stay.
    const out = Buffer.allocUnsafeSlow(head.len + this.#lineStart);
    head.finishInto(out, 0);
    out.set(this.#lines.subarray(0, this.#lineStart), head.len);
    return out;
  }

  /** Empties the batch and keeps its memory. */
  reset(): void {
    this.count = 0;
    this.#lineStart = 0;
    this.#linesEnd = 0;
    this.#baseRawOffset = 0;
    this.#lastRawOffset = -1;
    this.#lastOrdinal = -1;
    this.#dictionary.clear();
    this.#dictionary.set('', 0);
    this.#dictionaryBytes = 2;
    for (const each of this.#columns) {
      each.last = '';
      each.lastIndex = 0;
    }
  }

  #put(into: Column, row: number, value: string): void {
    if (value !== into.last) {
      let index = this.#dictionary.get(value);
      if (index === undefined) {
        index = this.#dictionary.size;
        this.#dictionary.set(value, index);
        this.#dictionaryBytes += value.length + 2;
      }
      into.last = value;
      into.lastIndex = index;
    }
    into.indices[row] = into.lastIndex;
  }

  #growColumns(rows: number): void {
    this.#capacity = rows;
    this.#time = grown(this.#time, new Uint32Array(rows * 2));
    this.#origins = grown(this.#origins, new Uint32Array(rows * 2));
    this.#idNumber = grown(this.#idNumber, new Uint32Array(rows * 2));
    this.#lineOffsets = grown(this.#lineOffsets, new Uint32Array(rows));
    this.#kind = grown(this.#kind, new Uint8Array(rows));
    this.#severity = grown(this.#severity, new Uint8Array(rows));
    for (const each of this.#columns) each.indices = grown(each.indices, new Uint16Array(rows));
  }
}

function column(): Column {
  return { indices: new Uint16Array(0), last: '', lastIndex: 0 };
}

function grown<Numbers extends Uint8Array | Uint16Array | Uint32Array>(old: Numbers, larger: Numbers): Numbers {
  larger.set(old);
  return larger;
}

function bytesOf(numbers: Uint8Array | Uint16Array | Uint32Array, length: number): Uint8Array {
  return new Uint8Array(numbers.buffer, 0, length * numbers.BYTES_PER_ELEMENT);
}

function misused(found: string, expected: string) {
  return eventBatchError('EVENT_BATCH_MISUSED', { found, expected });
}
