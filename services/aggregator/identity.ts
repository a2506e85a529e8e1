import { U64Index } from '../../core/u64-index.ts';
import type { Identity, Keyframe } from '../../proto/collect.ts';
import { AddressIndex } from './address-index.ts';
import { type Entity, nodeEntity, unknownEntity } from './entity.ts';
import { ambiguous, IntervalIndex } from './interval-index.ts';
import { KeyframeListing, type ListingSnapshot } from './keyframe-listing.ts';
import { endNetns, endOf, isByInode, keyOfNetns, labelOfNetns, lookSlackNs, type Netns, netnsOf } from './netns.ts';
import { NodeCgroups } from './node-cgroups.ts';
import type { Pod } from './pod.ts';
import { type PodContainer, PodIndex } from './pod-index.ts';
import { podsOfInodes } from './pods-of-inodes.ts';
import { unlessSame } from './unless-same.ts';

/** Index of a namespace in a NodeIdentity; negative: none. Good until the next change. */
export type NetnsId = number;

/** Who held an address: a namespace, or a Pod whose namespace is not known. */
export interface Holder {
  netnsId: NetnsId;
  pod: Pod | undefined;
  /** Several may have held it. */
  ambiguous: boolean;
}

/** A record whose ends may become known in a moment waits until its node's stream is this much further. */
export const holdNs = 3e9;
/** What is gone is remembered this long behind the watermark: late records still find it. */
const rememberNs = 120e9;
/** More than this per node is not plausible; further ones are refused and their records stay unknown. */
const maxNetns = 65_536;
/** Of one node: addresses; further ones are unknown. */
const maxAddresses = 131_072;
const two32 = 0x1_0000_0000;

/** What one session said about its node's namespaces and Pods, and the look-ups for both ends of a record. */
export class NodeIdentity {
  #netns: Netns[] = [];
  /** Addresses that they hold or held. */
  #addresses = 0;
  /** Index of each namespace by cookie, inode and start. */
  #known = new Map<string, number>();
  #byCookie = new U64Index();
  #byInode = new IntervalIndex();
  #byAddress = new AddressIndex();
  readonly #pods = new PodIndex();
  /** Pods of namespaces that are known by their inode; undefined: several may be meant. */
  #podOfInode: ReadonlyMap<NetnsId, Pod | undefined> = new Map();
  /** Pod of each namespace; `depends`: on the time. */
  #podOf: readonly (Pod | 'depends' | undefined)[] = [];
  readonly #nodeCgroups = new NodeCgroups();
  readonly #listing = new KeyframeListing();
  /** Whether Pods were ever told: the node is one of Kubernetes. */
  hasPods = false;
  readonly #holder: Holder = { netnsId: -1, pod: undefined, ambiguous: false };
  /** Entities of namespaces, Pods and containers. */
  #entities = new WeakMap<object, Entity>();

  /** Takes in what an Identity or a Keyframe says. Returns whether it may tell something of records that wait. */
  learn({ netns, pods, nodeCgroups }: Identity, watermarkNs: number): boolean {
    let news = this.#nodeCgroups.learn(nodeCgroups ?? []);
    for (const message of netns ?? []) if (this.#put(netnsOf(message))) news = true;
    for (const message of pods ?? []) this.#pods.learn(message);
    if ((pods ?? []).length > 0) news = this.hasPods = true;
    if ((netns ?? []).length + (pods ?? []).length > 0) this.#rebuild(watermarkNs);
    return news;
  }

  /** Takes in a part of a keyframe; with the last one ends what none of them listed. */
  keyframe(keyframe: Keyframe, watermarkNs: number): boolean {
    const news = this.learn(keyframe.identity ?? {}, watermarkNs);
    const listing = this.#listing.add(keyframe);
    if (listing === undefined) return news;
    const { bootNs } = listing;
    this.#netns = this.#netns.map((netns) =>
      listing.netns.has(keyOfNetns(netns)) || netns.toBootNs <= bootNs || netns.fromBootNs >= bootNs ? netns : endNetns(netns, bootNs),
    );
    this.#pods.endUnlisted(listing.pods, bootNs);
    this.#rebuild(watermarkNs);
    return news;
  }

  get(id: NetnsId): Netns | undefined {
    return this.#netns[id];
  }

  /** The namespace with a cookie (or inode, on kernels without cookies) at a time; negative: nobody knows, or several may be meant. */
  local(keyLo: number, keyHi: number, bootNs: number, keyIsInode: boolean): NetnsId {
    return keyIsInode ? this.#byInode.at(keyLo, keyHi, bootNs) : this.#byCookie.get(keyLo, keyHi);
  }

  /** The Pod whose network namespace has a cookie. */
  podOfCookie(lo: number, hi: number, bootNs: number): Pod | undefined {
    return this.#pods.ofNetns(lo, hi, bootNs);
  }

  /** The Pod that a namespace was of at a time; never one of the node's own. */
  podOf(id: NetnsId, bootNs: number): Pod | undefined {
    const known = this.#podOf[id];
    if (known !== 'depends') return known;
    const { cookie } = this.#netns[id];
    return this.#pods.ofNetns(cookie >>> 0, Math.floor(cookie / two32), bootNs);
  }

  /** What `podOf` says at any time, where it is always the same. */
  #podOfAnyTime(netns: Netns, id: NetnsId): Pod | 'depends' | undefined {
    if (netns.host) return undefined;
    if (isByInode(netns)) return this.#podOfInode.get(id);
    const [lo, hi] = [netns.cookie >>> 0, Math.floor(netns.cookie / two32)];
    return this.#pods.isAlwaysOf(lo, hi) ? this.#pods.ofNetns(lo, hi, 0) : 'depends';
  }

  /** The container whose processes are in a cgroup, as records carry it. */
  ofCgroup(lo: number, hi: number, bootNs: number): PodContainer | undefined {
    return this.#pods.ofCgroup(lo, hi, bootNs);
  }

  /** Until when (boot ns) a Pod may still be told for a namespace that has none; 0: it is nobody's. */
  podMayComeUntil(netns: Netns, bootNs: number): number {
    if (netns.host || !this.hasRuntime) return 0;
    // It may have been found some time after its first records, and a wrong start must not make them wait for ever.
    const until = Math.min(netns.fromBootNs, bootNs + lookSlackNs) + holdNs;
    return bootNs < until ? until : 0;
  }

  /** Until when (boot ns) a hostNetwork Pod may still be told for a cgroup of the node's own namespace; 0: it is the node's. */
  hostPodMayComeUntil(cgroupLo: number, cgroupHi: number, bootNs: number): number {
    return this.#nodeCgroups.mayBeContainer(cgroupLo, cgroupHi) ? bootNs + holdNs : 0;
  }

  /** Whether the node's container runtime has told anything. */
  get hasRuntime(): boolean {
    return this.hasPods || this.#nodeCgroups.told;
  }

  /** Who held an address at a time. The same object each time: use it before the next call. */
  holder(w0: number, w1: number, w2: number, w3: number, bootNs: number): Readonly<Holder> {
    const holder = this.#holder;
    const id = this.#byAddress.holderAt(w0, w1, w2, w3, bootNs);
    const count = this.#netns.length;
    holder.ambiguous = id === ambiguous;
    holder.netnsId = id < count ? Math.max(id, -1) : -1;
    holder.pod = id < count ? undefined : this.#pods.all[id - count];
    return holder;
  }

  /**
   * Whose a sample or count is, as series name it.
   * @param netns cookie or inode of its namespace; 0: none
   * @param sampledCgroup id of its container's cgroup as samples carry it; 0: none
   * @param bootNs when it was read
   */
  entityOf(netns: number, sampledCgroup: number, bootNs: number): Entity {
    const owner = this.ownerOf(netns, sampledCgroup, bootNs);
    if (owner === 'node') return nodeEntity;
    if (owner === undefined) return unknownEntity;
    if ('container' in owner) return this.#entity(owner.container, () => entityOfPod(owner.pod, owner.container.name));
    if ('sandboxId' in owner) return this.#entity(owner, () => entityOfPod(owner, ''));
    return this.#entity(owner, () => ({ kind: 'netns', name: labelOfNetns(owner, '') }));
  }

  /** Whose a sample or count is; undefined while nobody knows, or a Pod may still be told. Parameters: as `entityOf`. */
  ownerOf(netns: number, sampledCgroup: number, bootNs: number): PodContainer | Pod | Netns | 'node' | undefined {
    if (sampledCgroup !== 0) return this.#pods.ofSampledCgroup(sampledCgroup >>> 0, Math.floor(sampledCgroup / two32), bootNs);
    if (netns === 0) return 'node';
    const [lo, hi] = [netns >>> 0, Math.floor(netns / two32)];
    const cookieId = this.#byCookie.get(lo, hi);
    const id = cookieId >= 0 && isByInode(this.#netns[cookieId]) ? this.#byInode.at(lo, hi, bootNs) : cookieId;
    const found = this.#netns[id];
    if (found === undefined) return undefined;
    if (found.host) return 'node';
    return this.podOf(id, bootNs) ?? (this.podMayComeUntil(found, bootNs) > 0 ? undefined : found);
  }

  /** A Pod as it was told last; undefined: it is not known, or was forgotten. */
  podOfSandbox(sandboxId: string): Pod | undefined {
    return this.#pods.ofSandbox(sandboxId);
  }

  #entity(of: object, make: () => Entity): Entity {
    let entity = this.#entities.get(of);
    if (entity === undefined) {
      entity = make();
      this.#entities.set(of, entity);
    }
    return entity;
  }

  /** For a checkpoint. */
  snapshot(): IdentitySnapshot {
    return {
      netns: this.#netns.map((netns) => ({ ...withEnd(netns), addresses: netns.addresses.map(withEnd) })),
      pods: this.#pods.all.map(withEnd),
      hasPods: this.hasPods,
      nodeCgroups: this.#nodeCgroups.all,
      listing: this.#listing.snapshot(),
    };
  }

  restore({ netns, pods, hasPods, nodeCgroups, listing }: IdentitySnapshot): void {
    this.#netns = netns.map((one) => ({ ...withoutEnd(one), addresses: one.addresses.map(withoutEnd) }));
    // Checkpoints of versions without annotations have none.
    for (const pod of pods) this.#pods.put(withoutEnd({ ...pod, annotations: pod.annotations ?? {} }));
    this.hasPods = hasPods;
    this.#nodeCgroups.learn(nodeCgroups);
    this.#listing.restore(listing);
    this.#rebuild(0);
  }

  /** Returns whether it became known. */
  #put(told: Netns): boolean {
    const key = keyOfNetns(told);
    const known = this.#known.get(key);
    const before = known === undefined ? 0 : this.#netns[known].addresses.length;
    const room = maxAddresses - this.#addresses + before;
    const netns = told.addresses.length <= room ? told : { ...told, addresses: told.addresses.slice(0, room) };
    if (known !== undefined || this.#netns.length < maxNetns) this.#addresses += netns.addresses.length - before;
    if (known !== undefined) this.#netns[known] = unlessSame(this.#netns[known], netns);
    else if (this.#netns.length < maxNetns) {
      this.#known.set(key, this.#netns.push(netns) - 1);
      return true;
    }
    return false;
  }

  #rebuild(watermarkNs: number): void {
    const forgetBeforeNs = watermarkNs - rememberNs;
    this.#netns = this.#netns.filter((netns) => netns.toBootNs > forgetBeforeNs);
    this.#pods.rebuild(forgetBeforeNs);
    this.#known = new Map();
    this.#byCookie = new U64Index();
    this.#byInode = new IntervalIndex();
    this.#byAddress = new AddressIndex();
    this.#addresses = 0;
    for (const [id, netns] of this.#netns.entries()) {
      this.#known.set(keyOfNetns(netns), id);
      this.#byCookie.set(netns.cookie >>> 0, Math.floor(netns.cookie / two32), id);
      this.#byInode.add(netns.inode, id, netns.fromBootNs - lookSlackNs, netns.toBootNs);
      this.#addresses += netns.addresses.length;
      for (const { address, fromBootNs, toBootNs } of netns.addresses)
        this.#byAddress.add(Buffer.from(address, 'hex'), id, fromBootNs, toBootNs);
    }
    this.#podOfInode = podsOfInodes(this.#netns, this.#pods.all);
    this.#podOf = this.#netns.map((netns, id) => this.#podOfAnyTime(netns, id));
    for (const [id, pod] of this.#pods.all.entries()) {
      for (const address of pod.addresses)
        this.#byAddress.add(Buffer.from(address, 'hex'), this.#netns.length + id, pod.fromBootNs, pod.toBootNs);
    }
  }
}

/** What a checkpoint keeps of a node's identity; an end of 0 is none. */
export interface IdentitySnapshot {
  readonly netns: readonly Netns[];
  readonly pods: readonly Pod[];
  readonly hasPods: boolean;
  readonly nodeCgroups: readonly number[];
  readonly listing: ListingSnapshot;
}

function entityOfPod({ namespace, name, uid }: Pod, container: string): Entity {
  return { kind: 'pod', namespace, pod: name, uid, container };
}

/** JSON has no Infinity. */
function withEnd<T extends { readonly toBootNs: number }>(of: T): T {
  return { ...of, toBootNs: Number.isFinite(of.toBootNs) ? of.toBootNs : 0 };
}

function withoutEnd<T extends { readonly toBootNs: number }>(of: T): T {
  return { ...of, toBootNs: endOf(of.toBootNs) };
}
