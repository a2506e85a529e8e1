const digit0 = 48;
const hexDigits = Buffer.from('0123456789abcdef');

/**
 * Writes the pieces of a JSON line into a buffer: fragments that were encoded once, and digits by hand. Three to six
 * times cheaper than JSON.stringify of an object. The caller makes room before (`use`).
 */
export class LineBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  at = 0;

  /** Starts writing at a place that has room enough. */
  use(bytes: Uint8Array, at: number): void {
    if (this.#bytes.buffer !== bytes.buffer || this.#bytes.byteOffset !== bytes.byteOffset || this.#bytes.length !== bytes.length) {
      this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.at = at;
  }

  fragment(fragment: Uint8Array): void {
    this.#bytes.set(fragment, this.at);
    this.at += fragment.length;
  }

  /** ASCII only. */
  ascii(text: string): void {
    this.at += this.#bytes.write(text, this.at, 'latin1');
  }

  /** Text as a JSON string, quotes included. */
  json(text: string): void {
    this.at += this.#bytes.write(JSON.stringify(text), this.at, 'utf8');
  }

  byte(byte: number): void {
    this.#bytes[this.at++] = byte;
  }

  /** A non-negative safe integer in decimal. */
  integer(value: number): void {
    if (value >= 1e9) {
      this.ascii(String(value));
      return;
    }
    const bytes = this.#bytes;
    let length = 1;
    for (let limit = 10; value >= limit; limit *= 10) length++;
    let rest = value;
    for (let at = this.at + length - 1; at >= this.at; at--) {
      const next = (rest / 10) | 0;
      bytes[at] = digit0 + rest - next * 10;
      rest = next;
    }
    this.at += length;
  }

  /** A number with leading zeros. */
  padded(value: number, digits: number): void {
    let rest = value;
    for (let at = this.at + digits - 1; at >= this.at; at--) {
      const next = Math.floor(rest / 10);
      this.#bytes[at] = digit0 + rest - next * 10;
      rest = next;
    }
    this.at += digits;
  }

  /** An address of 16 bytes: dotted for ::ffff:a.b.c.d, else IPv6. */
  address(record: Uint8Array, offset: number): void {
    if (isMapped(record, offset)) this.#ipv4(record, offset + 12);
    else this.#ipv6(record, offset);
  }

  #ipv4(record: Uint8Array, offset: number): void {
    for (let i = 0; i < 4; i++) {
      if (i > 0) this.byte(46);
      this.integer(record[offset + i]);
    }
  }

  /** As RFC 5952 writes it: lower case, the longest run of two or more zero groups shortened. */
  #ipv6(record: Uint8Array, offset: number): void {
    let runAt = -1;
    let runLength = 1;
    for (let group = 0, zeros = 0; group < 8; group++) {
      zeros = group16(record, offset, group) === 0 ? zeros + 1 : 0;
      if (zeros > runLength) [runAt, runLength] = [group - zeros + 1, zeros];
    }
    for (let group = 0; group < 8; group++) {
      if (group === runAt) {
        this.ascii('::');
        group += runLength - 1;
        continue;
      }
      if (group > 0 && group !== runAt + runLength) this.byte(58);
      this.#hex(group16(record, offset, group));
    }
  }

  #hex(value: number): void {
    let shift = value > 0xfff ? 12 : value > 0xff ? 8 : value > 0xf ? 4 : 0;
    for (; shift >= 0; shift -= 4) this.byte(hexDigits[(value >>> shift) & 15]);
  }
}

/** Whether 16 bytes are an IPv4-mapped address (RFC 4291 2.5.5.2). */
function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

function group16(record: Uint8Array, offset: number, group: number): number {
  return (record[offset + group * 2] << 8) | record[offset + group * 2 + 1];
}
