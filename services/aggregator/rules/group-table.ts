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
 * that of the group with the least in its window, of equals the one that was seen least recently. What a group had when
 * it went is not passed on, so no value is ever overstated.
 */
export class GroupTable {
  readonly kind: GroupKind;
  readonly #rows: GroupRows;
  #entities = 0;
  #used = new Uint8Array(0);
  #keys: (number | string)[] = [];
  #ends: (FarEnds | undefined)[] = [];
  /** When a row was looked for last. */
  #seen = new Float64Array(0);
  #clock = 0;

  constructor(kind: GroupKind, rows: GroupRows) {
    this.kind = kind;
    this.#rows = rows;
  }

  /** Row of a number's or a text's group. */
  rowOf(entity: number, key: number | string): number {
    if (entity >= this.#entities) this.#reach(entity);
    const [first, end] = [entity * maxGroups, entity * maxGroups + this.#used[entity]];
    for (let row = first; row < end; row++) if (this.#keys[row] === key) return this.#see(row);
    const row = this.#take(entity);
    this.#keys[row] = key;
    return row;
  }

  rowOfPeer(entity: number, { w0, w1, w2, w3 }: FarAddress, end: FarEnd): number {
    if (entity >= this.#entities) this.#reach(entity);
    const ends = (this.#ends[entity] ??= new FarEnds(maxGroups));
    const first = entity * maxGroups;
    for (let slot = 0; slot < this.#used[entity]; slot++) if (ends.is(slot, w0, w1, w2, w3)) return this.#see(first + slot);
    const row = this.#take(entity);
    ends.put(row - first, w0, w1, w2, w3, end);
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
        images.push([entity, key, this.#seen[row]]);
      }
    }
    return images;
  }

  /** Each group gets the row that it had. */
  restore(images: readonly GroupImage[]): void {
    for (const [entity, key, seen] of images) {
      this.#reach(entity);
      const row = entity * maxGroups + this.#used[entity]++;
      if (typeof key !== 'object') this.#keys[row] = key;
      else (this.#ends[entity] ??= new FarEnds(maxGroups)).restore(row % maxGroups, key);
      this.#seen[row] = seen;
      this.#clock = Math.max(this.#clock, seen);
    }
  }

  #see(row: number): number {
    this.#seen[row] = ++this.#clock;
    return row;
  }

  #take(entity: number): number {
    const first = entity * maxGroups;
    if (this.#used[entity] < maxGroups) return this.#see(first + this.#used[entity]++);
    let least = first;
    let leastWeight = this.#rows.weight(first);
    for (let row = first + 1; row < first + maxGroups; row++) {
      const weight = this.#rows.weight(row);
      if (weight > leastWeight || (weight === leastWeight && this.#seen[row] > this.#seen[least])) continue;
      least = row;
      leastWeight = weight;
    }
    this.#rows.clear(least);
    return this.#see(least);
  }

  #reach(entity: number): void {
    if (entity < this.#entities) return;
    const entities = Math.max(entity + 1, Math.ceil(this.#entities * 1.5), 16);
    const used = new Uint8Array(entities);
    used.set(this.#used);
    this.#used = used;
    const seen = new Float64Array(entities * maxGroups);
    seen.set(this.#seen);
    this.#seen = seen;
    if (this.kind === 'value') while (this.#keys.length < entities * maxGroups) this.#keys.push('');
    else while (this.#ends.length < entities) this.#ends.push(undefined);
    this.#entities = entities;
  }
}

/** A group in a checkpoint. */
export type GroupImage = readonly [entity: number, key: number | string | FarEndImage, seen: number];
