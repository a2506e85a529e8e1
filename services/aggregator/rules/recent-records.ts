import type { FarAddress } from './far-ends.ts';

/** Records of one entity that stand for all of its last ones, and its last events. */
const peerSlots = 24;
const eventSlots = 8;
const slots = peerSlots + eventSlots;
/** An entry: address (4 words), second, item (low, high), origin, weight (of an event: its order), then which selectors it is of. */
const [addressAt, secondAt, itemAt, originAt, weightAt, bitsAt] = [0, 4, 5, 7, 8, 9];
/** What came is counted anew after so many seconds: what is seldom then stands for itself again. */
const generationS = 60;
const two32 = 2 ** 32;

/** A far end of some records of an entity. */
export interface SeenPeer {
  readonly words: Int32Array;
  readonly second: number;
  /** Records that it stands for. */
  readonly weight: number;
}

/** An event of an entity. */
export interface SeenEvent {
  readonly origin: number;
  readonly item: number;
  readonly order: number;
}

/**
 * The last records of one probe by entity, flat: who was at the far end, and which selectors they were of. When many come,
 * every second, fourth, ... one stands for those beside it, so that the few that are kept speak for about a generation.
 */
export class RecentRecords {
  /** Selectors that the record at hand is of, one bit each: set before `note`. */
  readonly bits: Int32Array;
  readonly #width: number;
  #entries = new Int32Array(0);
  #entities = 0;
  /** Records of the generation by entity, and when it began. */
  #seen = new Uint32Array(0);
  #sinceS = new Int32Array(0);
  /** Slots that were written last, of peers and of events. */
  #lastPeer = new Uint8Array(0);
  #lastEvent = new Uint8Array(0);

  /** @param selectors of the probe */
  constructor(selectors: number) {
    this.bits = new Int32Array(Math.ceil(selectors / 32));
    this.#width = bitsAt + this.bits.length;
  }

  /** Takes a record in, if it is its turn to stand for others. */
  note(entity: number, second: number, address: FarAddress): void {
    if (entity >= this.#entities) this.#reach(entity);
    if (second - this.#sinceS[entity] >= generationS) {
      this.#sinceS[entity] = second;
      this.#seen[entity] = 0;
    }
    const seen = this.#seen[entity]++;
    // 1 up to the first 24, 2 up to 48, 4 up to 96.
    const weight = seen < peerSlots ? 1 : 1 << (32 - Math.clz32(Math.floor(seen / peerSlots)));
    if ((seen & (weight - 1)) !== 0) return;
    const slot = (this.#lastPeer[entity] + 1) % peerSlots;
    this.#lastPeer[entity] = slot;
    this.#write(entity * slots + slot, second, weight, address);
  }

  /** Takes an event in. */
  event(entity: number, second: number, address: FarAddress, origin: number, item: number, order: number): void {
    if (entity >= this.#entities) this.#reach(entity);
    const slot = (this.#lastEvent[entity] + 1) % eventSlots;
    this.#lastEvent[entity] = slot;
    const at = this.#write(entity * slots + peerSlots + slot, second, order, address);
    this.#entries[at + itemAt] = (item % two32) | 0;
    this.#entries[at + itemAt + 1] = Math.floor(item / two32);
    this.#entries[at + originAt] = origin;
  }

  /** Far ends of an entity's records since a second that are of one of some selectors, and have an address. */
  *peers(entity: number, selectors: readonly number[], sinceS: number): Iterable<SeenPeer> {
    for (const at of this.#found(entity, 0, peerSlots, selectors, sinceS)) {
      const words = this.#entries.slice(at + addressAt, at + addressAt + 4);
      if (words.some((word) => word !== 0)) yield { words, second: this.#entries[at + secondAt], weight: this.#entries[at + weightAt] };
    }
  }

  /** Events of an entity likewise, in no order. */
  *events(entity: number, selectors: readonly number[], sinceS: number): Iterable<SeenEvent> {
    for (const at of this.#found(entity, peerSlots, slots, selectors, sinceS)) {
      const item = (this.#entries[at + itemAt] >>> 0) + this.#entries[at + itemAt + 1] * two32;
      yield { origin: this.#entries[at + originAt], item, order: this.#entries[at + weightAt] };
    }
  }

  /** Adds the origins of all events that are kept. */
  addOrigins(origins: Set<number>): void {
    for (let slot = 0; slot < this.#entities * slots; slot++) {
      const at = slot * this.#width;
      if (slot % slots >= peerSlots && this.#entries[at + secondAt] !== 0) origins.add(this.#entries[at + originAt]);
    }
  }

  clear(entity: number): void {
    if (entity >= this.#entities) return;
    this.#entries.fill(0, entity * slots * this.#width, (entity + 1) * slots * this.#width);
    this.#seen[entity] = 0;
    this.#sinceS[entity] = 0;
  }

  /** Of the entities from one up to another. */
  image(from: number, until: number): RecentImage {
    const to = Math.min(until, this.#entities);
    return {
      from,
      entries: this.#entries.slice(from * slots * this.#width, to * slots * this.#width),
      seen: this.#seen.slice(from, to),
      sinceS: this.#sinceS.slice(from, to),
      lastPeer: this.#lastPeer.slice(from, to),
      lastEvent: this.#lastEvent.slice(from, to),
    };
  }

  restore({ from, entries, seen, sinceS, lastPeer, lastEvent }: RecentImage): void {
    if (seen.length === 0) return;
    this.#reach(from + seen.length - 1);
    this.#entries.set(entries, from * slots * this.#width);
    this.#seen.set(seen, from);
    this.#sinceS.set(sinceS, from);
    this.#lastPeer.set(lastPeer, from);
    this.#lastEvent.set(lastEvent, from);
  }

  #write(slot: number, second: number, weight: number, { w0, w1, w2, w3 }: FarAddress): number {
    const at = slot * this.#width;
    const entries = this.#entries;
    entries[at] = w0;
    entries[at + 1] = w1;
    entries[at + 2] = w2;
    entries[at + 3] = w3;
    entries[at + secondAt] = second;
    entries[at + weightAt] = weight;
    for (let word = 0; word < this.bits.length; word++) entries[at + bitsAt + word] = this.bits[word];
    return at;
  }

  *#found(entity: number, from: number, to: number, selectors: readonly number[], sinceS: number): Iterable<number> {
    if (entity >= this.#entities) return;
    for (let slot = entity * slots + from; slot < entity * slots + to; slot++) {
      const at = slot * this.#width;
      if (this.#entries[at + secondAt] <= sinceS) continue;
      if (selectors.some((selector) => (this.#entries[at + bitsAt + (selector >> 5)] & (1 << (selector & 31))) !== 0)) yield at;
    }
  }

  #reach(entity: number): void {
    if (entity < this.#entities) return;
    const entities = Math.max(entity + 1, Math.ceil(this.#entities * 1.25), 8);
    const entries = new Int32Array(entities * slots * this.#width);
    entries.set(this.#entries);
    this.#entries = entries;
    const seen = new Uint32Array(entities);
    seen.set(this.#seen);
    this.#seen = seen;
    const sinceS = new Int32Array(entities);
    sinceS.set(this.#sinceS);
    this.#sinceS = sinceS;
    const [lastPeer, lastEvent] = [new Uint8Array(entities), new Uint8Array(entities)];
    lastPeer.set(this.#lastPeer);
    lastEvent.set(this.#lastEvent);
    this.#lastPeer = lastPeer;
    this.#lastEvent = lastEvent;
    this.#entities = entities;
  }
}

/** The records of a probe in a checkpoint. Selectors are told by their places: it fits the same rules only. */
export interface RecentImage {
  readonly from: number;
  readonly entries: Int32Array;
  readonly seen: Uint32Array;
  readonly sinceS: Int32Array;
  readonly lastPeer: Uint8Array;
  readonly lastEvent: Uint8Array;
}
