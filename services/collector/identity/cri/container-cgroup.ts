import { readFileSync } from 'node:fs';
import { type CgroupHierarchies, inode } from './cgroup-hierarchies.ts';
import type { RuntimeInfo } from './runtime-info.ts';

/** A container's cgroup: where its counters are read. */
export interface CgroupTarget {
  /** What samples of it carry: its id in the v2 hierarchy, or the inode in cpu's where there is none. */
  readonly id: number;
  /** Folders, where the hierarchy is there. */
  readonly unified: string | undefined;
  readonly cpu: string | undefined;
  readonly cpuacct: string | undefined;
  readonly memory: string | undefined;
}

type Hierarchy = keyof CgroupHierarchies;
const hierarchies: readonly Hierarchy[] = ['unified', 'cpu', 'cpuacct', 'memory'];

/** Finds containers' cgroups: by their process, else by the path that the runtime was told. */
export class ContainerCgroups {
  readonly mounts: CgroupHierarchies;
  readonly #procCgroups: (pid: number) => string;

  constructor(mounts: CgroupHierarchies, procCgroups = readProcCgroups) {
    this.mounts = mounts;
    this.#procCgroups = procCgroups;
  }

  /** The cgroup of a container or sandbox; undefined while it has none. */
  find(id: string, { pid, cgroupsPath }: RuntimeInfo): CgroupTarget | undefined {
    const paths = pid > 0 ? this.#pathsOf(pid, id) : undefined;
    const told = cgroupsPath === undefined ? undefined : cgroupPath(cgroupsPath);
    const folder = (hierarchy: Hierarchy): string | undefined => {
      const mount = this.mounts[hierarchy];
      if (mount === undefined) return undefined;
      const path = [paths?.[hierarchy], told].find((one) => one !== undefined && inode(mount + one) !== undefined);
      return path === undefined ? undefined : mount + path;
    };
    const [unified, cpu, cpuacct, memory] = hierarchies.map(folder);
    const own = this.mounts.unified === undefined ? cpu : unified;
    const ownId = own === undefined ? undefined : inode(own);
    return ownId === undefined ? undefined : { id: ownId, unified, cpu, cpuacct, memory };
  }

  /** A process id may be another's by now: its cgroup has the container's id in its path, or it is not believed. */
  #pathsOf(pid: number, id: string): Partial<Record<Hierarchy, string>> | undefined {
    const paths: Partial<Record<Hierarchy, string>> = {};
    for (const line of this.#procCgroups(pid).split('\n')) {
      const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      // Above the root of the own cgroup namespace nothing can be looked up.
      if (path === undefined || path.startsWith('/..')) continue;
      const at = path.indexOf(id);
      if (at < 0) continue;
      const end = path.indexOf('/', at);
      // The process may live in a cgroup that the container made below its own.
      const own = end < 0 ? path : path.slice(0, end);
      if (controllers === '') paths.unified = own;
      for (const one of controllers.split(',')) if (one === 'cpu' || one === 'cpuacct' || one === 'memory') paths[one] = own;
    }
    return paths;
  }
}

/** The path of a cgroup within its hierarchy from linux.cgroupsPath: as it is, or slice:prefix:name of the systemd driver (runc, crun). */
export function cgroupPath(cgroupsPath: string): string {
  const parts = cgroupsPath.split(':');
  if (parts.length !== 3) return cgroupsPath.startsWith('/') ? cgroupsPath : `/${cgroupsPath}`;
  const [slice, prefix, name] = parts;
  if (name.endsWith('.slice')) return `${slicePath(slice)}/${name}`;
  return `${slicePath(slice)}/${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
}

/** systemd.slice(5): a-b.slice lies below a.slice. */
function slicePath(slice: string): string {
  const words = slice.replace(/\.slice$/, '').split('-');
  if (words.join('') === '') return '';
  return words.map((_, count) => `/${words.slice(0, count + 1).join('-')}.slice`).join('');
}

function readProcCgroups(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    // The process has ended.
    return '';
  }
}
