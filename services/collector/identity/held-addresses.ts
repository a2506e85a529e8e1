/** Addresses that namespaces of this node hold now: a set over their bytes that allocates nothing per question. */
export class HeldAddresses {
  #hashes = new Set<number>();

  /** Replaces what is held. @param addresses 16 bytes each, hex */
  set(addresses: Iterable<string>): void {
    this.#hashes = new Set();
    for (const hex of addresses) {
      const bytes = Buffer.from(hex, 'hex');
      this.#hashes.add(hashOf(bytes.readInt32LE(0), bytes.readInt32LE(4), bytes.readInt32LE(8), bytes.readInt32LE(12)));
    }
  }

  /** Whether an address, as four little-endian words, is held. */
  has(w0: number, w1: number, w2: number, w3: number): boolean {
    return this.#hashes.has(hashOf(w0, w1, w2, w3));
  }
}

/** 53 bits: among some thousand addresses two that hash alike are not to be expected. IPv4 addresses, equal in three words, never do. */
function hashOf(w0: number, w1: number, w2: number, w3: number): number {
  const high = Math.imul(w0 ^ Math.imul(w1, 0x85ebca6b) ^ Math.imul(w2, 0xc2b2ae35), 0x9e3779b1) ^ (w0 >>> 7) ^ w2;
  return (w3 >>> 0) + (high & 0x1fffff) * 2 ** 32;
}
