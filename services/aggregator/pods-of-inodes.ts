import { isByInode, type Netns } from './netns.ts';
import type { Pod } from './pod.ts';

/**
 * The Pods of namespaces that are known by their inode only. The next namespace may have got it, and the end of its
 * Pod may not be told yet: a Pod is that of the first namespace which was found after the Pod began. A namespace that
 * two Pods may claim is nobody's.
 */
export function podsOfInodes(netns: readonly Netns[], pods: readonly Pod[]): Map<number, Pod | undefined> {
  const byInode = new Map<number, number[]>();
  for (const [id, one] of netns.entries()) {
    if (!isByInode(one)) continue;
    const same = byInode.get(one.inode);
    if (same === undefined) byInode.set(one.inode, [id]);
    else same.push(id);
  }
  const found = new Map<number, Pod | undefined>();
  if (byInode.size === 0) return found;
  for (const pod of pods) {
    if (pod.hostNetwork) continue;
    let first: number | undefined;
    for (const id of byInode.get(pod.netns) ?? []) {
      if (netns[id].fromBootNs < pod.fromBootNs) continue;
      if (first === undefined || netns[id].fromBootNs < netns[first].fromBootNs) first = id;
    }
    if (first !== undefined) found.set(first, found.has(first) ? undefined : pod);
  }
  return found;
}
