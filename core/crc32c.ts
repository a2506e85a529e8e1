import { nativeOrUndefined } from '../native/index.ts';

/** Castagnoli polynomial, bits reversed (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;
/** Below this the way into the addon costs more than the sum. */
const NATIVE_FROM_BYTES = 64;
const TABLES = slicingTables();

/**
 * CRC-32C (Castagnoli) of bytes as an unsigned 32-bit number, by the addon where it loads, else in JavaScript.
 * @param seed the sum of the bytes before these, to continue it
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  if (bytes.byteLength < NATIVE_FROM_BYTES) return crc32cJs(bytes, seed);
  return large(bytes, seed);
}

let large = (bytes: Uint8Array, seed: number): number => {
  const native = nativeOrUndefined();
  large = native === undefined ? crc32cJs : (input, from) => native.crc32c(input, from);
  return large(bytes, seed);
};

/** The same sum in JavaScript, eight bytes a step (slicing-by-8, Kounavis and Berry 2005). */
export function crc32cJs(bytes: Uint8Array, seed = 0): number {
  const t = TABLES;
  const end = bytes.byteLength;
  const whole = end - (end % 8);
  let crc = ~seed;
  let at = 0;
  for (; at < whole; at += 8) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      t[1792 + (crc & 255)] ^
      t[1536 + ((crc >>> 8) & 255)] ^
      t[1280 + ((crc >>> 16) & 255)] ^
      t[1024 + (crc >>> 24)] ^
      t[768 + bytes[at + 4]] ^
      t[512 + bytes[at + 5]] ^
      t[256 + bytes[at + 6]] ^
      t[bytes[at + 7]];
  }
  for (; at < end; at++) crc = t[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Table k, entry b: the sum of byte b followed by k zero bytes. */
function slicingTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const previous = tables[at - 256];
    tables[at] = tables[previous & 255] ^ (previous >>> 8);
  }
  return tables;
}
