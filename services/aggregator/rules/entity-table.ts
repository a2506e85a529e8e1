import type { Netns } from '../netns.ts';
import { labelOfPod, type Pod } from '../pod.ts';
import type { FindingEntity } from './finding.ts';

/** More of one node are not plausible; further ones have no findings. */
const maxEntities = 32_768;
/** Place of the node (or the pipeline) itself. */
export const nodeIndex = 0;

/** Whom rules watch, by a number that is its place in all arrays. */
export interface RuleEntity {
  readonly index: number;
  readonly key: string;
  info: FindingEntity;
  /** As identity told it last. */
  pod: Pod | undefined;
  netns: Netns | undefined;
  /** Since when it is known to be gone, second; 0: it lives. */
  goneS: number;
  /** A finding was resolved because it is gone: nothing opens until it is back. */
  resolvedGone: boolean;
  /** When the sandbox of `pod` began, Unix seconds with fraction: boot times of two boots cannot be compared. */
  podFromS: number;
}

const unknownEntity = { pod: undefined, netns: undefined, goneS: 0, resolvedGone: false, podFromS: Number.NEGATIVE_INFINITY };

/** The entities of one node. A place is used again once nothing of its entity is left. */
export class EntityTable {
  readonly node: string;
  readonly all: (RuleEntity | undefined)[];
  /** Rises when a place is given up: what was remembered of places may be wrong then. */
  version = 0;
  /** Called when an entity has another network namespace: whether probes look at it may be otherwise. */
  onMoved: (entity: RuleEntity) => void = () => undefined;
  readonly #byKey = new Map<string, number>();
  #free: number[] = [];

  constructor(node: string, self: FindingEntity) {
    this.node = node;
    this.all = [{ index: nodeIndex, key: '', info: self, ...unknownEntity }];
    this.#byKey.set('', nodeIndex);
  }

  /**
   * The Pod's place; -1: there is no room. A Pod that was told anew is known by its uid.
   * @param fromS when this sandbox of it began, Unix seconds
   */
  ofPod(pod: Pod, fromS: number, isNew: (entity: RuleEntity) => void): number {
    const entity = this.#entity(`pod ${pod.uid === '' ? labelOfPod(pod) : pod.uid}`, isNew, () => this.#podInfo(pod));
    if (entity === undefined) return -1;
    if (entity.pod !== pod && (entity.podFromS <= fromS || entity.pod?.sandboxId === pod.sandboxId)) {
      entity.pod = pod;
      entity.podFromS = fromS;
      this.#tell(entity, this.#podInfo(pod));
    }
    return entity.index;
  }

  /** Place of a namespace that is no Pod's. @param cookie or inode, where the kernel has no cookies */
  ofNetns(cookie: number, netns: Netns | undefined, isNew: (entity: RuleEntity) => void): number {
    const entity = this.#entity(`netns ${cookie}`, isNew, () => this.#netnsInfo(cookie, netns));
    if (entity === undefined) return -1;
    if (netns !== undefined && entity.netns !== netns) {
      entity.netns = netns;
      this.#tell(entity, this.#netnsInfo(cookie, netns));
    }
    return entity.index;
  }

  /** Gives a place up. */
  remove(entity: RuleEntity): void {
    this.all[entity.index] = undefined;
    this.#byKey.delete(entity.key);
    this.#free.push(entity.index);
    this.version++;
  }

  /** For a checkpoint, beside the entities themselves. */
  image(): EntityTableImage {
    return { places: this.all.length, free: this.#free };
  }

  /** Makes room for what a checkpoint has. */
  restore({ places, free }: EntityTableImage): void {
    while (this.all.length < places) this.all.push(undefined);
    this.#free = [...free];
  }

  /** Takes an entity of a checkpoint back. */
  put(entity: RuleEntity): void {
    this.all[entity.index] = entity;
    this.#byKey.set(entity.key, entity.index);
  }

  #entity(key: string, isNew: (entity: RuleEntity) => void, info: () => FindingEntity): RuleEntity | undefined {
    const known = this.#byKey.get(key);
    if (known !== undefined) return this.all[known];
    if (this.#byKey.size >= maxEntities) return undefined;
    const index = this.#free.pop() ?? this.all.length;
    const created: RuleEntity = { index, key, info: info(), ...unknownEntity };
    this.all[index] = created;
    this.#byKey.set(key, index);
    isNew(created);
    return created;
  }

  #tell(entity: RuleEntity, info: FindingEntity): void {
    const isMoved = entity.info.cookie !== info.cookie;
    entity.info = info;
    if (isMoved) this.onMoved(entity);
  }

  #podInfo({ namespace, name, uid, netns }: Pod): FindingEntity {
    return { kind: 'pod', node: this.node, namespace, pod: name, uid, name: '', cookie: netns, inode: 0 };
  }

  #netnsInfo(cookie: number, netns: Netns | undefined): FindingEntity {
    const name = netns?.names[0] ?? '';
    return { kind: 'netns', node: this.node, namespace: '', pod: '', uid: '', name, cookie, inode: netns?.inode ?? 0 };
  }
}

/** The table in a checkpoint. */
export interface EntityTableImage {
  /** Places that were ever used. */
  readonly places: number;
  readonly free: readonly number[];
}

/** The node itself, as an entity. */
export function nodeEntity(node: string): FindingEntity {
  return { kind: 'node', node, namespace: '', pod: '', uid: '', name: '', cookie: 0, inode: 0 };
}

/** What people call an entity. */
export function labelOfEntity({ kind, node, namespace, pod, name, cookie }: FindingEntity): string {
  if (kind === 'pod') return `${namespace}/${pod}`;
  if (kind === 'netns') return name === '' ? `netns ${cookie}` : name;
  return kind === 'node' ? node : name;
}

/** What tells an entity apart in the ids of its findings. */
export function idOfEntity({ kind, node, namespace, pod, uid, name, cookie }: FindingEntity): string {
  if (kind === 'pod') return uid === '' ? `${namespace}/${pod}` : uid;
  if (kind === 'netns') return `${node}/${name === '' ? cookie : name}`;
  return kind === 'node' ? node : name;
}
