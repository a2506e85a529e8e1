import { U64Index } from '../../core/u64-index.ts';

/** More than this per node are not plausible; beyond, no record waits for its cgroup any more. */
const maxCgroups = 65_536;

/** Cgroups of a node that are no container's. They are never taken back. */
export class NodeCgroups {
  readonly #index = new U64Index();
  readonly #all: number[] = [];

  /** Returns whether one of them is new. */
  learn(cgroups: readonly number[]): boolean {
    const before = this.#all.length;
    for (const cgroup of cgroups) {
      const [lo, hi] = [cgroup >>> 0, Math.floor(cgroup / 0x1_0000_0000)];
      if (this.#all.length >= maxCgroups || this.#index.get(lo, hi) >= 0) continue;
      this.#index.set(lo, hi, this.#all.length);
      this.#all.push(cgroup);
    }
    return this.#all.length > before;
  }

  /** Whether they were told: the node's container runtime has answered. */
  get told(): boolean {
    return this.#all.length > 0;
  }

  get all(): readonly number[] {
    return this.#all;
  }

  /** Whether a cgroup may be that of a container which nobody has told yet. */
  mayBeContainer(lo: number, hi: number): boolean {
    return this.told && this.#all.length < maxCgroups && this.#index.get(lo, hi) < 0;
  }
}
