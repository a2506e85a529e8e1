import { readdir, stat } from 'node:fs/promises';

/** Cgroups of one node that are looked at: far more than any has. */
const maxCgroups = 50_000;

/** Ids (inodes) and paths of all cgroups below a mount point of the v2 hierarchy, the root's "/" among them. */
export async function cgroupTree(mount: string): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const waiting = ['/'];
  for (let path = waiting.pop(); path !== undefined && found.size < maxCgroups; path = waiting.pop()) {
    try {
      const folder = mount + path;
      found.set((await stat(folder)).ino, path);
      for (const entry of await readdir(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) waiting.push(path === '/' ? `/${entry.name}` : `${path}/${entry.name}`);
      }
    } catch {
      // Removed meanwhile.
    }
  }
  return found;
}
