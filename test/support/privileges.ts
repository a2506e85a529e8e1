import { spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const nobody = 65_534;

/** The user without rights; root without its capabilities where the checkout is closed to others. */
const user = spawnSync('setpriv', [...identityOf(nobody), process.execPath, '--check', main]).status === 0 ? nobody : 0;

function identityOf(uid: number): string[] {
  return [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
}

/** A command that runs another one as a user without any right but these capabilities: bpf, perfmon. */
export function withOnly(capabilities: readonly string[]): string[] {
  const set = ['-all', ...capabilities.map((name) => `+${name}`)].join();
  return ['setpriv', ...identityOf(user), `--inh-caps=${set}`, `--ambient-caps=${set}`, `--bounding-set=${set}`];
}

/** A folder of that user's, and how to remove it. */
export function folderOfUser(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'jitterscope-user-'));
  chownSync(path, user, user);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
