import type { Probe } from '../../bpf/probe.ts';
import type { Identity, KernelStack, KernelSymbol } from '../../proto/collect.ts';
import type { Counter } from './counters.ts';

/** Places and stacks that are remembered; the oldest go. They are told again when they come again. */
const maxSymbols = 4096;
const maxStacks = 1024;
/** The name of a place where the kernel hides its symbols: what would be told else is a part of an address. */
const hiddenName = 'hidden_kernel_symbol';
/** In such a function the soft interrupt begins: what is outside of it is whatever task was interrupted. */
const interruptEntries = new Set(['handle_softirqs', '__do_softirq']);
const addressBytes = 8;

/** What resolves places: the kernel's symbols and the stack map. */
export interface PlaceSource {
  readonly stext: bigint | undefined;
  /** '' when no function is known there. */
  nameOf(offset: number): string;
  /** Addresses of a stack as the map has them; undefined: it is not there (any more). */
  readStack(id: number): Uint8Array | undefined;
  /** The id may be used for another stack from now on. */
  deleteStack(id: number): void;
}

/**
 * Places in the kernel's code that records and counters tell: which of them the stream has named. `see` is asked for
 * each of them; what it did not know `take` resolves, to be sent before the records.
 */
export class KernelPlaces {
  /** By probe number: byte offset of the site in its records; 0: they have none. */
  readonly siteAt = new Uint8Array(256);
  /** Metrics whose labels are places. */
  readonly #metrics: ReadonlySet<number>;
  readonly #source: PlaceSource;
  readonly #symbols = new Map<number, string>();
  readonly #stacks = new Map<number, readonly string[]>();
  readonly #newSites = new Set<number>();
  /** By id: the site of a record that tells it. */
  readonly #newStacks = new Map<number, number>();

  constructor(probes: readonly Probe[], source: PlaceSource) {
    for (const { number, places } of probes) if (places !== undefined) this.siteAt[number] = places.siteAt;
    const labelled = probes
      .flatMap(({ metrics }) => metrics)
      .filter((metric) => metric.kind !== 'histogram' && metric.label?.kind === 'symbol');
    this.#metrics = new Set(labelled.map(({ number }) => number));
    this.#source = source;
  }

  /** Whether both are named already. @param stack -1: none */
  see(site: number, stack: number): boolean {
    const knownSite = this.#symbols.has(site);
    if (!knownSite) this.#newSites.add(site);
    // Where the kernel hides its symbols, stacks have no names.
    const knownStack = stack < 0 || this.#source.stext === undefined || this.#stacks.has(stack);
    if (!knownStack) this.#newStacks.set(stack, site);
    return knownSite && knownStack;
  }

  /** Sees the labels of counters. Returns whether one has no name yet. */
  seeLabels(counters: readonly Counter[]): boolean {
    let unnamed = false;
    for (const { metric, label } of counters) if (label !== 0 && this.#metrics.has(metric) && !this.see(label, -1)) unnamed = true;
    return unnamed;
  }

  /** Names what was seen since the last call. */
  take(): Pick<Identity, 'symbols' | 'stacks'> {
    const symbols: KernelSymbol[] = [];
    const stacks: KernelStack[] = [];
    for (const offset of this.#newSites) {
      const name = this.#nameOf(offset);
      this.#symbols.set(offset, name);
      symbols.push({ offset, name });
    }
    for (const [id, site] of this.#newStacks) {
      const frames = this.#framesOf(id, site);
      if (frames === undefined) continue;
      this.#stacks.set(id, frames);
      stacks.push({ id, frames: [...frames] });
    }
    this.#newSites.clear();
    this.#newStacks.clear();
    for (const offset of oldest(this.#symbols, maxSymbols)) this.#symbols.delete(offset);
    for (const id of oldest(this.#stacks, maxStacks)) {
      this.#stacks.delete(id);
      this.#source.deleteStack(id);
    }
    return { symbols, stacks };
  }

  /** All that are named, for a keyframe; places by what is there now: modules come and go. */
  all(): Required<Pick<Identity, 'symbols' | 'stacks'>> {
    for (const offset of this.#symbols.keys()) this.#symbols.set(offset, this.#nameOf(offset));
    return {
      symbols: [...this.#symbols].map(([offset, name]) => ({ offset, name })),
      stacks: [...this.#stacks].map(([id, frames]) => ({ id, frames: [...frames] })),
    };
  }

  #nameOf(offset: number): string {
    return this.#source.stext === undefined ? hiddenName : this.#source.nameOf(offset);
  }

  /** From the site on: how many frames of the tracepoint's own lie before it depends on who else listens to it. */
  #framesOf(id: number, site: number): readonly string[] | undefined {
    const bytes = this.#source.readStack(id);
    const { stext } = this.#source;
    if (bytes === undefined || stext === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let frames: string[] = [];
    for (let at = 0; at + addressBytes <= bytes.length; at += addressBytes) {
      const address = view.getBigUint64(at, true);
      if (address === 0n) break;
      const offset = Number(BigInt.asUintN(32, address - stext));
      if (offset === site) frames = [];
      const name = this.#source.nameOf(offset);
      if (interruptEntries.has(name)) break;
      frames.push(name === '' ? `_stext+0x${offset.toString(16)}` : name);
    }
    return frames;
  }
}

/** The keys that are too many, oldest first. */
function oldest<K>(entries: ReadonlyMap<K, unknown>, most: number): K[] {
  return [...entries.keys()].slice(0, Math.max(0, entries.size - most));
}
