import type { Translation } from '../../proto/collect.ts';
import type { Translated } from './far-end.ts';

/** The translated far ends of a batch, asked for by rising index. Those that do not rise, or have no address, are none. */
export class Translations {
  #all: readonly Translation[] = [];
  #next = 0;

  reset(all: readonly Translation[]): void {
    this.#all = all;
    this.#next = 0;
  }

  at(index: number): Translated | undefined {
    while (this.#next < this.#all.length && (this.#all[this.#next].index ?? 0) < index) this.#next++;
    const found = this.#all[this.#next];
    if (found === undefined || (found.index ?? 0) !== index || found.address?.length !== 16) return undefined;
    // The message that it is a view of must not live as long as a record that waits.
    return { address: Uint8Array.from(found.address), port: found.port ?? 0 };
  }
}
