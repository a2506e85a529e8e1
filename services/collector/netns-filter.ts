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
  /** By namespace: the numbers of the probes that list it, as the map has it. */
  readonly #probes = new Map<number, ReadonlySet<number>>();

  /** Makes these, and no others, those that a probe lists. What throws is tried again by the next call. */
  list(base: BpfObject, probe: number, netns: ReadonlySet<number>): void {
    for (const [net, probes] of this.#probes) {
      if (netns.has(net) || !probes.has(probe)) continue;
      this.#write(base, net, new Set([...probes].filter((other) => other !== probe)));
    }
    for (const net of netns) {
      const probes = this.#probes.get(net);
      if (probes?.has(probe) === true) continue;
      this.#write(base, net, new Set(probes).add(probe));
    }
  }

  /** What the map refuses is not taken for written. */
  #write(base: BpfObject, net: number, probes: ReadonlySet<number>): void {
    if (probes.size > 0) {
      base.mapUpdate(probeMaps.netFilter, netFilterKey(net), netFilterValue(probes));
      this.#probes.set(net, probes);
      return;
    }
    base.mapDelete(probeMaps.netFilter, netFilterKey(net));
    this.#probes.delete(net);
  }
}
