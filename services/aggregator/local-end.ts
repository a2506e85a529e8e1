import { recordFlags } from '../../schema/record.gen.ts';
import type { RecordReader } from '../../schema/record.ts';
import { holdNs, type NetnsId, type NodeIdentity } from './identity.ts';
import { ambiguous } from './interval-index.ts';
import type { Netns } from './netns.ts';
import type { Container, Pod } from './pod.ts';
import type { PodContainer } from './pod-index.ts';

/** How an end was found: `jitterscope.identity`. */
export type FoundBy = 'cgroup' | 'netns' | 'node' | 'same' | 'ip' | 'nat' | 'external' | 'ambiguous' | 'unknown';

/**
 * Who is at the local end of a record, at the record's own time. One instance is reused.
 *
 * The namespace says whose network it is, the cgroup which container made the socket. They agree where the namespace is
 * that of the container's Pod, or the node's own and the Pod is a hostNetwork one: then the container is named. Where
 * they do not, a process has entered a namespace of somebody else (nsenter, a CNI plug-in, a privileged Pod): addresses
 * and packets are those of the namespace, so the namespace names the end, without a container, and it is counted.
 * Processes of the node in a Pod's namespace have no container's cgroup: the Pod is named. A socket keeps the cgroup in
 * which it was made, so a process that is moved to another cgroup later changes nothing.
 */
export class LocalEnd {
  netnsId: NetnsId = -1;
  netns: Netns | undefined;
  pod: Pod | undefined;
  container: Container | undefined;
  foundBy: FoundBy = 'unknown';
  /** The cgroup is of a container whose Pod has another namespace. */
  foreignCgroup = false;
  /** Boot ns until which something better may be told; 0: that is who it is. */
  waitUntilNs = 0;

  find(identity: NodeIdentity, record: RecordReader): void {
    const { flags, netLo, netHi } = record;
    const bootNs = record.tsNs;
    const isInode = (flags & recordFlags.NET_IS_INODE) !== 0;
    const hasCgroup = (flags & recordFlags.CGROUP) !== 0;
    this.netnsId = identity.local(netLo, netHi, bootNs, isInode);
    this.netns = identity.get(this.netnsId);
    this.pod = this.netns === undefined ? this.#podOfKey(identity, record, isInode) : identity.podOf(this.netnsId, bootNs);
    this.container = undefined;
    this.foreignCgroup = false;
    this.waitUntilNs = 0;
    const made = hasCgroup ? identity.ofCgroup(record.cgroupLo, record.cgroupHi, bootNs) : undefined;
    if (this.netns?.host) this.#inHost(identity, record, made, hasCgroup);
    else if (this.pod !== undefined) this.#inPod(this.pod, made);
    else if (this.netns !== undefined) this.#inNetns(identity, this.netns, made, bootNs);
    else this.#nowhere(record, made);
  }

  /** A Pod may be told before its namespace; the inode of one that is not known says nothing. */
  #podOfKey(identity: NodeIdentity, { netLo, netHi, tsNs }: RecordReader, isInode: boolean): Pod | undefined {
    return isInode ? undefined : identity.podOfCookie(netLo, netHi, tsNs);
  }

  #inHost(identity: NodeIdentity, record: RecordReader, made: PodContainer | undefined, hasCgroup: boolean): void {
    if (made?.pod.hostNetwork) {
      this.#take(made);
      return;
    }
    this.foundBy = 'node';
    this.foreignCgroup = made !== undefined;
    if (made === undefined && hasCgroup) this.waitUntilNs = identity.hostPodMayComeUntil(record.cgroupLo, record.cgroupHi, record.tsNs);
  }

  #inPod(pod: Pod, made: PodContainer | undefined): void {
    if (made?.pod === pod) this.#take(made);
    else {
      this.foundBy = 'netns';
      this.foreignCgroup = made !== undefined;
    }
  }

  /** A runtime may not tell the namespaces of its Pods: then only cgroups do, and only once no other Pod can claim it. */
  #inNetns(identity: NodeIdentity, netns: Netns, made: PodContainer | undefined, bootNs: number): void {
    this.waitUntilNs = identity.podMayComeUntil(netns, bootNs);
    if (made !== undefined && made.pod.netns === 0 && !made.pod.hostNetwork) this.#take(made);
    else {
      this.foundBy = 'netns';
      this.foreignCgroup = made !== undefined;
    }
  }

  /** Of an inode that nobody or several may have had, a cgroup may still tell whose it was. */
  #nowhere({ net, tsNs }: RecordReader, made: PodContainer | undefined): void {
    if (made !== undefined && made.pod.netns === net && tsNs < made.pod.toBootNs) {
      this.#take(made);
      return;
    }
    this.waitUntilNs = tsNs + holdNs;
    if (made !== undefined && made.pod.netns === 0 && !made.pod.hostNetwork) this.#take(made);
    else this.foundBy = this.netnsId === ambiguous ? 'ambiguous' : 'unknown';
  }

  #take({ pod, container }: PodContainer): void {
    this.pod = pod;
    this.container = container;
    this.foundBy = 'cgroup';
  }
}
