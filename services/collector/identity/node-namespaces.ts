import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { Native } from '../../../native/addon.ts';
import { withHint } from '../errors.ts';

/** A network namespace as one look at the node found it. */
export interface FoundNetns {
  /** Kernel cookie; the inode where the kernel has none. */
  readonly cookie: number;
  readonly inode: number;
  /** Names under /run/netns, sorted. */
  readonly names: string[];
  /** Lowest pids first, at most 4. */
  readonly processes: { readonly pid: number; readonly comm: string }[];
  /** A path that leads into it. */
  readonly path: string;
}

/** A process and its namespace. */
export interface ProcessNetns {
  readonly cookie: number;
  readonly inode: number;
  readonly pid: number;
  readonly comm: string;
}

/** A named namespace whose cookie is known. The next one of that name may get the same inode, but not the time it was made. */
interface Entered {
  readonly inode: number;
  readonly madeMs: number;
  readonly cookie: number;
}

const netnsFolder = '/run/netns';
const ownNetns = '/proc/self/ns/net';
const maxProcesses = 4;

/**
 * Looks at the node: namespaces that processes live in (a BPF iterator, or /proc where that is not possible), and those
 * that only have a name (`ip netns add`).
 */
export class NodeNamespaces {
  readonly #native: Pick<Native, 'netnsCookie'>;
  readonly #iterate: (() => ProcessNetns[]) | undefined;
  readonly #ownInode = statSync(ownNetns).ino;
  /** Cookies of named namespaces, so that they are entered once. */
  #entered = new Map<string, Entered>();
  /** Why namespaces without a process stay unknown; undefined while that works. */
  problem: string | undefined;

  /** @param iterate rows of the iter/task program; undefined where it cannot run */
  constructor(native: Pick<Native, 'netnsCookie'>, iterate: (() => ProcessNetns[]) | undefined) {
    this.#native = native;
    this.#iterate = iterate;
  }

  look(): Map<number, FoundNetns> {
    const found = new Map<number, FoundNetns>();
    for (const row of this.#iterate?.() ?? this.#fromProc()) this.#addProcess(found, row);
    const byInode = new Map([...found.values()].map((netns) => [netns.inode, netns]));
    const entered = new Map<string, Entered>();
    for (const { name, inode, madeMs, path } of namedNamespaces()) {
      const inhabited = byInode.get(inode);
      if (inhabited !== undefined) {
        inhabited.names.push(name);
        continue;
      }
      const known = this.#entered.get(name);
      const same = known?.inode === inode && known.madeMs === madeMs;
      const cookie = same ? known.cookie : this.#cookieOf(path);
      if (cookie === undefined) continue;
      entered.set(name, { inode, madeMs, cookie });
      const netns = { cookie, inode, names: [name], processes: [], path };
      found.set(cookie, netns);
      byInode.set(inode, netns);
    }
    this.#entered = entered;
    for (const netns of found.values()) netns.names.sort();
    return found;
  }

  /** A name was removed or added: what is remembered of it may be of another namespace with the same inode. */
  forget(name: string): void {
    this.#entered.delete(name);
  }

  #addProcess(found: Map<number, FoundNetns>, row: ProcessNetns): void {
    const { cookie, inode, pid, comm } = row;
    const netns = found.get(cookie);
    // Another process may be closed to us, as process 1 is without CAP_SYS_PTRACE; we ourselves are not.
    const path = inode === this.#ownInode ? ownNetns : `/proc/${pid}/ns/net`;
    if (netns === undefined) found.set(cookie, { cookie, inode, names: [], processes: [{ pid, comm }], path });
    else if (netns.processes.length < maxProcesses) netns.processes.push({ pid, comm });
  }

  #cookieOf(path: string): number | undefined {
    try {
      this.problem = undefined;
      return Number(this.#native.netnsCookie(path));
    } catch (thrown) {
      this.problem = withHint(thrown);
      return undefined;
    }
  }

  #fromProc(): ProcessNetns[] {
    const rows: ProcessNetns[] = [];
    const cookies = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid)) continue;
      try {
        const inode = Number(/\[(\d+)\]/.exec(readlinkSync(`/proc/${name}/ns/net`))?.[1]);
        const comm = readFileSync(`/proc/${name}/comm`, 'utf8').trimEnd();
        const cookie = cookies.get(inode) ?? this.#cookieOf(`/proc/${name}/ns/net`) ?? inode;
        cookies.set(inode, cookie);
        rows.push({ cookie, inode, pid, comm });
      } catch {
        // The process is gone, or its namespace is not ours to see.
      }
    }
    return rows.sort((a, b) => a.pid - b.pid);
  }
}

/** Mounted namespaces under /run/netns. A file that is left over without its mount is not of the nsfs and is passed over. */
function namedNamespaces(): { name: string; inode: number; madeMs: number; path: string }[] {
  const nsfs = statSync(ownNetns).dev;
  const named: ReturnType<typeof namedNamespaces> = [];
  let names: string[] = [];
  try {
    names = readdirSync(netnsFolder);
  } catch {
    // No such folder: no named namespaces.
  }
  for (const name of names.sort()) {
    const path = `${netnsFolder}/${name}`;
    try {
      const { dev, ino, ctimeMs } = statSync(path);
      if (dev === nsfs) named.push({ name, inode: ino, madeMs: ctimeMs, path });
    } catch {
      // Removed meanwhile.
    }
  }
  return named;
}
