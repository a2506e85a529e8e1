import type { Pod } from '../../../../proto/collect.ts';
import type { CgroupTarget } from './container-cgroup.ts';
import type { PodNames } from './pod-message.ts';

/** A container as it is followed. */
export interface TrackedContainer {
  readonly id: string;
  readonly name: string;
  /** Undefined until its cgroup is found. */
  target: CgroupTarget | undefined;
  /** Cgroups that it made below its own. */
  readonly below: number[];
  /** Boot ns at which it was seen to have ended; 0 while it runs. */
  endedNs: number;
  /** How often its cgroup was looked for in vain. */
  misses: number;
  /** Boot ns from which on it is looked for although that was often. */
  againNs: number;
}

/** A sandbox as it is followed. Containers by id, the sandbox's own among them. */
export interface TrackedPod {
  readonly names: PodNames;
  readonly hostNetwork: boolean;
  readonly addresses: readonly Uint8Array[];
  readonly fromBootNs: number;
  /** 0 while it lives. */
  toBootNs: number;
  /** Cookie of its namespace; 0: the node's, or not known. */
  netns: number;
  readonly containers: Map<string, TrackedContainer>;
}

export function newContainer(id: string, name: string): TrackedContainer {
  return { id, name, target: undefined, below: [], endedNs: 0, misses: 0, againNs: 0 };
}

/** Whether something of it is still to be found out. */
export function incomplete(pod: TrackedPod): boolean {
  return (pod.netns === 0 && !pod.hostNetwork) || pod.containers.get(pod.names.sandboxId)?.target === undefined;
}

/** What is told of a Pod (collect.proto). */
export function podMessage(pod: TrackedPod, hasUnified: boolean): Pod {
  const { sandboxId, uid, namespace, name, labels, annotations } = pod.names;
  return {
    sandboxId,
    uid,
    namespace,
    name,
    netns: pod.netns,
    hostNetwork: pod.hostNetwork,
    addresses: [...pod.addresses],
    containers: [...pod.containers.values()].map(({ id, name: container, target, below }) => ({
      id,
      name: container,
      cgroups: target === undefined || !hasUnified ? [] : [target.id, ...below],
      sampledCgroup: target?.id ?? 0,
    })),
    labels,
    annotations,
    fromBootNs: pod.fromBootNs,
    toBootNs: pod.toBootNs,
  };
}
