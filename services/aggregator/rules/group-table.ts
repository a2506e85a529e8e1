import type { FarEnd } from '../far-end.ts';
import { type FarAddress, type FarEndImage, FarEnds } from './far-ends.ts';

/** Groups of one entity and signal that are told apart; beyond, the one with the least goes. */
export const maxGroups = 16;

/** What a signal groups by. */
export type GroupKind = 'value' | 'peer';

/** What is asked of the windows that groups have, one row each. */
export interface GroupRows {
  /** How much a group has: of what was not used for a whole window nothing. */
  weight(row: number): number;
  /** Another group gets the row. */
  clear(row: number): void;
}

/**
 * Which groups the entities of one signal have: entity e has the rows from e * 16 on. A new group takes a free row, else
 * that of the group with the least in its window, of equals the next one behind the one that went before. What a group had when
 * it went is not passed on, so no value is ever overstated.
 */
export class GroupTable {
  readonly kind: GroupKind;
  readonly #rows: GroupRows;
  #entities = 0;
  #used = new Uint8Array(0);
  /** 32 bits of what tells a group apart: they alone are compared. */
  #hashes = new Int32Array(0);
  /** The groups' names, by row; of peers by entity. */
  #keys: (number | string)[] = [];
  #ends: (FarEnds | undefined)[] = [];
  /** Of groups that have the same, the next to go is looked for from this slot on. */
  #hands = new Uint8Array(0);

  constructor(kind: GroupKind, rows: GroupRows) {
    this.kind = kind;
    this.#rows = rows;
  }

  /** Row of a number's or a text's group. */
  rowOf(entity: number, key: number | string): number {
    const hash = typeof key === 'number' ? hashOfNumber(key) : hashOfText(key);
    const known = this.#find(entity, hash);
    if (known >= 0) return known;
    const row = this.#take(entity, hash);
    this.#keys[row] = key;
    return row;
  }

  rowOfPeer(entity: number, { w0, w1, w2, w3 }: FarAddress, end: FarEnd): number {
    const hash = hashOfAddress(w0, w1, w2, w3);
    const known = this.#find(entity, hash);
    if (known >= 0) return known;
    const row = this.#take(entity, hash);
    (this.#ends[entity] ??= new FarEnds(maxGroups)).put(row % maxGroups, w0, w1, w2, w3, end);
    return row;
  }

  /** Groups of an entity: rows from entity * 16 on. */
  count(entity: number): number {
    return entity < this.#entities ? this.#used[entity] : 0;
  }

  label(row: number, node: string): string {
    if (this.kind === 'value') return String(this.#keys[row]);
    return this.#ends[Math.floor(row / maxGroups)]?.name(row % maxGroups, node).label ?? '';
  }

  /** Forgets the groups of an entity. */
  clear(entity: number): void {
    for (let slot = 0; slot < this.count(entity); slot++) this.#rows.clear(entity * maxGroups + slot);
    if (entity >= this.#entities) return;
    this.#used[entity] = 0;
    if (this.kind === 'peer') this.#ends[entity] = undefined;
  }

  /** For a checkpoint: all groups in the order of their rows. */
  image(node: string): GroupImage[] {
    const images: GroupImage[] = [];
    for (let entity = 0; entity < this.#entities; entity++) {
      for (let slot = 0; slot < this.#used[entity]; slot++) {
        const row = entity * maxGroups + slot;
        const key = this.kind === 'value' ? this.#keys[row] : (this.#ends[entity] as FarEnds).image(slot, node);
        images.push([entity, key, this.#hashes[row], this.#hands[entity]]);
      }
    }
    return images;
  }

  /** Each group gets the row that it had. */
  restore(images: readonly GroupImage[]): void {
    for (const [entity, key, hash, hand] of images) {
      this.#reach(entity);
      const row = entity * maxGroups + this.#used[entity]++;
      if (typeof key !== 'object') this.#keys[row] = key;
      else (this.#ends[entity] ??= new FarEnds(maxGroups)).restore(row % maxGroups, key);
      this.#hashes[row] = hash;
      this.#hands[entity] = hand;
    }
  }

  /** Row of a group; -1: it has none. */
  #find(entity: number, hash: number): number {
    if (entity >= this.#entities) this.#reach(entity);
    const end = entity * maxGroups + this.#used[entity];
    for (let row = entity * maxGroups; row < end; row++) if (this.#hashes[row] === hash) return row;
    return -1;
  }

  #take(entity: number, hash: number): number {
    const first = entity * maxGroups;
    const row = this.#used[entity] < maxGroups ? first + this.#used[entity]++ : this.#evict(first, entity);
    this.#hashes[row] = hash;
    return row;
  }

  #evict(first: number, entity: number): number {
    const hand = this.#hands[entity];
    let [least, leastWeight] = [first, Number.POSITIVE_INFINITY];
    for (let step = 0; step < maxGroups; step++) {
      const row = first + ((hand + step) % maxGroups);
      const weight = this.#rows.weight(row);
      if (weight >= leastWeight) continue;
      least = row;
      leastWeight = weight;
    }
    this.#hands[entity] = (least - first + 1) % maxGroups;
    this.#rows.clear(least);
    return least;
  }

  #reach(entity: number): void {
    if (entity < this.#entities) return;
    const entities = Math.max(entity + 1, Math.ceil(this.#entities * 1.5), 16);
    const used = new Uint8Array(entities);
    used.set(this.#used);
    this.#used = used;
    const hashes = new Int32Array(entities * maxGroups);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const hands = new Uint8Array(entities);
    hands.set(this.#hands);
    this.#hands = hands;
    if (this.kind === 'value') while (this.#keys.length < entities * maxGroups) this.#keys.push('');
    else while (this.#ends.length < entities) this.#ends.push(undefined);
    this.#entities = entities;
  }
}

/** A group in a checkpoint. */
export type GroupImage = readonly [entity: number, key: number | string | FarEndImage, hash: number, hand: number];

const double = new Float64Array(1);
const words = new Int32Array(double.buffer);

function hashOfNumber(number: number): number {
  if (number === (number | 0)) return number;
  double[0] = number;
  return mixed(words[0] ^ Math.imul(words[1], 0x85ebca6b));
}

/** FNV-1a. */
function hashOfText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

function hashOfAddress(w0: number, w1: number, w2: number, w3: number): number {
  return mixed(w3 ^ Math.imul(w0, 0x85ebca6b) ^ Math.imul(w1, 0xc2b2ae35) ^ Math.imul(w2, 0x27d4eb2f));
}

function mixed(hash: number): number {
  const half = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  return Math.imul(half ^ (half >>> 15), 0x846ca68b) | 0;
}
