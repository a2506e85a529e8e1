import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { maxSocketPathBytes } from '../core/control.ts';

/**
 * Where a socket of the data folder lies: in it, or, when the kernel would cut the path off, under the same name in a
 * folder of the runtime directory that is derived from the path.
 */
export function shortSocketPath(path: string): string {
  const full = resolve(path);
  if (Buffer.byteLength(full) <= maxSocketPathBytes) return full;
  const runtime = process.env.XDG_RUNTIME_DIR ?? (process.getuid?.() === 0 ? '/run' : tmpdir());
  const folder = join(runtime, `jitterscope-${createHash('sha256').update(full).digest('hex').slice(0, 16)}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, basename(full));
}
