import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../core/app-error.ts';
import { processIdentity } from '../../core/process-identity.ts';
import { isAnother, isGone, ownerOfEnvironment, ownerOfName, pidOfOwner } from './lab-owner.ts';
import { killQuietly, mountsBelow, quietly, removeNode, waitUntil } from './node-remains.ts';

/** Where tests leave what has a name. */
export interface LeftoverFolders {
  readonly netns: string;
  readonly temporary: string;
}

const machine: LeftoverFolders = { netns: '/run/netns', temporary: tmpdir() };

/**
 * Removes what test processes that are gone left on the machine: processes, network namespaces, mounts, nodes with their
 * Pods. What a living one owns is not touched. Throws, naming each, when something stays: results beside it are worth nothing.
 */
export function removeLeftovers(folders: LeftoverFolders = machine): void {
  const left = [...endProcesses(), ...removeNamespaces(folders.netns), ...removeFolders(folders.temporary)];
  if (left.length === 0) return;
  throw new Error(`a test run that was killed left what cannot be removed; remove it by hand:\n${left.join('\n')}`);
}

/** Waits until no Pods of another living test process are on the machine; throws, naming them, when they stay. */
export async function untilAlone(limitMs = 10_000): Promise<void> {
  const foreign = (): OwnedProcess[] => podProcesses().filter(({ owner }) => isAnother(owner));
  const end = performance.now() + limitMs;
  while (foreign().length > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 100));
  const [first] = foreign();
  if (first === undefined) return;
  const owner = processIdentity(pidOfOwner(first.owner));
  throw new Error(
    `Pods of another test run have the addresses of this one's: ${foreign().map(inWords).join(', ')} of ${owner?.command ?? 'process'} (${owner?.pid})`,
  );
}

interface OwnedProcess {
  readonly pid: number;
  readonly owner: string;
}

/** Processes that are part of a Pod, by the file system that they have as their root: containers know nothing of who made them. */
function podProcesses(): OwnedProcess[] {
  return pids().flatMap((pid) => {
    const mounts = quietly(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')) ?? [];
    const root = mounts.find((mount) => mount.split(' ')[4] === '/') ?? '';
    const owner = root.split('/').flatMap((name) => ownerOfName(name) ?? [])[0];
    return owner === undefined ? [] : [{ pid, owner }];
  });
}

function startedProcesses(): OwnedProcess[] {
  return pids().flatMap((pid) => {
    const owner = ownerOfEnvironment(quietly(() => readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? '');
    return owner === undefined ? [] : [{ pid, owner }];
  });
}

function pids(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) && Number(name) !== process.pid ? [Number(name)] : []));
}

function endProcesses(): string[] {
  const orphans = (): OwnedProcess[] =>
    [...startedProcesses(), ...podProcesses()].filter(({ pid, owner }) => isGone(owner) && processIdentity(pid) !== undefined);
  for (const { pid } of orphans()) killQuietly(pid);
  waitUntil(() => orphans().length === 0);
  return orphans().map(inWords);
}

function removeNamespaces(folder: string): string[] {
  return namesOfTheGone(folder).flatMap((name) => {
    try {
      for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) killQuietly(Number(pid));
      ip('netns', 'delete', name);
    } catch (thrown) {
      // Another test run may have been faster.
      if (existsSync(join(folder, name))) return [`network namespace ${join(folder, name)}: ${messageOf(thrown).trim()}`];
    }
    return [];
  });
}

function removeFolders(folder: string): string[] {
  return namesOfTheGone(folder).flatMap((name) => {
    const path = join(folder, name);
    removeNode(path);
    const mounts = mountsBelow(path).map((mount) => `mount ${mount}`);
    if (mounts.length === 0) quietly(() => rmSync(path, { recursive: true, force: true }));
    return mounts.length === 0 && existsSync(path) ? [`folder ${path}`] : mounts;
  });
}

function namesOfTheGone(folder: string): string[] {
  const names = quietly(() => readdirSync(folder)) ?? [];
  return names.filter((name) => {
    const owner = ownerOfName(name);
    return owner !== undefined && isGone(owner);
  });
}

function inWords({ pid }: OwnedProcess): string {
  return `process ${pid} (${processIdentity(pid)?.command ?? 'ended'})`;
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
