import type { Keyframe } from '../../proto/collect.ts';
import { keyOfNetns } from './netns.ts';
import { keyOfSandbox } from './pod.ts';

/** A keyframe in parts as far as it was read. Plain data. */
export interface ListingSnapshot {
  readonly bootNs: number;
  readonly nextPart: number;
  readonly netns: readonly string[];
  readonly pods: readonly string[];
}

/** What the parts of a keyframe listed: all that lives at its time. */
export interface Listing {
  readonly bootNs: number;
  readonly netns: ReadonlySet<string>;
  readonly pods: ReadonlySet<string>;
}

/** A list longer than this is not plausible. */
const maxListed = 131_072;

/** Gathers the parts of a keyframe. One that misses a part, or comes in between, lists nothing. */
export class KeyframeListing {
  #bootNs = 0;
  #nextPart = 0;
  #netns = new Set<string>();
  #pods = new Set<string>();

  /** Takes in a part; returns the listing with the last one. */
  add({ bootNs, part, parts, identity }: Keyframe): Listing | undefined {
    const index = part ?? 0;
    const at = bootNs ?? 0;
    if (index === 0) this.#begin(at);
    const tooMany = this.#netns.size + this.#pods.size > maxListed;
    if (at === 0 || index !== this.#nextPart || at !== this.#bootNs || tooMany) {
      this.#begin(0);
      return undefined;
    }
    this.#nextPart++;
    for (const { cookie, inode, fromBootNs } of identity?.netns ?? [])
      this.#netns.add(keyOfNetns({ cookie: cookie ?? 0, inode: inode ?? 0, fromBootNs: fromBootNs ?? 0 }));
    for (const { sandboxId } of identity?.pods ?? []) this.#pods.add(keyOfSandbox(sandboxId ?? ''));
    if (this.#nextPart < (parts ?? 1)) return undefined;
    const listing = { bootNs: at, netns: this.#netns, pods: this.#pods };
    this.#begin(0);
    return listing;
  }

  snapshot(): ListingSnapshot {
    return { bootNs: this.#bootNs, nextPart: this.#nextPart, netns: [...this.#netns], pods: [...this.#pods] };
  }

  restore({ bootNs, nextPart, netns, pods }: ListingSnapshot): void {
    this.#bootNs = bootNs;
    this.#nextPart = nextPart;
    this.#netns = new Set(netns);
    this.#pods = new Set(pods);
  }

  #begin(bootNs: number): void {
    this.#bootNs = bootNs;
    this.#nextPart = 0;
    this.#netns = new Set();
    this.#pods = new Set();
  }
}
