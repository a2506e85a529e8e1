import type { FarEnd } from '../far-end.ts';
import { type FarAddress, type FarEndImage, FarEnds } from './far-ends.ts';

/** Groups of one entity and signal that are told apart; beyond, the one with the least goes. */
export const maxGroups = 16;

/** What a signal groups by: of how many parts a group is, and which of them is the far end; -1: none. */
export interface GroupParts {
  readonly count: number;
  readonly peerAt: number;
}

/** What tells a group apart; of several parts, in place of the far end ''. */
export type GroupKey = number | string | readonly (number | string)[];

/** The group of labels; '' without `by`, undefined where one of them is missing. */
export function groupKey(by: readonly string[] | undefined, labelOf: (name: string) => string | undefined): GroupKey | undefined {
  if (by === undefined) return '';
  if (by.length === 1) return labelOf(by[0]);
  const keys = by.map(labelOf);
  return keys.every((key) => key !== undefined) ? keys : undefined;
}

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
  readonly #parts: GroupParts;
  readonly #rows: GroupRows;
  #entities = 0;
  #used = new Uint8Array(0);
  /** 32 bits of what tells a group apart: they alone are compared. */
  #hashes = new Int32Array(0);
  /** The groups' names, by row; of far ends by entity. */
  #keys: GroupKey[] = [];
  #ends: (FarEnds | undefined)[] = [];
  /** Of groups that have the same, the next to go is looked for from this slot on. */
  #hands = new Uint8Array(0);

  constructor(parts: GroupParts, rows: GroupRows) {
    this.#parts = parts;
    this.#rows = rows;
  }

  /** Row of a number's or a text's group. */
  rowOf(entity: number, key: number | string): number {
    const hash = hashOf(key);
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

  /** Row of a group of several parts. The keys may be others the next time. */
  rowOfSeveral(entity: number, keys: readonly (number | string)[], { w0, w1, w2, w3 }: AddressWords = noAddress, end?: FarEnd): number {
    let hash = end === undefined ? 0 : hashOfAddress(w0, w1, w2, w3);
    for (let part = 0; part < keys.length; part++) hash = mixed(Math.imul(hash, 31) ^ hashOf(keys[part]));
    const known = this.#find(entity, hash);
    if (known >= 0) return known;
    const row = this.#take(entity, hash);
    this.#keys[row] = [...keys];
    if (end !== undefined) (this.#ends[entity] ??= new FarEnds(maxGroups)).put(row % maxGroups, w0, w1, w2, w3, end);
    return row;
  }

  /** Groups of an entity: rows from entity * 16 on. */
  count(entity: number): number {
    return entity < this.#entities ? this.#used[entity] : 0;
  }

  /** What a group is called, part by part. */
  labels(row: number, node: string): string[] {
    const { count, peerAt } = this.#parts;
    const key = this.#keys[row];
    const labels = count > 1 && typeof key === 'object' ? key.map(String) : [String(key)];
    if (peerAt >= 0) labels[peerAt] = this.#ends[Math.floor(row / maxGroups)]?.name(row % maxGroups, node).label ?? '';
    return labels;
  }

  /** Forgets the groups of an entity. */
  clear(entity: number): void {
    for (let slot = 0; slot < this.count(entity); slot++) this.#rows.clear(entity * maxGroups + slot);
    if (entity >= this.#entities) return;
    this.#used[entity] = 0;
    this.#hands[entity] = 0;
    if (this.#parts.peerAt >= 0) this.#ends[entity] = undefined;
  }

  /** For a checkpoint: all groups of the entities from one up to another, in the order of their rows. */
  image(node: string, from: number, to: number): GroupImage[] {
    const images: GroupImage[] = [];
    for (let entity = from; entity < Math.min(to, this.#entities); entity++) {
      for (let slot = 0; slot < this.#used[entity]; slot++) {
        const row = entity * maxGroups + slot;
        const end = this.#parts.peerAt < 0 ? undefined : (this.#ends[entity] as FarEnds).image(slot, node);
        const key = this.#keys[row];
        images.push([
          entity,
          this.#parts.count > 1 ? { keys: key, end } : (end ?? (key as number | string)),
          this.#hashes[row],
          this.#hands[entity],
        ]);
      }
    }
    return images;
  }

  /** Each group gets the row that it had. */
  restore(images: readonly GroupImage[]): void {
    for (const [entity, key, hash, hand] of images) {
      this.#reach(entity);
      const row = entity * maxGroups + this.#used[entity]++;
      const { keys, end } = typeof key !== 'object' ? { keys: key, end: undefined } : 'keys' in key ? key : { keys: '', end: key };
      this.#keys[row] = keys;
      if (end !== undefined) (this.#ends[entity] ??= new FarEnds(maxGroups)).restore(row % maxGroups, end);
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
    while (this.#keys.length < entities * maxGroups) this.#keys.push('');
    if (this.#parts.peerAt >= 0) while (this.#ends.length < entities) this.#ends.push(undefined);
    this.#entities = entities;
  }
}

/** A group in a checkpoint. */
export type GroupImage = readonly [
  entity: number,
  key: number | string | FarEndImage | { readonly keys: GroupKey; readonly end: FarEndImage | undefined },
  hash: number,
  hand: number,
];

type AddressWords = Pick<FarAddress, 'w0' | 'w1' | 'w2' | 'w3'>;
const noAddress: AddressWords = { w0: 0, w1: 0, w2: 0, w3: 0 };

const double = new Float64Array(1);
const words = new Int32Array(double.buffer);

function hashOf(key: number | string): number {
  return typeof key === 'number' ? hashOfNumber(key) : hashOfText(key);
}

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
