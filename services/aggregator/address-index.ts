/**
 * Who held an address, and when: open addressing on the 16 bytes of an address (IPv4 as ::ffff:a.b.c.d),
 * one chain of intervals per address. Rebuilt when identities change; look-ups allocate nothing.
 */
export class AddressIndex {
  #mask = 63;
  #shift = 26;
  #keys = new Int32Array(64 * 4);
  #heads = new Int32Array(64).fill(-1);
  #used = 0;
  readonly #entity: number[] = [];
  readonly #next: number[] = [];
  readonly #from: number[] = [];
  readonly #to: number[] = [];

  /** Adds an interval [fromBootNs, toBootNs): outer bounds of the time in which the entity held the address. */
  add(address: Uint8Array, entity: number, fromBootNs: number, toBootNs: number): void {
    const words = wordsOf(address);
    if ((this.#used + 1) * 2 > this.#mask + 1) this.#grow();
    const slot = this.#find(words[0], words[1], words[2], words[3]);
    if (this.#heads[slot] < 0) {
      this.#keys.set(words, slot * 4);
      this.#used++;
    }
    this.#next.push(this.#heads[slot]);
    this.#heads[slot] = this.#entity.length;
    this.#entity.push(entity);
    this.#from.push(fromBootNs);
    this.#to.push(toBootNs);
  }

  /**
   * The entity that may have held the address at a time.
   * @param words the address as little-endian 32-bit words
   * @returns -1 when nobody did, -2 when more than one may have
   */
  holderAt(w0: number, w1: number, w2: number, w3: number, bootNs: number): number {
    let holder = -1;
    for (let at = this.#heads[this.#find(w0, w1, w2, w3)]; at >= 0; at = this.#next[at]) {
      if (bootNs < this.#from[at] || bootNs >= this.#to[at]) continue;
      const entity = this.#entity[at];
      if (holder >= 0 && holder !== entity) return -2;
      holder = entity;
    }
    return holder;
  }

  #find(w0: number, w1: number, w2: number, w3: number): number {
    const mixed = w0 ^ Math.imul(w1, 0x85ebca6b) ^ Math.imul(w2, 0xc2b2ae35) ^ Math.imul(w3, 0x27d4eb2f);
    let slot = Math.imul(mixed ^ (mixed >>> 15), 0x9e3779b1) >>> this.#shift;
    const keys = this.#keys;
    while (this.#heads[slot] >= 0) {
      const at = slot * 4;
      if (keys[at] === (w0 | 0) && keys[at + 1] === (w1 | 0) && keys[at + 2] === (w2 | 0) && keys[at + 3] === (w3 | 0)) break;
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  #grow(): void {
    const [keys, heads] = [this.#keys, this.#heads];
    const capacity = (this.#mask + 1) * 2;
    this.#mask = capacity - 1;
    this.#shift--;
    this.#keys = new Int32Array(capacity * 4);
    this.#heads = new Int32Array(capacity).fill(-1);
    for (let old = 0; old < heads.length; old++) {
      if (heads[old] < 0) continue;
      const words = keys.subarray(old * 4, old * 4 + 4);
      const slot = this.#find(words[0], words[1], words[2], words[3]);
      this.#keys.set(words, slot * 4);
      this.#heads[slot] = heads[old];
    }
  }
}

/** An address of 16 bytes as four little-endian words. */
export function wordsOf(address: Uint8Array): [number, number, number, number] {
  const view = new DataView(address.buffer, address.byteOffset, 16);
  return [view.getInt32(0, true), view.getInt32(4, true), view.getInt32(8, true), view.getInt32(12, true)];
}
