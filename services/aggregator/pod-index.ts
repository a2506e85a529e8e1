import type { Pod as PodMessage } from '../../proto/collect.ts';
import { ambiguous, IntervalIndex, nobody } from './interval-index.ts';
import { type Container, type Pod, podOf } from './pod.ts';
import { unlessSame } from './unless-same.ts';

/** A container of a Pod; the same object until something of the Pod changes. */
export interface PodContainer {
  readonly pod: Pod;
  readonly container: Container;
}

/** More sandboxes of one node than this are not plausible; further ones stay unknown. */
const maxPods = 16_384;
/** Containers, cgroups, addresses and annotations of all Pods of one node; what Pods tell beyond is left out. */
const maxParts = 262_144;

/** The Pods of one node, and who had which namespace and cgroup. Changes are followed by `rebuild`. */
export class PodIndex {
  /** By sandbox, in the order in which they became known. */
  readonly #known = new Map<string, Pod>();
  #pods: readonly Pod[] = [];
  #parts = 0;
  #containers: PodContainer[] = [];
  #byNetns = new IntervalIndex();
  #byCgroup = new IntervalIndex();
  #bySampledCgroup = new IntervalIndex();

  /** All of them; indexes stay until the next rebuild. */
  get all(): readonly Pod[] {
    return this.#pods;
  }

  ofSandbox(sandboxId: string): Pod | undefined {
    return this.#known.get(sandboxId);
  }

  learn(message: PodMessage): void {
    this.put(podOf(message));
  }

  put(pod: Pod): void {
    const known = this.#known.get(pod.sandboxId);
    if (known === undefined && this.#known.size >= maxPods) return;
    const before = known === undefined ? 0 : partsOf(known);
    const isRoom = this.#parts - before + partsOf(pod) <= maxParts;
    const kept = unlessSame(known, isRoom ? pod : { ...pod, containers: [], addresses: [], annotations: {} });
    this.#parts += partsOf(kept) - before;
    this.#known.set(pod.sandboxId, kept);
  }

  /** Ends all that live and are not listed. */
  endUnlisted(listed: ReadonlySet<string>, bootNs: number): void {
    for (const [id, pod] of this.#known) if (!listed.has(id) && pod.toBootNs > bootNs) this.#known.set(id, { ...pod, toBootNs: bootNs });
  }

  /** Forgets what ended before a time, and makes the look-ups anew. */
  rebuild(forgetBeforeNs: number): void {
    for (const [id, pod] of this.#known) {
      if (pod.toBootNs > forgetBeforeNs) continue;
      this.#parts -= partsOf(pod);
      this.#known.delete(id);
    }
    this.#pods = [...this.#known.values()];
    this.#containers = [];
    this.#byNetns = new IntervalIndex();
    this.#byCgroup = new IntervalIndex();
    this.#bySampledCgroup = new IntervalIndex();
    for (const [id, pod] of this.#pods.entries()) this.#index(pod, id);
  }

  #index(pod: Pod, id: number): void {
    const { fromBootNs, toBootNs } = pod;
    if (pod.netns !== 0 && !pod.hostNetwork) this.#byNetns.add(pod.netns, id, fromBootNs, toBootNs);
    for (const container of pod.containers) {
      const index = this.#containers.push({ pod, container }) - 1;
      for (const cgroup of container.cgroups) this.#byCgroup.add(cgroup, index, fromBootNs, toBootNs);
      if (container.sampledCgroup !== 0) this.#bySampledCgroup.add(container.sampledCgroup, index, fromBootNs, toBootNs);
    }
  }

  /** The Pod whose network namespace has a cookie. */
  ofNetns(lo: number, hi: number, bootNs: number): Pod | undefined {
    const id = this.#byNetns.get(lo, hi, bootNs);
    return id < 0 ? undefined : this.#pods[id];
  }

  /** Whether the same Pod, or none, had a namespace at all times. */
  isAlwaysOf(lo: number, hi: number): boolean {
    return this.#byNetns.only(lo, hi) !== ambiguous;
  }

  /** The container that a record's cgroup id is of. */
  ofCgroup(lo: number, hi: number, bootNs: number): PodContainer | undefined {
    return this.#container(this.#byCgroup.get(lo, hi, bootNs));
  }

  /** The container that a sample's cgroup id is of. */
  ofSampledCgroup(lo: number, hi: number, bootNs: number): PodContainer | undefined {
    return this.#container(this.#bySampledCgroup.get(lo, hi, bootNs));
  }

  #container(id: number): PodContainer | undefined {
    return id <= nobody ? undefined : this.#containers[id];
  }
}

function partsOf({ addresses, containers, annotations }: Pod): number {
  const own = addresses.length + Object.keys(annotations).length;
  return containers.reduce((sum, { cgroups }) => sum + 1 + cgroups.length, own);
}
