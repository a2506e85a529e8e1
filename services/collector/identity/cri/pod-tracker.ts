import { type ServiceError, status } from '@grpc/grpc-js';
import type { Pod } from '../../../../proto/collect.ts';
import { namespaceOfNode, type PodSandbox, type RuntimeContainer } from '../../../../proto/cri.ts';
import type { Clock } from '../../clock.ts';
import type { RuntimeClient } from './client.ts';
import type { CgroupTarget, ContainerCgroups } from './container-cgroup.ts';
import { podNames, sandboxAddresses } from './pod-message.ts';
import { parseRuntimeInfo, type RuntimeInfo } from './runtime-info.ts';
import { incomplete, newContainer, podMessage, type TrackedContainer, type TrackedPod } from './tracked-pod.ts';

export interface PodTrackerParts {
  readonly clock: Pick<Clock, 'bootNs' | 'wallNs'>;
  readonly cgroups: ContainerCgroups;
  /** Cookie of the namespace that a path leads to; undefined when it does not. */
  cookieOf(path: string): number | undefined;
  /** Something is to be told. */
  changed(): void;
}

/** Sandboxes of one node: ten times what kubelet allows by default is 1,100. */
const maxPods = 4096;
const maxContainers = 64;
/** Status calls at a time: the runtime serves kubelet too. */
const parallelCalls = 4;
/** What a runtime does not tell after this many looks is asked for seldom: it may have been busy. */
const maxMisses = 10;
const seldomNs = 60e9;
/** Late records still find a container that has ended. */
const rememberNs = 120e9;

/** Follows the node's sandboxes and containers from list to list, and tells what changed. */
export class PodTracker {
  readonly #parts: PodTrackerParts;
  readonly #pods = new Map<string, TrackedPod>();
  /** Sandboxes of which something was not told: how often, and when (boot ns) they are asked about although it was often. */
  readonly #failures = new Map<string, { readonly count: number; readonly againNs: number }>();
  readonly #toTell = new Set<TrackedPod>();

  constructor(parts: PodTrackerParts) {
    this.#parts = parts;
  }

  /** What changed since the last call. */
  takeChanges(): Pod[] {
    const pods = [...this.#toTell].map((pod) => this.#message(pod));
    this.#toTell.clear();
    return pods;
  }

  /** All that live. */
  all(): Pod[] {
    return [...this.#pods.values()].map((pod) => this.#message(pod));
  }

  /** Whether a namespace is a live Pod's. */
  hasNetns(cookie: number): boolean {
    for (const { netns } of this.#pods.values()) if (netns === cookie) return true;
    return false;
  }

  /** Namespaces (cookies, 0: not known yet) of the live Pods of a name: namespace/name. */
  named(name: string): { readonly netns: number; readonly hostNetwork: boolean }[] {
    return [...this.#pods.values()].filter(({ names }) => `${names.namespace}/${names.name}` === name);
  }

  /** Names of all live Pods: namespace/name. */
  names(): string[] {
    return [...this.#pods.values()].map(({ names: { namespace, name } }) => `${namespace}/${name}`);
  }

  /** Namespace and name of the Pod in a network namespace, for people. */
  nameOf(cookie: number): string | undefined {
    for (const { netns, names } of this.#pods.values()) if (netns === cookie) return `${names.namespace}/${names.name}`;
    return undefined;
  }

  /** Containers that live and have a cgroup. */
  containers(): TrackedContainer[] {
    return [...this.#pods.values()].flatMap(({ containers }) => [...containers.values()].filter(({ target }) => target !== undefined));
  }

  /** Cgroups of the containers that run, for who reads their counters. */
  targets(): CgroupTarget[] {
    return this.containers().flatMap(({ target, endedNs }) => (target === undefined || endedNs > 0 ? [] : [target]));
  }

  /** A cgroup was found below a container's own. */
  foundBelow(containerId: string, cgroup: number): void {
    for (const pod of this.#pods.values()) {
      const container = pod.containers.get(containerId);
      if (container === undefined || container.below.includes(cgroup)) continue;
      if (container.below.length >= maxContainers) container.below.shift();
      container.below.push(cgroup);
      this.#toTell.add(pod);
    }
  }

  /** Namespaces are gone, and the Pods in them: the runtime may say so later. */
  netnsGone(cookies: ReadonlySet<number>, nowBootNs: number): void {
    for (const [id, pod] of this.#pods) {
      if (pod.netns === 0 || !cookies.has(pod.netns)) continue;
      this.#end(id, pod, nowBootNs);
      this.#failures.set(id, { count: maxMisses, againNs: Number.POSITIVE_INFINITY });
    }
  }

  /** Asks the runtime once. Rejects when it does not answer; what is known stays. */
  async refresh(client: RuntimeClient): Promise<void> {
    const [sandboxes, running] = await Promise.all([client.sandboxes(), client.containers()]);
    const nowNs = this.#parts.clock.bootNs();
    const listed = new Map(sandboxes.slice(0, maxPods).map((sandbox) => [sandbox.id ?? '', sandbox]));
    for (const id of this.#failures.keys()) if (!listed.has(id)) this.#failures.delete(id);
    for (const [id, pod] of this.#pods) if (!listed.has(id)) this.#end(id, pod, nowNs);
    await inParallel([...listed], ([id, sandbox]) => this.#lookAt(client, id, sandbox, nowNs));
    await this.#lookAtContainers(client, running, nowNs);
  }

  #message(pod: TrackedPod): Pod {
    return podMessage(pod, this.#parts.cgroups.mounts.unified !== undefined);
  }

  #end(id: string, pod: TrackedPod, nowBootNs: number): void {
    pod.toBootNs = nowBootNs;
    this.#pods.delete(id);
    this.#tell(pod);
  }

  #tell(pod: TrackedPod): void {
    this.#toTell.add(pod);
    this.#parts.changed();
  }

  async #lookAt(client: RuntimeClient, id: string, sandbox: PodSandbox, firstSeenNs: number): Promise<void> {
    const known = this.#pods.get(id);
    if (known !== undefined && !incomplete(known)) return;
    const { count, againNs } = this.#failures.get(id) ?? { count: 0, againNs: 0 };
    if (count >= maxMisses && firstSeenNs < againNs) return;
    this.#failures.set(id, { count: count + 1, againNs: firstSeenNs + seldomNs });
    const answer = await ifHealthy(client.sandboxStatus(id));
    const names = podNames(sandbox);
    if (answer === undefined || names === undefined) return;
    // Its namespace went while the runtime was asked.
    if (known !== undefined && known.toBootNs > 0) return;
    const info = parseRuntimeInfo(answer.info ?? {});
    const pod = known ?? {
      names,
      hostNetwork: answer.status?.linux?.namespaces?.options?.network === namespaceOfNode,
      addresses: sandboxAddresses(answer),
      fromBootNs: this.#bootNsOf(sandbox.createdAt ?? 0, firstSeenNs),
      toBootNs: 0,
      netns: 0,
      containers: new Map([[id, newContainer(id, '')]]),
    };
    const own = pod.containers.get(id);
    if (own !== undefined) own.target ??= this.#parts.cgroups.find(id, info);
    if (pod.netns === 0 && !pod.hostNetwork) pod.netns = this.#netnsOf(info, own?.target !== undefined) ?? 0;
    this.#pods.set(id, pod);
    this.#tell(pod);
  }

  /** The namespace's own file is the sandbox's alone; a process is believed when its cgroup is the sandbox's. */
  #netnsOf({ netnsPath, pid }: RuntimeInfo, ownProcess: boolean): number | undefined {
    const byFile = netnsPath === undefined ? undefined : this.#parts.cookieOf(netnsPath);
    return byFile ?? (pid > 0 && ownProcess ? this.#parts.cookieOf(`/proc/${pid}/ns/net`) : undefined);
  }

  /**
   * The start as the runtime tells it: its records may be older than the first list with it. The namespace's cookie tells
   * Pods apart, so that a start too early takes nothing from another one.
   */
  #bootNsOf(createdAtNs: number, firstSeenNs: number): number {
    const { clock } = this.#parts;
    const bootNs = createdAtNs - Number(clock.wallNs() - BigInt(Math.round(clock.bootNs())));
    return createdAtNs > 0 ? Math.max(1, Math.min(bootNs, firstSeenNs)) : firstSeenNs;
  }

  async #lookAtContainers(client: RuntimeClient, running: readonly RuntimeContainer[], nowNs: number): Promise<void> {
    const runningIds = new Set(running.map(({ id }) => id));
    for (const [sandboxId, pod] of this.#pods) {
      for (const [id, container] of pod.containers) {
        if (runningIds.has(id)) container.endedNs = 0;
        if (id === sandboxId || runningIds.has(id)) continue;
        if (container.endedNs === 0) container.endedNs = nowNs;
        if (nowNs - container.endedNs < rememberNs) continue;
        pod.containers.delete(id);
        this.#tell(pod);
      }
    }
    await inParallel(running, async ({ id = '', podSandboxId, metadata }) => {
      const pod = this.#pods.get(podSandboxId ?? '');
      if (pod === undefined || pod.containers.size > maxContainers) return;
      const container = pod.containers.get(id ?? '') ?? newContainer(id ?? '', (metadata?.name ?? '').slice(0, 63));
      if (container.target !== undefined || (container.misses >= maxMisses && nowNs < container.againNs)) return;
      container.misses++;
      container.againNs = nowNs + seldomNs;
      const info = await ifHealthy(client.containerInfo(container.id));
      if (info === undefined) return;
      container.target = this.#parts.cgroups.find(container.id, parseRuntimeInfo(info));
      pod.containers.set(container.id, container);
      if (container.target !== undefined && pod.toBootNs === 0) this.#tell(pod);
    });
  }
}

/** The answer; undefined when the runtime fails about this one alone. */
async function ifHealthy<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (thrown) {
    const { code } = thrown as Partial<ServiceError>;
    if (code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED || code === status.CANCELLED) throw thrown;
    return undefined;
  }
}

async function inParallel<Item>(items: readonly Item[], action: (item: Item) => Promise<void>): Promise<void> {
  const iterator = items.values();
  const worker = async (): Promise<void> => {
    for (const item of iterator) await action(item);
  };
  await Promise.all(Array.from({ length: parallelCalls }, worker));
}
