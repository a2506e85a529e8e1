import type { Identity } from '../../proto/collect.ts';

/** What a session may have told of its kernel's code: what a collector remembers; the oldest go. */
const maxSymbols = 4096;
const maxStacks = 1024;
const maxFrames = 32;
/** As names of C functions are, or places without one (_stext+0x1f): nothing that a JSON line must escape. */
const plausibleName = /^[\w.$+]{1,128}$/;

/** Names of places in a node's kernel, as one session told them. Stacks are kept as one text each. */
export class KernelCodeNames {
  readonly #symbols = new Map<number, string>();
  readonly #stacks = new Map<number, string>();

  /** Takes in what an Identity or a Keyframe says. A stack's id may mean another stack than before. */
  learn({ symbols, stacks }: Pick<Identity, 'symbols' | 'stacks'>): void {
    for (const { offset, name } of symbols ?? []) {
      if (plausibleName.test(name ?? '')) put(this.#symbols, offset ?? 0, name as string, maxSymbols);
    }
    for (const { id, frames } of stacks ?? []) {
      const names = (frames ?? []).slice(0, maxFrames).filter((frame) => plausibleName.test(frame));
      put(this.#stacks, id ?? 0, names.join('\n'), maxStacks);
    }
  }

  /** Function at a distance from _stext; undefined when nobody told it. */
  symbol(offset: number): string | undefined {
    return this.#symbols.get(offset);
  }

  /** Functions of a stack, innermost first; undefined when nobody told it. */
  stack(id: number): readonly string[] | undefined {
    const text = this.#stacks.get(id);
    return text === undefined || text === '' ? undefined : text.split('\n');
  }

  /** For a checkpoint. */
  snapshot(): KernelCodeSnapshot {
    return { symbols: [...this.#symbols], stacks: [...this.#stacks] };
  }

  restore({ symbols, stacks }: KernelCodeSnapshot): void {
    for (const [offset, name] of symbols) this.#symbols.set(offset, name);
    for (const [id, text] of stacks) this.#stacks.set(id, text);
  }
}

/** Names of places in a checkpoint. */
export interface KernelCodeSnapshot {
  readonly symbols: readonly (readonly [number, string])[];
  readonly stacks: readonly (readonly [number, string])[];
}

/** A Map goes through its keys in the order in which they were first put. */
function put(entries: Map<number, string>, key: number, value: string, most: number): void {
  entries.set(key, value);
  if (entries.size <= most) return;
  for (const oldest of entries.keys()) {
    entries.delete(oldest);
    break;
  }
}
