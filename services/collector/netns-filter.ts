import type { FilterMode } from '../../bpf/settings.ts';
import { netFilterKey, netFilterValue, probeMaps } from '../../bpf/settings.ts';
import type { BpfObject } from '../../native/addon.ts';

/** Which namespaces a probe looks at, or leaves out. */
export interface NetnsChoice {
  readonly mode: FilterMode;
  /** Cookies (or inodes) of those that are listed; none with `all`. */
  readonly netns: ReadonlySet<number>;
}

/** The map in which all probes list their namespaces: it holds those that any of them lists. */
export class NetnsFilter {
  /** By namespace: the numbers of the probes that list it. */
  readonly #probes = new Map<number, Set<number>>();

  /** Makes these, and no others, those that a probe lists. */
  list(base: BpfObject, probe: number, netns: ReadonlySet<number>): void {
    for (const [net, probes] of this.#probes) {
      if (netns.has(net) || !probes.delete(probe)) continue;
      this.#write(base, net, probes);
    }
    for (const net of netns) {
      const probes = this.#probes.get(net) ?? new Set();
      if (probes.has(probe)) continue;
      this.#probes.set(net, probes.add(probe));
      this.#write(base, net, probes);
    }
  }

  #write(base: BpfObject, net: number, probes: ReadonlySet<number>): void {
    if (probes.size > 0) {
      base.mapUpdate(probeMaps.netFilter, netFilterKey(net), netFilterValue(probes));
      return;
    }
    this.#probes.delete(net);
    base.mapDelete(probeMaps.netFilter, netFilterKey(net));
  }
}
