import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, errorTable, messageOf } from '../core/app-error.ts';
import { type DataDirLock, lockDataDir } from '../core/lock.ts';

const demoError = errorTable({
  DEMO_NAMESPACES: {
    message: 'cannot make the network namespaces of the demo: {cause}',
    retryable: false,
    remedy: 'The demo needs root, and `ip` of the package iproute2.',
    exitCode: 77,
  },
  DEMO_RUNS: {
    message: 'another demo runs on this machine: process {pid}: {command}',
    retryable: true,
    remedy: 'Wait for its end, or stop it: its network namespaces have the same names.',
    exitCode: 75,
  },
  DEMO_NAMESPACE_FOREIGN: {
    message: 'there is a network namespace {name} that the demo did not make; it is left as it is',
    retryable: false,
    remedy: 'If nothing uses it, remove it with `ip netns del {name}`.',
    exitCode: 78,
  },
});

export const client = 'demo-client';
export const web = 'demo-web';
const names = [client, web] as const;

// Addresses for documentation (RFC 5737, RFC 3849).
const addresses = { [client]: ['203.0.113.1/24', '2001:db8:d::1/64'], [web]: ['203.0.113.2/24', '2001:db8:d::2/64'] } as const;

/** Address of a namespace of the demo. */
export function addressOf(name: typeof client | typeof web, version: 4 | 6 = 4): string {
  return addresses[name][version === 4 ? 0 : 1].split('/')[0];
}

/** The command that runs another one in a namespace of the demo. */
export function inNetns(name: string, ...command: readonly string[]): [string, ...string[]] {
  return ['nsenter', `--net=${join(folders.netns, name)}`, ...command];
}

/** Where `ip netns` keeps namespaces by name, and where the demo notes which of them are its own. */
export interface DemoFolders {
  readonly netns: string;
  readonly marks: string;
}

const folders: DemoFolders = { netns: '/run/netns', marks: '/run/jitterscope-demo' };

/** Takes the demo's namespaces for this process alone, whatever way it ends. Rejects with DEMO_RUNS, which names the other one. */
export async function lockDemo({ marks }: DemoFolders = folders): Promise<DataDirLock> {
  try {
    return await lockDataDir(marks);
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'DATA_DIR_LOCKED') throw thrown;
    throw demoError('DEMO_RUNS', thrown.details, thrown);
  }
}

/**
 * Makes both namespaces, joined by a veth pair, for the holder of the demo's lock. Throws DEMO_NAMESPACE_FOREIGN where
 * somebody else has one of that name.
 */
export function makeNamespaces(): void {
  for (const name of names) if (isForeign(name)) throw demoError('DEMO_NAMESPACE_FOREIGN', { name });
  try {
    // What a demo that was killed left behind.
    removeNamespaces();
    for (const name of names) {
      ip('netns', 'add', name);
      mark(name);
    }
    ip('link', 'add', 'eth0', 'netns', client, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', web);
    for (const [name, own] of Object.entries(addresses)) {
      for (const address of own) ip('-n', name, 'addr', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : []));
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
    }
  } catch (thrown) {
    removeNamespaces();
    throw demoError('DEMO_NAMESPACES', { cause: messageOf(thrown) }, thrown);
  }
}

/** Removes the demo's namespaces, and nobody else's. */
export function removeNamespaces(): void {
  for (const name of names) {
    if (existsSync(join(folders.netns, name)) && !isForeign(name)) ip('netns', 'del', name);
    rmSync(join(folders.marks, name), { force: true });
  }
}

/** Notes that the namespace of this name, as it is now, is the demo's. */
export function mark(name: string, { netns, marks }: DemoFolders = folders): void {
  mkdirSync(marks, { recursive: true, mode: 0o700 });
  writeFileSync(join(marks, name), identityOf(join(netns, name)) ?? '');
}

/** Whether there is a namespace of this name that the demo has not marked. */
export function isForeign(name: string, { netns, marks }: DemoFolders = folders): boolean {
  const identity = identityOf(join(netns, name));
  if (identity === undefined) return false;
  try {
    return readFileSync(join(marks, name), 'utf8') !== identity;
  } catch {
    return true;
  }
}

/** Device and inode: another namespace of the same name has others. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev} ${found.ino}\n`;
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
