import { statfsSync, watch } from 'node:fs';
import { parseNetnsRows } from '../../../bpf/netns/rows.ts';
import { messageOf } from '../../../core/app-error.ts';
import type { Log } from '../../../core/log.ts';
import type { BpfObject, Native } from '../../../native/addon.ts';
import { readBpfObject } from '../../../native/index.ts';
import { defaultHostNetns } from '../config.ts';
import { collectorError, withHint } from '../errors.ts';
import type { ProcessNetns } from './node-namespaces.ts';

/** Lists the namespaces that processes live in. */
export interface NetnsLister {
  /** One look; undefined where /proc is to be read instead. */
  readonly iterate: (() => ProcessNetns[]) | undefined;
  /** Why the iterator cannot run; undefined when it does. */
  readonly problem: string | undefined;
  close(): void;
}

/** The BPF iterator over processes; where it cannot run, /proc is read instead. */
export function openNetnsLister(native: Native, log: Log): NetnsLister {
  let object: BpfObject | undefined;
  try {
    const opened = native.openObject('netns', readBpfObject('netns'));
    object = opened;
    opened.load();
    const [program] = opened.programs();
    return { iterate: () => parseNetnsRows(opened.iterate(program?.name ?? '')), problem: undefined, close: () => opened.close() };
  } catch (thrown) {
    object?.close();
    log.debug({ cause: messageOf(thrown) }, 'namespaces are listed from /proc');
    return { iterate: undefined, problem: withHint(thrown), close: () => undefined };
  }
}

/** Type of the file system whose files are namespaces (NSFS_MAGIC of include/uapi/linux/magic.h). */
const nsfsType = 0x6e736673;

/**
 * The path that leads into the node's own namespace, as far as we can tell. Throws COLLECTOR_HOST_NETNS for a path that leads
 * into none. @param configured that of process 1 by default
 */
export function hostNetnsPath(configured: string): string {
  let cause = 'it is another kind of file';
  try {
    if (statfsSync(configured).type === nsfsType) return configured;
  } catch (thrown) {
    // Without CAP_SYS_PTRACE process 1 is closed to us; our own namespace is the node's then.
    if (configured === defaultHostNetns) return '/proc/self/ns/net';
    cause = messageOf(thrown);
  }
  throw collectorError('COLLECTOR_HOST_NETNS', { path: configured, cause });
}

/** Tells names under /run/netns that come and go. Undefined where the folder is not there yet. */
export function watchNetnsFolder(changed: (name: string) => void): { close(): void } | undefined {
  try {
    const watcher = watch('/run/netns', (_event, name) => changed(name ?? ''));
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    // The folder comes with the first `ip netns add`; until it is there, the looks of each second find it.
    return undefined;
  }
}
