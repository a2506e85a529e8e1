import { readFileSync, statSync } from 'node:fs';

/** Where the cgroup hierarchies are mounted that containers are looked up in. */
export interface CgroupHierarchies {
  /** Mount point of the v2 hierarchy, whose ids records carry; undefined where there is none. */
  readonly unified: string | undefined;
  /** Mount points of v1 hierarchies: those of systems that have both, or v1 alone. */
  readonly cpu: string | undefined;
  readonly cpuacct: string | undefined;
  readonly memory: string | undefined;
}

/** Inode of a hierarchy's root: a mount that shows another one is of a container's own part (kernfs). */
const rootInode = 1;

/** Finds the hierarchies among the mounts, as /proc/self/mounts lists them. */
export function findHierarchies(mounts = readFileSync('/proc/self/mounts', 'utf8'), inodeOf = inode): CgroupHierarchies {
  const unified: string[] = [];
  const v1 = new Map<string, string>();
  for (const line of mounts.split('\n')) {
    const [, point, type, options = ''] = line.split(' ');
    if (type === 'cgroup2') unified.push(unescaped(point));
    if (type !== 'cgroup') continue;
    for (const option of options.split(',')) if (!v1.has(option)) v1.set(option, unescaped(point));
  }
  return {
    unified: unified.find((point) => inodeOf(point) === rootInode) ?? unified[0],
    cpu: v1.get('cpu'),
    cpuacct: v1.get('cpuacct'),
    memory: v1.get('memory'),
  };
}

/** Inode of a folder; undefined when it is not there. */
export function inode(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Spaces and the like are written in octal: fstab(5). */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
