const blank = 32;
const tab = 9;
const zero = 48;

/**
 * Reads as many decimal numbers as `values` holds, parted by blanks.
 * @returns the offset behind the last one; -1 when there are not as many
 */
export function parseNumbers(bytes: Uint8Array, from: number, values: Float64Array): number {
  let at = from;
  for (let i = 0; i < values.length; i++) {
    let byte = bytes[at];
    while (byte === blank || byte === tab) byte = bytes[++at];
    if (!(byte >= zero && byte <= zero + 9)) return -1;
    let value = 0;
    do {
      value = value * 10 + (byte - zero);
      byte = bytes[++at];
    } while (byte >= zero && byte <= zero + 9);
    values[i] = value;
  }
  return at;
}
