import type { RecordReader } from '../../../schema/record.ts';
import { wordsOf } from '../address-index.ts';
import { addressText } from '../address-text.ts';
import type { FarEnd } from '../far-end.ts';
import { labelOfNetns, type Netns } from '../netns.ts';
import { labelOfPod, type Pod } from '../pod.ts';

/** A far end as findings name it. */
export interface FarEndName {
  readonly label: string;
  readonly address: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
}

/** Who holds the address: named only when a finding needs it. */
type Holder = Pod | Netns | FarEndName | undefined;

/** The far ends of a fixed number of slots, told apart by their addresses. */
export class FarEnds {
  readonly #words: Int32Array;
  readonly #holders: Holder[];

  constructor(slots: number) {
    this.#words = new Int32Array(slots * 4);
    this.#holders = new Array<Holder>(slots).fill(undefined);
  }

  /** Whether a slot holds an address. */
  is(slot: number, w0: number, w1: number, w2: number, w3: number): boolean {
    const words = this.#words;
    const at = slot * 4;
    return words[at + 3] === w3 && words[at + 2] === w2 && words[at + 1] === w1 && words[at] === w0;
  }

  put(slot: number, w0: number, w1: number, w2: number, w3: number, { pod, netns }: FarEnd): void {
    const at = slot * 4;
    this.#words[at] = w0;
    this.#words[at + 1] = w1;
    this.#words[at + 2] = w2;
    this.#words[at + 3] = w3;
    this.#holders[slot] = pod ?? netns;
  }

  /** Lets go of who held it. */
  clear(slot: number): void {
    this.#holders[slot] = undefined;
  }

  /** @param node whose namespaces they may be */
  name(slot: number, node: string): FarEndName {
    const holder = this.#holders[slot];
    if (holder !== undefined && 'label' in holder) return holder;
    const address = addressText(new Uint8Array(this.#words.buffer), slot * 16);
    if (holder === undefined) return { label: address, address, namespace: '', pod: '', uid: '' };
    if ('sandboxId' in holder)
      return { label: labelOfPod(holder), address, namespace: holder.namespace, pod: holder.name, uid: holder.uid };
    return { label: labelOfNetns(holder, node), address, namespace: '', pod: '', uid: '' };
  }

  /** For a checkpoint. */
  image(slot: number, node: string): FarEndImage {
    return { words: this.#words.slice(slot * 4, slot * 4 + 4), name: this.name(slot, node) };
  }

  restore(slot: number, { words, name }: FarEndImage): void {
    this.#words.set(words, slot * 4);
    this.#holders[slot] = name;
  }
}

/** A slot in a checkpoint. */
export interface FarEndImage {
  readonly words: Int32Array<ArrayBuffer>;
  readonly name: FarEndName;
}

/** Address of a record's far end as four words: the translated one, where there is one. */
export class FarAddress {
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  /** The record has no far end. */
  isNone = true;

  /** Takes a record's; all 0 when it has no far end. */
  of(record: RecordReader, { translated }: FarEnd): void {
    this.isNone = record.family === 0;
    if (this.isNone) {
      this.w0 = this.w1 = this.w2 = this.w3 = 0;
      return;
    }
    if (translated === undefined) {
      this.w0 = record.daddr0;
      this.w1 = record.daddr1;
      this.w2 = record.daddr2;
      this.w3 = record.daddr3;
      return;
    }
    [this.w0, this.w1, this.w2, this.w3] = wordsOf(translated.address);
  }
}
