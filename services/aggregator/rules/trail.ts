import type { FarEnd } from '../far-end.ts';
import { type FarAddress, type FarEndImage, FarEnds } from './far-ends.ts';
import type { Peer } from './finding.ts';

/** Far ends that are counted at a time: the rarest goes, and the next takes over its count (Space-Saving). */
const peerSlots = 8;
/** Events that are remembered. */
const sampleSlots = 5;

/** An event that a rule's records became. */
export interface Sample {
  /** event.id */
  readonly id: string;
  readonly second: number;
  /** Rises with each sample of the partition. */
  readonly order: number;
}

/**
 * What the records of one entity that a rule looks at were about: their most frequent far ends, and the last events.
 * Far ends are counted in two generations, so that those of long ago do not outweigh those of now.
 */
export class Trail {
  /** Slots of the younger generation come first. */
  readonly #ends = new FarEnds(peerSlots * 2);
  readonly #counts = new Uint32Array(peerSlots * 2);
  /** Number of the younger generation, and its first slot. */
  #generation = 0;
  #first = 0;
  #samples: Sample[] = [];

  /** Counts a record's far end. @param generation rises once in the longest window */
  peer(generation: number, address: FarAddress, end: FarEnd): void {
    if (generation > this.#generation) this.#turn(generation);
    const { w0, w1, w2, w3 } = address;
    const first = this.#first;
    let rarest = first;
    for (let slot = first; slot < first + peerSlots; slot++) {
      if (this.#counts[slot] > 0 && this.#ends.is(slot, w0, w1, w2, w3)) {
        this.#counts[slot]++;
        return;
      }
      if (this.#counts[slot] < this.#counts[rarest]) rarest = slot;
    }
    this.#ends.put(rarest, w0, w1, w2, w3, end);
    this.#counts[rarest]++;
  }

  sample(id: string, second: number, order: number): void {
    this.#samples.push({ id, second, order });
    if (this.#samples.length > sampleSlots) this.#samples.shift();
  }

  /** Events since a second. */
  samples(sinceS: number): readonly Sample[] {
    return this.#samples.filter(({ second }) => second > sinceS);
  }

  /** Far ends of this generation and the one before, not in order, not joined. */
  *peers(generation: number, node: string): Iterable<Peer> {
    for (let slot = 0; slot < peerSlots * 2; slot++) {
      const isYoung = slot >= this.#first && slot < this.#first + peerSlots;
      const age = generation - this.#generation + (isYoung ? 0 : 1);
      if (this.#counts[slot] > 0 && age <= 1) yield { ...this.#ends.name(slot, node), count: this.#counts[slot] };
    }
  }

  image(node: string): TrailImage {
    const ends = [...this.#counts].map((count, slot) => (count === 0 ? undefined : this.#ends.image(slot, node)));
    return { generation: this.#generation, first: this.#first, counts: [...this.#counts], ends, samples: this.#samples };
  }

  restore({ generation, first, counts, ends, samples }: TrailImage): void {
    this.#generation = generation;
    this.#first = first;
    this.#counts.set(counts);
    ends.forEach((end, slot) => {
      if (end !== undefined) this.#ends.restore(slot, end);
    });
    this.#samples = [...samples];
  }

  #turn(generation: number): void {
    const isNext = generation === this.#generation + 1;
    this.#generation = generation;
    this.#first = peerSlots - this.#first;
    const first = this.#first;
    if (!isNext) this.#counts.fill(0);
    this.#counts.fill(0, first, first + peerSlots);
    for (let slot = 0; slot < peerSlots * 2; slot++) if (this.#counts[slot] === 0) this.#ends.clear(slot);
  }
}

/** A trail in a checkpoint. */
export interface TrailImage {
  readonly generation: number;
  readonly first: number;
  readonly counts: readonly number[];
  readonly ends: readonly (FarEndImage | undefined)[];
  readonly samples: readonly Sample[];
}
