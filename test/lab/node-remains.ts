import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The cgroup of a lab's Pods. */
export const podsCgroup = '/kubepods/burstable';
const runcState = '/run/containerd/runc/k8s.io';
const removeLimitMs = 5_000;

/** Ends what runs of a lab's node and removes what it mounted and keeps outside of its folder, in whatever state it is. */
export function removeNode(folder: string): void {
  for (const pid of shimsOf(join(folder, 'containerd.sock'))) killQuietly(pid);
  // Each Pod has its logs in a folder of its uid.
  const uids = quietly(() => readdirSync(join(folder, 'logs'))) ?? [];
  const groups = uids.flatMap((uid) => cgroupFolders(`${podsCgroup}/pod${uid}`));
  for (const pid of groups.flatMap(processesIn)) killQuietly(pid);
  for (const path of mountsBelow(folder)) quietly(() => execFileSync('umount', ['-l', path], { stdio: 'ignore' }));
  for (const group of groups) removeGroup(group);
  if (groups.length > 0) {
    for (const shared of [podsCgroup, '/kubepods']) for (const group of cgroupFolders(shared)) quietly(() => rmdirSync(group));
  }
  for (const id of quietly(() => readdirSync(runcState)) ?? []) {
    const state = quietly(() => readFileSync(join(runcState, id, 'state.json'), 'utf8')) ?? '';
    if (state.includes(`${folder}/`)) rmSync(join(runcState, id), { recursive: true, force: true });
  }
}

/** containerd's shims are told its socket: those of other ones are not ours. */
function shimsOf(socket: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const command = quietly(() => readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')) ?? [];
    return command[0]?.includes('containerd-shim') && command.includes(socket) ? [Number(name)] : [];
  });
}

/** A cgroup's folder in each hierarchy. */
export function cgroupFolders(path: string): string[] {
  const roots = ['/sys/fs/cgroup', ...readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
  return roots.map((root) => root + path).filter((folder) => quietly(() => statSync(folder).isDirectory()) === true);
}

function processesIn(group: string): number[] {
  const own = quietly(() => readFileSync(`${group}/cgroup.procs`, 'utf8').split('\n').filter(Boolean).map(Number)) ?? [];
  return [...own, ...foldersIn(group).flatMap(processesIn)];
}

function removeGroup(group: string): void {
  for (const folder of foldersIn(group)) removeGroup(folder);
  // Processes that were killed need a moment to leave.
  waitUntil(() => {
    quietly(() => rmdirSync(group));
    return statSync(group, { throwIfNoEntry: false }) === undefined;
  });
}

function foldersIn(group: string): string[] {
  const entries = quietly(() => readdirSync(group, { withFileTypes: true })) ?? [];
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(group, name));
}

/** Mount points at a folder and below it, the innermost first. */
export function mountsBelow(folder: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return points
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .sort()
    .reverse();
}

/** Waits, as an exiting process can, until a condition holds, for 5 s at most. */
export function waitUntil(condition: () => boolean): void {
  const end = performance.now() + removeLimitMs;
  while (!condition() && performance.now() < end) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
}

export function killQuietly(pid: number): void {
  quietly(() => process.kill(pid, 'SIGKILL'));
}

/** What is gone already need not be removed. */
export function quietly<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
