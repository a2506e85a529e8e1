import { U64Index } from '../../core/u64-index.ts';
import type { NetworkNamespace } from '../../proto/collect.ts';
import { AddressIndex } from './address-index.ts';

/** A network namespace as events name it. Plain data: checkpoints hold it. */
export interface Netns {
  readonly cookie: number;
  inode: number;
  names: readonly string[];
  processes: readonly { readonly pid: number; readonly comm: string }[];
  /** 16 bytes each, hex. */
  addresses: readonly string[];
  readonly fromBootNs: number;
  /** Infinity while it lives. */
  toBootNs: number;
  readonly host: boolean;
}

/** How an end was found: `jitterscope.identity`. */
export type FoundBy = 'netns' | 'node' | 'same' | 'ip' | 'external' | 'ambiguous' | 'unknown';

/** Index of a namespace in a NodeIdentity; negative: none. */
export type NetnsId = number;

/** A look at the node may be this late, and a namespace may lose an address this long before a look says so. */
const lookSlackNs = 2e9;
/** Namespaces that are gone are remembered this long behind the watermark: late records still find them. */
const rememberNs = 120e9;
/** More than this per node is not plausible; further ones are refused and their records stay unknown. */
const maxNetns = 65_536;
/** Longest name of a file (NAME_MAX): what is longer is no name under /run/netns. */
const maxNameLength = 255;
/** Of one namespace: names and processes that are kept. */
const maxNames = 16;
/** Of one node: addresses, as of one with thousands of virtual ones; further ones are unknown. */
const maxAddresses = 131_072;

/** More than one may be meant. */
const ambiguous = -2;

/** What one session said about its node's namespaces, and the look-ups for both ends of a record. */
export class NodeIdentity {
  #netns: Netns[] = [];
  /** Index of each namespace by cookie, inode and start. */
  #known = new Map<string, number>();
  #byKey = new U64Index();
  #byAddress = new AddressIndex();
  /** Counts changes: caches of rendered names compare it. */
  generation = 0;

  /** Takes in what an Identity or a Keyframe says. Returns whether a namespace became known. */
  learn(messages: readonly NetworkNamespace[], watermarkNs: number): boolean {
    let added = false;
    for (const message of messages) {
      const netns = netnsOf(message);
      const key = keyOf(netns);
      const known = this.#known.get(key);
      if (known !== undefined) this.#netns[known] = netns;
      else if (this.#netns.length < maxNetns) {
        this.#known.set(key, this.#netns.push(netns) - 1);
        added = true;
      }
    }
    if (messages.length > 0) this.#rebuild(watermarkNs);
    return added;
  }

  get(id: NetnsId): Netns | undefined {
    return this.#netns[id];
  }

  /** The namespace with a cookie (or inode, on kernels without cookies) at a time. */
  local(keyLo: number, keyHi: number, bootNs: number, keyIsInode: boolean): NetnsId {
    const id = this.#byKey.get(keyLo, keyHi);
    return id < 0 || !keyIsInode ? id : this.#byInode(this.#netns[id].inode, bootNs);
  }

  /** An inode goes to the next namespace at once: only the interval tells them apart. One that a look found a moment late is taken where it is the only one. */
  #byInode(inode: number, bootNs: number): NetnsId {
    let near = -1;
    for (let at = this.#netns.length - 1; at >= 0; at--) {
      const { fromBootNs, toBootNs, inode: own } = this.#netns[at];
      if (own !== inode) continue;
      if (bootNs >= fromBootNs && bootNs < toBootNs) return at;
      if (bootNs + lookSlackNs >= fromBootNs && bootNs - lookSlackNs < toBootNs) near = near === -1 ? at : ambiguous;
    }
    return near;
  }

  /** The namespace that held an address at a time: an id, -1 nobody, -2 ambiguous. */
  holder(w0: number, w1: number, w2: number, w3: number, bootNs: number): NetnsId {
    return this.#byAddress.holderAt(w0, w1, w2, w3, bootNs, lookSlackNs);
  }

  /** For a checkpoint. */
  snapshot(): readonly Netns[] {
    return this.#netns.map((netns) => ({ ...netns, toBootNs: Number.isFinite(netns.toBootNs) ? netns.toBootNs : 0 }));
  }

  restore(netns: readonly Netns[]): void {
    this.#netns = netns.map((n) => ({ ...n, toBootNs: n.toBootNs === 0 ? Infinity : n.toBootNs }));
    this.#rebuild(0);
  }

  #rebuild(watermarkNs: number): void {
    this.generation++;
    this.#netns = this.#netns.filter((netns) => netns.toBootNs > watermarkNs - rememberNs);
    this.#known = new Map();
    this.#byKey = new U64Index();
    this.#byAddress = new AddressIndex();
    let addresses = 0;
    for (const [id, netns] of this.#netns.entries()) {
      this.#known.set(keyOf(netns), id);
      this.#byKey.set(netns.cookie >>> 0, Math.floor(netns.cookie / 2 ** 32), id);
      for (const address of netns.addresses) {
        if (++addresses > maxAddresses) break;
        this.#byAddress.add(Buffer.from(address, 'hex'), id, netns.fromBootNs, netns.toBootNs);
      }
    }
  }
}

function keyOf({ cookie, inode, fromBootNs }: Netns): string {
  return `${cookie}/${inode}/${fromBootNs}`;
}

function netnsOf(message: NetworkNamespace): Netns {
  const to = message.toBootNs ?? 0;
  return {
    cookie: message.cookie ?? 0,
    inode: message.inode ?? 0,
    names: (message.names ?? []).slice(0, maxNames).map(bounded),
    processes: (message.processes ?? []).slice(0, maxNames).map((p) => ({ pid: p.pid ?? 0, comm: bounded(p.comm ?? '') })),
    addresses: (message.addresses ?? [])
      .slice(0, maxAddresses)
      .filter((a) => a.length === 16)
      .map((a) => Buffer.from(a).toString('hex')),
    fromBootNs: message.fromBootNs ?? 0,
    toBootNs: to === 0 ? Infinity : to,
    host: message.host ?? false,
  };
}

/** A name of the wire, cut to what a name can be: lines have room for that (maxLineBytes). */
export function bounded(name: string): string {
  return name.length <= maxNameLength ? name : name.slice(0, maxNameLength);
}
