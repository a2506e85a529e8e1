import type { TrackedContainer } from './tracked-pod.ts';

/** Told ones that are remembered: far more than a node has. */
const maxTold = 16_384;
/** A container that the runtime does not know after this is another program's. */
const strangerNs = 10e9;
/** A folder of the kubelet's, or of a container by its id: whoever lives there may be a Pod. */
const containerLike = /(^|\/)kubepods|[0-9a-f]{64}/;

/** Cgroups that are no container's: which of the node's processes are its own. */
export class NodeCgroups {
  readonly #told = new Set<number>();
  readonly #firstSeenNs = new Map<number, number>();
  #toTell: number[] = [];

  /** Whether any was told: from then on who reads waits for unknown ones. */
  get any(): boolean {
    return this.#told.size > 0;
  }

  /** Ids to tell since the last call. */
  takeChanges(): number[] {
    const ids = this.#toTell;
    this.#toTell = [];
    return ids;
  }

  /** All that were told and are there still. */
  all(): number[] {
    return [...this.#told];
  }

  /**
   * Takes in all cgroups of the node.
   * @param tree paths by id
   * @param mount what the containers' folders begin with
   * @param below is told of cgroups that a container made below its own
   */
  look(
    tree: ReadonlyMap<number, string>,
    mount: string,
    containers: readonly TrackedContainer[],
    nowBootNs: number,
    below: (containerId: string, cgroup: number) => void,
  ): void {
    const owners = new Map(containers.map(({ id, target }) => [target?.unified?.slice(mount.length) ?? '', id]));
    this.#forget(tree);
    for (const [id, path] of tree) {
      if (owners.has(path) || this.#told.has(id)) continue;
      const owner = ownerOf(path, owners);
      if (owner !== undefined) below(owner, id);
      else if (this.#isNodes(id, path, nowBootNs) && this.#told.size < maxTold) {
        this.#told.add(id);
        this.#toTell.push(id);
      }
    }
  }

  #isNodes(id: number, path: string, nowBootNs: number): boolean {
    if (!containerLike.test(path)) return true;
    const firstSeenNs = this.#firstSeenNs.get(id) ?? nowBootNs;
    this.#firstSeenNs.set(id, firstSeenNs);
    return nowBootNs - firstSeenNs >= strangerNs;
  }

  #forget(tree: ReadonlyMap<number, string>): void {
    for (const id of this.#told) if (!tree.has(id)) this.#told.delete(id);
    for (const id of this.#firstSeenNs.keys()) if (!tree.has(id)) this.#firstSeenNs.delete(id);
  }
}

/** The container in whose folder a cgroup lies. */
function ownerOf(path: string, owners: ReadonlyMap<string, string>): string | undefined {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    const owner = owners.get(path.slice(0, end));
    if (owner !== undefined) return owner;
  }
  return undefined;
}
