import type { AddressInterval } from '../../../proto/collect.ts';

interface Interval {
  readonly address: string;
  readonly fromBootNs: number;
  /** 0 while it is held. */
  toBootNs: number;
}

/** A lost address is told for so long: late records still ask who held it. */
const rememberNs = 120e9;
/** Of one namespace; what plugins and people add to one is far less. */
const maxLost = 1024;

/**
 * Which addresses a namespace held, and when. Bounds are outer ones: from the last look without an address to the first
 * look without it again.
 */
export class AddressIntervals {
  #held = new Map<string, Interval>();
  #lost: Interval[] = [];
  #lookedNs: number;

  /** @param absentNs boot time of the last look at which the namespace was not there; 0: there was none */
  constructor(absentNs: number) {
    this.#lookedNs = absentNs;
  }

  /** Takes in what a look found. Returns whether anything changed. */
  look(addresses: readonly string[], nowBootNs: number): boolean {
    const found = new Set(addresses);
    let changed = false;
    for (const [address, interval] of this.#held) {
      if (found.has(address)) continue;
      this.#held.delete(address);
      interval.toBootNs = nowBootNs;
      this.#lost.push(interval);
      changed = true;
    }
    for (const address of found) {
      if (this.#held.has(address)) continue;
      this.#held.set(address, { address, fromBootNs: this.#lookedNs, toBootNs: 0 });
      changed = true;
    }
    this.#lost = this.#lost.filter(({ toBootNs }) => nowBootNs - toBootNs < rememberNs).slice(-maxLost);
    this.#lookedNs = nowBootNs;
    return changed;
  }

  /** Those that it holds, 16 bytes each, hex. */
  held(): Iterable<string> {
    return this.#held.keys();
  }

  /** As they are told; of a namespace that is gone, all end with it. */
  messages(endedNs: number): AddressInterval[] {
    return [...this.#lost, ...this.#held.values()].map(({ address, fromBootNs, toBootNs }) => ({
      address: Buffer.from(address, 'hex'),
      fromBootNs,
      toBootNs: toBootNs === 0 ? endedNs : toBootNs,
    }));
  }
}
