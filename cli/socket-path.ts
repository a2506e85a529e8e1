import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { errorTable, messageOf } from '../core/app-error.ts';
import { maxSocketPathBytes } from '../core/control.ts';

const socketError = errorTable({
  SOCKET_FOLDER: {
    message: 'the folder {folder} cannot hold the sockets of a data folder whose path is too long for them: {cause}',
    retryable: false,
    remedy: 'Name a data folder with a shorter path, or a runtime folder of your own with XDG_RUNTIME_DIR.',
    exitCode: 78,
  },
});

/**
 * Where a socket of the data folder lies: in it, or, when the kernel would cut the path off, under the same name in a
 * folder of the runtime directory that is derived from the path. Throws SOCKET_FOLDER when that one is not ours alone.
 */
export function shortSocketPath(path: string): string {
  const full = resolve(path);
  if (Buffer.byteLength(full) <= maxSocketPathBytes) return full;
  const runtime = process.env.XDG_RUNTIME_DIR ?? (process.getuid?.() === 0 ? '/run' : tmpdir());
  const folder = join(runtime, `jitterscope-${createHash('sha256').update(full).digest('hex').slice(0, 16)}`);
  makeOwn(folder);
  return join(folder, basename(full));
}

/** The folder's name can be known before, and others may write above it: what is there already must be ours. */
function makeOwn(folder: string): void {
  const refused = (cause: string, thrown?: unknown): Error => socketError('SOCKET_FOLDER', { folder, cause }, thrown);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST')) throw refused(messageOf(thrown), thrown);
  }
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw refused('it is not a folder');
  if (found.uid !== process.getuid?.()) throw refused(`it belongs to the user ${found.uid}`);
  if ((found.mode & 0o077) !== 0) throw refused(`others may use it (mode ${(found.mode & 0o777).toString(8)}, expected 700)`);
}
