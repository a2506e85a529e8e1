/** Longest name of a file (NAME_MAX), and of a Pod (RFC 1123 subdomain): what is longer is no name. */
const maxNameLength = 255;

/** A name of the wire, cut to what a name can be: lines have room for that (maxLineBytes). */
export function bounded(name: string, maxLength = maxNameLength): string {
  return name.length <= maxLength ? name : name.slice(0, maxLength);
}

/** An address of 16 bytes as hex; undefined when it has another length. */
export function addressHex(address: Uint8Array): string | undefined {
  return address.length === 16 ? Buffer.from(address.buffer, address.byteOffset, 16).toString('hex') : undefined;
}
