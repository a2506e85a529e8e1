import type { Identity, NetworkNamespace, Pod } from '../../../proto/collect.ts';
import type { CgroupTarget } from './cri/container-cgroup.ts';
import type { PodTracker } from './cri/pod-tracker.ts';
import type { PodWatcher } from './cri/pod-watcher.ts';
import type { NetnsTracker } from './tracker.ts';

/** A runtime lists a sandbox when it is made; a namespace that is a Pod's by then is told with its Pod. Others wait in vain for so long. */
const graceNs = 2e9;

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
  readonly #told = new Set<number>();
  /** New namespaces that may yet turn out to be a Pod's. */
  readonly #withheld = new Map<number, NetworkNamespace>();
  #settled = false;

  constructor(netns: NetnsTracker, pods: PodTracker, watcher: PodWatcher) {
    this.#netns = netns;
    this.#pods = pods;
    this.#watcher = watcher;
  }

  /** Whether a namespace waits for its Pod: another look soon. */
  get waiting(): boolean {
    return this.#withheld.size > 0;
  }

  /** Looks at the node's namespaces, and takes over what the runtime said since. */
  look(nowBootNs: number): IdentityChanges {
    const { changed, gone } = this.#netns.look(nowBootNs);
    if (gone.length > 0) this.#pods.netnsGone(new Set(gone), nowBootNs);
    const netns: NetworkNamespace[] = [];
    for (const message of changed) {
      const cookie = message.cookie ?? 0;
      if (this.#told.has(cookie)) netns.push(message);
      else this.#withheld.set(cookie, message);
    }
    netns.push(...this.#release(nowBootNs));
    for (const cookie of gone) this.#told.delete(cookie);
    if (this.#withheld.size > 0) this.#watcher.ring();
    const pods = this.#pods.takeChanges();
    const nodeCgroups = this.#watcher.nodeCgroups.takeChanges();
    const nothing = netns.length === 0 && pods.length === 0 && nodeCgroups.length === 0;
    return { told: nothing ? undefined : { netns, pods, nodeCgroups }, gone };
  }

  /** The collector ends: nothing waits any longer. */
  settle(): void {
    this.#settled = true;
  }

  /** A record came from who nobody knows: the runtime is asked at once. */
  unknown(): void {
    this.#watcher.unknownCgroup();
  }

  /** Cookies of the namespaces that were told. */
  cookies(): Iterable<number> {
    return this.#told;
  }

  /** Cookie of the node's own namespace. */
  get node(): number | undefined {
    return this.#netns.hostCookie;
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

  /** All that lives and was told, for a keyframe. */
  all(): LiveIdentity {
    const netns = this.#netns.all().filter(({ cookie }) => this.#told.has(cookie ?? 0));
    return { netns, pods: this.#pods.all(), nodeCgroups: this.#watcher.nodeCgroups.all() };
  }

  /** Name of a live namespace, for people. */
  nameOf(cookie: number): string | undefined {
    return this.#pods.nameOf(cookie) ?? this.#netns.nameOf(cookie);
  }

  /** Live namespaces, told or not, and paths that lead into them. */
  live(): Iterable<{ readonly cookie: number; readonly path: string }> {
    return this.#netns.live();
  }

  /** Cookies of live namespaces, told or not. */
  liveCookies(): Iterable<number> {
    return this.#netns.cookies();
  }

  /** A path that leads into a live namespace. */
  pathOf(cookie: number): string | undefined {
    return this.#netns.pathOf(cookie);
  }

  /** Cgroups of the containers that run. */
  cgroupTargets(): CgroupTarget[] {
    return this.#pods.targets();
  }

  #release(nowBootNs: number): NetworkNamespace[] {
    const released: NetworkNamespace[] = [];
    for (const [cookie, message] of this.#withheld) {
      const { host, toBootNs, fromBootNs } = message;
      const mayBePod = !this.#settled && this.#watcher.answers && !host && (toBootNs ?? 0) === 0 && nowBootNs - (fromBootNs ?? 0) < graceNs;
      if (mayBePod && !this.#pods.hasNetns(cookie)) continue;
      this.#withheld.delete(cookie);
      this.#told.add(cookie);
      released.push(message);
    }
    return released;
  }
}
