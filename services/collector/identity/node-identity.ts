import type { Identity, NetworkNamespace, Pod } from '../../../proto/collect.ts';
import type { CgroupTarget } from './cri/container-cgroup.ts';
import type { PodTracker } from './cri/pod-tracker.ts';
import type { PodWatcher } from './cri/pod-watcher.ts';
import type { HeldAddresses } from './held-addresses.ts';
import type { NetnsTracker } from './tracker.ts';

/** A runtime lists a sandbox only when it is made: so long it is asked again and again who a new namespace is. */
const newNs = 2e9;

/** What a look changed. */
export interface IdentityChanges {
  /** What is to be told; undefined: nothing. */
  readonly told: Identity | undefined;
  /** Cookies of namespaces that are gone. */
  readonly gone: readonly number[];
}

/** All that lives on the node. */
export interface LiveIdentity {
  readonly netns: readonly NetworkNamespace[];
  readonly pods: readonly Pod[];
  readonly nodeCgroups: readonly number[];
}

/** Who lives on the node: namespaces from the kernel, Pods from the container runtime, told together. */
export class NodeIdentity {
  readonly #netns: NetnsTracker;
  readonly #pods: PodTracker;
  readonly #watcher: PodWatcher;
  /** New namespaces that may yet turn out to be a Pod's, and since when (boot ns) they are known. */
  readonly #new = new Map<number, number>();

  constructor(netns: NetnsTracker, pods: PodTracker, watcher: PodWatcher) {
    this.#netns = netns;
    this.#pods = pods;
    this.#watcher = watcher;
  }

  /** Whether a new namespace has no Pod yet: another look soon. */
  get waiting(): boolean {
    return this.#new.size > 0;
  }

  /** Looks at the node's namespaces, and takes over what the runtime said since. */
  look(nowBootNs: number): IdentityChanges {
    const told = this.#pods.takeChanges();
    // The runtime gave a Pod its addresses before it told of it.
    for (const { netns } of told) this.#netns.addressesChanged(netns ?? 0);
    const { changed, gone } = this.#netns.look(nowBootNs);
    if (gone.length > 0) this.#pods.netnsGone(new Set(gone), nowBootNs);
    this.#followNew(changed, nowBootNs);
    if (this.waiting) this.#watcher.ring();
    const pods = [...told, ...this.#pods.takeChanges()];
    const nodeCgroups = this.#watcher.nodeCgroups.takeChanges();
    const nothing = changed.length === 0 && pods.length === 0 && nodeCgroups.length === 0;
    return { told: nothing ? undefined : { netns: changed, pods, nodeCgroups }, gone };
  }

  /** A record came from who nobody knows: the runtime is asked at once. */
  unknown(): void {
    this.#watcher.unknownCgroup();
  }

  /** Cookies of the live namespaces. */
  cookies(): Iterable<number> {
    return this.#netns.cookies();
  }

  /** Cookie of the node's own namespace. */
  get node(): number | undefined {
    return this.#netns.hostCookie;
  }

  /** Addresses of the node's other namespaces: who talks to one of them is not translated. */
  get held(): HeldAddresses {
    return this.#netns.held;
  }

  /** The node's own namespace while only cgroups tell Pods in it; undefined while no runtime says which those are. */
  cgroupsOf(): number | undefined {
    return this.#watcher.nodeCgroups.any ? this.#netns.hostCookie : undefined;
  }

  /** Ids of cgroups of which it was told whose they are. */
  *cgroups(): Iterable<number> {
    yield* this.#watcher.nodeCgroups.all();
    for (const { target, below } of this.#pods.containers()) {
      if (target !== undefined) yield target.id;
      yield* below;
    }
  }

  /** All that lives, for a keyframe. */
  all(): LiveIdentity {
    return { netns: this.#netns.all(), pods: this.#pods.all(), nodeCgroups: this.#watcher.nodeCgroups.all() };
  }

  /** Name of a live namespace, for people. */
  nameOf(cookie: number): string | undefined {
    return this.#pods.nameOf(cookie) ?? this.#netns.nameOf(cookie);
  }

  /** Cookies of the live namespaces of a Pod (namespace/name) or of a name under /run/netns; undefined: there is none. */
  netnsOf(target: string): readonly number[] | undefined {
    const found = target.includes('/')
      ? this.#pods.named(target).map(({ netns }) => netns)
      : [...this.#netns.named()].filter(([name]) => name === target).map(([, cookie]) => cookie);
    return found.length === 0 ? undefined : found.filter((cookie) => cookie !== 0);
  }

  /** Whether a Pod is in the node's own namespace. */
  onHostNetwork(target: string): boolean {
    return this.#pods.named(target).some(({ hostNetwork }) => hostNetwork);
  }

  /** What `netnsOf` knows. */
  targets(): readonly string[] {
    return [...this.#pods.names(), ...[...this.#netns.named()].map(([name]) => name)];
  }

  /** Live namespaces, told or not, and paths that lead into them. */
  live(): Iterable<{ readonly cookie: number; readonly inode: number; readonly path: string }> {
    return this.#netns.live();
  }

  /** A path that leads into a live namespace. */
  pathOf(cookie: number): string | undefined {
    return this.#netns.pathOf(cookie);
  }

  /** Cgroups of the containers that run. */
  cgroupTargets(): CgroupTarget[] {
    return this.#pods.targets();
  }

  #followNew(changed: readonly NetworkNamespace[], nowBootNs: number): void {
    for (const { cookie, host, fromBootNs } of changed) {
      if (!host && fromBootNs === nowBootNs && this.#watcher.answers) this.#new.set(cookie ?? 0, nowBootNs);
    }
    for (const [cookie, sinceNs] of this.#new) {
      if (nowBootNs - sinceNs >= newNs || this.#pods.hasNetns(cookie)) this.#new.delete(cookie);
    }
  }
}
