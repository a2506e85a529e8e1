import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type CgroupHierarchies, inode } from '../identity/cri/cgroup-hierarchies.ts';
import type { CgroupTarget } from '../identity/cri/container-cgroup.ts';

const maxContainers = 4096;
/** The root of Pods may lie in a folder of the node's own (kubelet --cgroup-root). */
const maxRootDepth = 2;

/**
 * Containers' cgroups below kubepods, for nodes whose container runtime does not answer, by either driver of the kubelet: kubepods/burstable/pod<uid>/<container> and
 * kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<container>.scope.
 */
export function scanCgroups(mounts: CgroupHierarchies): CgroupTarget[] {
  const base = mounts.cpu ?? mounts.unified;
  if (base === undefined) return [];
  const targets: CgroupTarget[] = [];
  for (const relative of containersBelow(base)) {
    if (targets.length >= maxContainers) break;
    const at = (mount: string | undefined): string | undefined => {
      const path = mount === undefined ? undefined : join(mount, relative);
      return path === undefined || inode(path) === undefined ? undefined : path;
    };
    const target = { unified: at(mounts.unified), cpu: at(mounts.cpu), cpuacct: at(mounts.cpuacct), memory: at(mounts.memory) };
    const own = mounts.unified === undefined ? target.cpu : target.unified;
    const id = own === undefined ? undefined : inode(own);
    if (id !== undefined) targets.push({ id, ...target });
  }
  return targets;
}

function* containersBelow(base: string): Generator<string> {
  for (const root of podRoots(base, '', 0))
    for (const pod of podsBelow(base, root)) for (const container of folders(join(base, pod))) yield `${pod}/${container}`;
}

function* podRoots(base: string, folder: string, depth: number): Generator<string> {
  for (const name of folders(join(base, folder))) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (/^kubepods(\.slice)?$/.test(name)) yield path;
    else if (depth + 1 < maxRootDepth) yield* podRoots(base, path, depth + 1);
  }
}

/** Pods of the root (guaranteed) and of its two classes of service. */
function* podsBelow(base: string, root: string): Generator<string> {
  for (const name of folders(join(base, root))) {
    const path = `${root}/${name}`;
    if (isPod(name)) yield path;
    else if (/burstable|besteffort/.test(name)) for (const pod of folders(join(base, path))) if (isPod(pod)) yield `${path}/${pod}`;
  }
}

function isPod(name: string): boolean {
  return /^(kubepods(-\w+)?-)?pod[0-9a-f_-]+(\.slice)?$/.test(name);
}

function folders(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    // Removed meanwhile.
    return [];
  }
}
