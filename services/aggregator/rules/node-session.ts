import type { LocalEnd } from '../local-end.ts';
import type { Netns } from '../netns.ts';
import type { Pod } from '../pod.ts';
import type { SessionState } from '../session.ts';
import { type EntityTable, nodeIndex, type RuleEntity } from './entity-table.ts';

/** Namespaces of one session whose entities are remembered. */
const maxRemembered = 65_536;

/** What rules know of one session of a node: its clock, what it has told so far, and whose its records are. */
export class NodeSession {
  readonly state: SessionState;
  /** Its first message was read: what it counts began at 0. */
  readonly fromStart: boolean;
  /** A keyframe was read to its end. */
  keyframed = false;
  /** A full cycle was read to its end: what comes up later is new. */
  cycled = false;
  readonly #entities: EntityTable;
  readonly #isNew: (entity: RuleEntity) => void;
  /** By NetnsId: who was found there last, and its entity. */
  #pods: (Pod | undefined)[] = [];
  #netns: (Netns | undefined)[] = [];
  #places: number[] = [];
  #ofObject = new WeakMap<object, number>();
  #version = 0;

  constructor(state: SessionState, entities: EntityTable, isNew: (entity: RuleEntity) => void, fromStart: boolean) {
    this.state = state;
    this.fromStart = fromStart;
    this.#entities = entities;
    this.#isNew = isNew;
  }

  /** Whole Unix second of a boot time; undefined before the session's offset is known. */
  secondOf(bootNs: number): number | undefined {
    const offset = this.state.firstOffset;
    return offset === undefined ? undefined : Math.floor((bootNs + offset.nanos) / 1e9) + offset.seconds;
  }

  /** Boot time at which a second begins, ns; before the offset is known, before everything. */
  startOf(second: number): number {
    const offset = this.state.firstOffset;
    return offset === undefined ? Number.NEGATIVE_INFINITY : (second - offset.seconds) * 1e9 - offset.nanos;
  }

  /** The entity of a record's local end; -1: nobody knows whose it is, or there is no room. */
  entityOf(local: LocalEnd): number {
    const id = local.netnsId;
    if (this.#version !== this.#entities.version) this.#forget();
    if (id >= 0 && this.#netns[id] === local.netns && this.#pods[id] === local.pod && id < this.#places.length) return this.#places[id];
    const place = this.#lookUp(local.pod, local.netns);
    if (place >= 0 && id >= 0 && id < maxRemembered && local.pod?.hostNetwork !== true) {
      while (this.#places.length <= id) {
        this.#pods.push(undefined);
        this.#netns.push(undefined);
        this.#places.push(-1);
      }
      this.#pods[id] = local.pod;
      this.#netns[id] = local.netns;
      this.#places[id] = place;
    }
    return place;
  }

  /** The entity of a Pod or namespace. */
  ofOwner(owner: Pod | Netns | 'node'): number {
    if (this.#version !== this.#entities.version) this.#forget();
    if (owner === 'node') return nodeIndex;
    return 'sandboxId' in owner ? this.#lookUp(owner, undefined) : this.#lookUp(undefined, owner);
  }

  #lookUp(pod: Pod | undefined, netns: Netns | undefined): number {
    const owner = pod ?? netns;
    if (owner === undefined) return -1;
    if (pod === undefined && netns?.host) return nodeIndex;
    const known = this.#ofObject.get(owner);
    if (known !== undefined) return known;
    const place =
      pod === undefined
        ? this.#entities.ofNetns((netns as Netns).cookie, netns, this.#isNew)
        : this.#entities.ofPod(pod, this.#unixS(pod.fromBootNs), this.#isNew);
    if (place >= 0) this.#ofObject.set(owner, place);
    return place;
  }

  #unixS(bootNs: number): number {
    const { seconds, nanos } = this.state.firstOffset ?? { seconds: 0, nanos: 0 };
    return seconds + (bootNs + nanos) / 1e9;
  }

  #forget(): void {
    this.#version = this.#entities.version;
    this.#pods = [];
    this.#netns = [];
    this.#places = [];
    this.#ofObject = new WeakMap();
  }
}
