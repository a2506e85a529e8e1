import { crc32c } from '../crc32c.ts';
import type { Hole, Message } from './bus.ts';
import type { Disk } from './disk.ts';
import { FrameHeader, HEADER_BYTES, nextHeaderCandidate } from './frame.ts';

/** What one step of a cursor found. */
export interface Step {
  /** Values are views of the cursor's buffer: valid until the next step. */
  readonly messages: Message[];
  readonly holes: Hole[];
}

/** How the readable bytes of a file end: whole, with a write that was cut short, or with bytes that are no frame. */
export type Tail = { readonly kind: 'whole' | 'torn' | 'damaged'; readonly position: number };

/** Reads the frames of one segment file in order, and finds its way again after damaged bytes. */
export class SegmentCursor {
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #header = new FrameHeader();
  readonly #bufferBytes: number;
  /** Larger than `#bufferBytes` for the one step that reads a message which does not fit. */
  #nextBufferBytes: number;
  #buffer: Buffer;
  /** File position of the next frame. */
  #position: number;
  /** Offset that the next frame should carry. */
  #expected: number;
  /** Where the bytes that are no frame began; -1 outside of them. */
  #damagedFrom = -1;
  #torn = false;

  constructor(disk: Disk, fd: number, buffer: Buffer, place: { readonly offset: number; readonly position: number }) {
    this.#disk = disk;
    this.#fd = fd;
    this.#bufferBytes = buffer.byteLength;
    this.#nextBufferBytes = buffer.byteLength;
    this.#buffer = buffer;
    this.#position = place.position;
    this.#expected = place.offset;
  }

  get expected(): number {
    return this.#expected;
  }

  /** How the file ends, once a step has reached `size`. */
  get tail(): Tail {
    if (this.#damagedFrom !== -1) return { kind: 'damaged', position: this.#damagedFrom };
    return { kind: this.#torn ? 'torn' : 'whole', position: this.#position };
  }

  /** Whether nothing more can be read below `size`. */
  exhausted(size: number): boolean {
    return this.#torn || this.#position >= size;
  }

  /**
   * Reads one buffer's worth. Messages below `from` are passed over, and it stops at the offset `to`.
   * @param size readable bytes of the file
   */
  async step(size: number, from: number, to: number): Promise<Step> {
    const messages: Message[] = [];
    const holes: Hole[] = [];
    if (this.#buffer.byteLength !== this.#nextBufferBytes) this.#buffer = Buffer.allocUnsafeSlow(this.#nextBufferBytes);
    const start = this.#position;
    const wanted = Math.min(this.#buffer.byteLength, size - start);
    const length = await this.#disk.read(this.#fd, this.#buffer, wanted, start);
    // A file that is shorter than it should be ends where it ends.
    const cut = length < wanted;
    const atEnd = cut || start + length >= size;
    let nextBufferBytes = this.#bufferBytes;
    let at = 0;
    while (this.#expected < to) {
      if (length - at < HEADER_BYTES) {
        if (atEnd && (at < length || cut)) this.#torn = true;
        break;
      }
      if (!this.#header.read(this.#buffer, at) || !this.#plausible(start + at)) {
        if (this.#damagedFrom === -1) this.#damagedFrom = start + at;
        at = nextHeaderCandidate(this.#buffer, at + 1, length);
        continue;
      }
      const { offset, groupEnd } = this.#header;
      const end = at + HEADER_BYTES + this.#header.length;
      const skipped = !groupEnd && offset < from;
      if (end > length && !skipped) {
        if (atEnd) {
          this.#reach(offset, from, to, holes);
          this.#torn = true;
        } else if (at === 0) nextBufferBytes = Math.max(end, nextBufferBytes);
        break;
      }
      this.#reach(offset, from, to, holes);
      if (offset >= to) break;
      at = end;
      if (groupEnd) continue;
      this.#expected = offset + 1;
      if (skipped) continue;
      const value = this.#buffer.subarray(end - this.#header.length, end);
      if (crc32c(value) === this.#header.payloadCrc) messages.push({ offset, value });
      else pushHole(holes, offset, offset + 1);
    }
    this.#position = start + at;
    this.#nextBufferBytes = nextBufferBytes;
    return { messages, holes };
  }

  /** Offsets rise by one; behind damaged bytes they may have risen by as many messages as fitted there. */
  #plausible(position: number): boolean {
    const room = this.#damagedFrom === -1 ? 0 : Math.floor((position - this.#damagedFrom) / HEADER_BYTES);
    return this.#header.offset >= this.#expected && this.#header.offset <= this.#expected + room;
  }

  /** A good header was found: what lies between the expected offset and its own is gone. */
  #reach(offset: number, from: number, to: number, holes: Hole[]): void {
    this.#damagedFrom = -1;
    const lost = Math.max(this.#expected, from);
    const until = Math.min(offset, to);
    if (until > lost) pushHole(holes, lost, until);
    this.#expected = Math.min(offset, to);
  }
}

/** Adds a damaged range, joined to the one before when they touch. */
export function pushHole(holes: Hole[], from: number, to: number): void {
  const last = holes.at(-1);
  if (last?.to === from && last.reason === 'damaged') holes[holes.length - 1] = { ...last, to };
  else holes.push({ from, to, reason: 'damaged' });
}
