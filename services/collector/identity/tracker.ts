import type { Native } from '../../../native/addon.ts';
import type { NetworkNamespace } from '../../../proto/collect.ts';
import { addressRequest, parseAddresses } from './address-dump.ts';
import type { FoundNetns, NodeNamespaces } from './node-namespaces.ts';

interface Tracked {
  readonly netns: FoundNetns;
  readonly fromBootNs: number;
  readonly host: boolean;
  readonly addresses: readonly string[];
  /** Boot ns of the next look at its addresses. */
  readonly addressesDueNs: number;
}

/** Addresses come after the namespace, and seldom change later. */
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
  readonly #tracked = new Map<number, Tracked>();
  readonly #missed = new Map<number, number>();

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

  /** One name of each live namespace, for people. */
  nameOf(cookie: number): string | undefined {
    const tracked = this.#tracked.get(cookie);
    return tracked?.host ? 'host' : tracked?.netns.names[0];
  }

  /** Looks at the node once. Returns what changed since the last look, and the cookies of namespaces that are gone. */
  look(nowBootNs: number): { changed: NetworkNamespace[]; gone: number[] } {
    const found = this.#node.look();
    const changed: NetworkNamespace[] = [];
    for (const netns of found.values()) {
      this.#missed.delete(netns.cookie);
      const before = this.#tracked.get(netns.cookie);
      const now = this.#track(netns, before, nowBootNs);
      this.#tracked.set(netns.cookie, now);
      if (before === undefined || differ(before, now)) changed.push(messageOf(now, 0));
    }
    return { changed: [...changed, ...this.#gone(found, nowBootNs)], gone: this.#removeGone(found) };
  }

  #track(netns: FoundNetns, before: Tracked | undefined, nowBootNs: number): Tracked {
    const fromBootNs = before?.fromBootNs ?? nowBootNs;
    const host = netns.inode === this.#hostInode;
    // Processes come and go; those that were told once name the namespace as well as any.
    const processes = before !== undefined && before.netns.processes.length > 0 ? before.netns.processes : netns.processes;
    const kept = { ...netns, processes: host ? [] : processes };
    if (before !== undefined && nowBootNs < before.addressesDueNs) return { ...before, netns: kept };
    const addresses = this.#addresses(netns.path) ?? before?.addresses ?? [];
    const refreshNs = nowBootNs - fromBootNs < youngNs ? youngRefreshNs : oldRefreshNs;
    return { netns: kept, fromBootNs, host, addresses, addressesDueNs: nowBootNs + refreshNs };
  }

  #addresses(path: string): readonly string[] | undefined {
    try {
      return parseAddresses(this.#native.netlinkDump(path, addressRequest.protocol, addressRequest.bytes));
    } catch {
      // Gone meanwhile, or CAP_SYS_ADMIN is missing: then the far end stays unknown; doctor says so.
      return undefined;
    }
  }

  #gone(found: ReadonlyMap<number, FoundNetns>, nowBootNs: number): NetworkNamespace[] {
    const gone: NetworkNamespace[] = [];
    for (const [cookie, tracked] of this.#tracked) {
      if (found.has(cookie)) continue;
      const looks = (this.#missed.get(cookie) ?? 0) + 1;
      this.#missed.set(cookie, looks);
      if (looks === goneAfterLooks) gone.push(messageOf(tracked, nowBootNs));
    }
    return gone;
  }

  #removeGone(found: ReadonlyMap<number, FoundNetns>): number[] {
    const gone = [...this.#missed].filter(([cookie, looks]) => looks >= goneAfterLooks && !found.has(cookie)).map(([cookie]) => cookie);
    for (const cookie of gone) {
      this.#missed.delete(cookie);
      this.#tracked.delete(cookie);
    }
    return gone;
  }
}

function differ(a: Tracked, b: Tracked): boolean {
  return (
    a.netns.inode !== b.netns.inode ||
    a.netns.names.join() !== b.netns.names.join() ||
    a.addresses.join() !== b.addresses.join() ||
    (a.netns.processes.length === 0 && b.netns.processes.length > 0)
  );
}

function messageOf(tracked: Tracked, toBootNs: number): NetworkNamespace {
  const { netns, addresses, fromBootNs, host } = tracked;
  const { cookie, inode, names, processes } = netns;
  return { cookie, inode, names, processes, addresses: addresses.map((hex) => Buffer.from(hex, 'hex')), fromBootNs, toBootNs, host };
}
