import { statSync } from 'node:fs';
import type { Native } from '../../../native/addon.ts';
import type { NetnsTracker } from './tracker.ts';

/** The key of the namespace that a path leads to, as records carry it; undefined when it leads to none. */
export function netnsCookieOf(path: string, native: Pick<Native, 'netnsCookie'>, tracker: NetnsTracker): number | undefined {
  try {
    return Number(native.netnsCookie(path));
  } catch {
    // No privilege to enter it, or no cookie to ask for (before 5.14): the live namespace with its inode.
    const inode = statSync(path, { throwIfNoEntry: false })?.ino;
    return inode === undefined ? undefined : tracker.cookieOf(inode);
  }
}
