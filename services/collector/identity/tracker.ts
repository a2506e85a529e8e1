import type { Native } from '../../../native/addon.ts';
import type { NetworkNamespace } from '../../../proto/collect.ts';
import { addressRequest, parseAddresses } from './address-dump.ts';
import { AddressIntervals } from './address-intervals.ts';
import { HeldAddresses } from './held-addresses.ts';
import type { FoundNetns, NodeNamespaces } from './node-namespaces.ts';

interface Tracked {
  netns: FoundNetns;
  readonly fromBootNs: number;
  readonly host: boolean;
  readonly addresses: AddressIntervals;
  /** Boot ns of the next look at its addresses. */
  addressesDueNs: number;
  /** Boot ns of the first look that missed it, and how many did; 0: it is there. */
  missedNs: number;
  misses: number;
}

/** Addresses come after the namespace, and seldom change later: at first every look reads them. */
const newNs = 5e9;
const youngNs = 60e9;
const youngRefreshNs = 1e9;
const oldRefreshNs = 30e9;
/** A namespace that was not found must stay away this long before it is gone: a look may race with a rename. */
const goneAfterLooks = 2;

/** Follows the node's namespaces from look to look and tells what changed. */
export class NetnsTracker {
  readonly #native: Pick<Native, 'netlinkDump'>;
  readonly #node: NodeNamespaces;
  readonly #hostInode: number;
  /** Addresses of all namespaces but the node's own. */
  readonly held = new HeldAddresses();
  readonly #tracked = new Map<number, Tracked>();
  #lookedNs = 0;
  #hostCookie: number | undefined;

  /** @param hostInode inode of the node's own namespace: that of process 1 */
  constructor(native: Pick<Native, 'netlinkDump'>, node: NodeNamespaces, hostInode: number) {
    this.#native = native;
    this.#node = node;
    this.#hostInode = hostInode;
  }

  /** Cookies of all live namespaces. */
  cookies(): Iterable<number> {
    return this.#tracked.keys();
  }

  /** All that lives, for a keyframe. */
  all(): NetworkNamespace[] {
    return [...this.#tracked.values()].map((tracked) => messageOf(tracked, 0));
  }

  /** The live namespace with an inode: for kernels that have no cookie to ask for. */
  cookieOf(inode: number): number | undefined {
    for (const [cookie, { netns, misses }] of this.#tracked) if (netns.inode === inode && misses === 0) return cookie;
    return undefined;
  }

  /** The node's own namespace. */
  get hostCookie(): number | undefined {
    return this.#hostCookie;
  }

  /** Live namespaces by their names under /run/netns. */
  *named(): Iterable<readonly [name: string, cookie: number]> {
    for (const [cookie, { netns }] of this.#tracked) for (const name of netns.names) yield [name, cookie];
  }

  /** A path that leads into a live namespace. */
  pathOf(cookie: number): string | undefined {
    return this.#tracked.get(cookie)?.netns.path;
  }

  /** All live namespaces, as the last look that found each of them. */
  *live(): Iterable<FoundNetns> {
    for (const { netns } of this.#tracked.values()) yield netns;
  }

  /** One name of each live namespace, for people. */
  nameOf(cookie: number): string | undefined {
    const tracked = this.#tracked.get(cookie);
    return tracked?.host ? 'host' : tracked?.netns.names[0];
  }

  /** The next look reads a namespace's addresses: somebody said that they changed. */
  addressesChanged(cookie: number): void {
    const tracked = this.#tracked.get(cookie);
    if (tracked !== undefined) tracked.addressesDueNs = 0;
  }

  /** Looks at the node once. Returns what changed since the last look, and the cookies of namespaces that are gone. */
  look(nowBootNs: number): { changed: NetworkNamespace[]; gone: number[] } {
    const found = this.#node.look();
    const changed: NetworkNamespace[] = [];
    for (const netns of found.values()) {
      const tracked = this.#tracked.get(netns.cookie);
      const differs = tracked === undefined || this.#update(tracked, netns);
      const now = tracked ?? this.#begin(netns, nowBootNs);
      if (this.#lookAtAddresses(now, nowBootNs) || differs) changed.push(messageOf(now, 0));
    }
    this.#lookedNs = nowBootNs;
    const ended = this.#ended(found, nowBootNs);
    if (changed.length + ended.length > 0) this.held.set(this.#heldAddresses());
    return { changed: [...changed, ...ended], gone: ended.map(({ cookie }) => cookie ?? 0) };
  }

  *#heldAddresses(): Iterable<string> {
    for (const { addresses, host } of this.#tracked.values()) if (!host) yield* addresses.held();
  }

  #begin(netns: FoundNetns, nowBootNs: number): Tracked {
    const host = netns.inode === this.#hostInode;
    const tracked: Tracked = {
      netns: withoutProcessesOf(netns, host),
      fromBootNs: nowBootNs,
      host,
      addresses: new AddressIntervals(this.#lookedNs),
      addressesDueNs: 0,
      missedNs: 0,
      misses: 0,
    };
    this.#tracked.set(netns.cookie, tracked);
    if (host) this.#hostCookie = netns.cookie;
    return tracked;
  }

  /** Returns whether what is told of it changed. */
  #update(tracked: Tracked, found: FoundNetns): boolean {
    const before = tracked.netns;
    // Processes come and go; those that were told once name the namespace as well as any.
    const processes = before.processes.length > 0 ? before.processes : found.processes;
    tracked.netns = withoutProcessesOf({ ...found, processes }, tracked.host);
    tracked.misses = 0;
    return (
      before.inode !== found.inode ||
      before.names.join() !== found.names.join() ||
      (before.processes.length === 0 && tracked.netns.processes.length > 0)
    );
  }

  #lookAtAddresses(tracked: Tracked, nowBootNs: number): boolean {
    if (nowBootNs < tracked.addressesDueNs) return false;
    const ageNs = nowBootNs - tracked.fromBootNs;
    tracked.addressesDueNs = nowBootNs + (ageNs < newNs ? 0 : ageNs < youngNs ? youngRefreshNs : oldRefreshNs);
    const found = this.#addresses(tracked.netns.path);
    return found !== undefined && tracked.addresses.look(found, nowBootNs);
  }

  #addresses(path: string): readonly string[] | undefined {
    try {
      return parseAddresses(this.#native.netlinkDump(path, addressRequest.protocol, addressRequest.bytes));
    } catch {
      // Gone meanwhile, or CAP_SYS_ADMIN is missing: then the far end stays unknown; doctor says so.
      return undefined;
    }
  }

  /** One that is found again is looked at again; one that stays away ended when it was first missed. */
  #ended(found: ReadonlyMap<number, FoundNetns>, nowBootNs: number): NetworkNamespace[] {
    const ended: NetworkNamespace[] = [];
    for (const [cookie, tracked] of this.#tracked) {
      if (found.has(cookie)) continue;
      if (tracked.misses++ === 0) tracked.missedNs = nowBootNs;
      if (tracked.misses < goneAfterLooks) continue;
      this.#tracked.delete(cookie);
      ended.push(messageOf(tracked, tracked.missedNs));
    }
    return ended;
  }
}

function withoutProcessesOf(netns: FoundNetns, host: boolean): FoundNetns {
  return host ? { ...netns, processes: [] } : netns;
}

function messageOf(tracked: Tracked, toBootNs: number): NetworkNamespace {
  const { netns, addresses, fromBootNs, host } = tracked;
  const { cookie, inode, names, processes } = netns;
  return { cookie, inode, names, processes, addressIntervals: addresses.messages(toBootNs), fromBootNs, toBootNs, host };
}
