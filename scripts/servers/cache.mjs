// Where servers are installed, once and whole.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const complete = 'complete';

/** The folder of a server in the cache, installed or not; `name` carries the version. */
export function folderOf(name) {
  return join(root, '.cache', 'servers', name);
}

/** Whether a server is in the cache, whole. */
export function isCached(name) {
  return existsSync(join(folderOf(name), complete));
}

/** Lets `build(folder)` fill a temporary folder and takes it into the cache when it has; resolves with the folder. */
export async function installOnce(name, build) {
  const folder = folderOf(name);
  if (isCached(name)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const temporary = mkdtempSync(`${folder}.tmp-`);
  try {
    await build(temporary);
    writeFileSync(join(temporary, complete), '');
    // Another process may have been as fast: then its folder stays.
    if (!isCached(name)) {
      rmSync(folder, { recursive: true, force: true });
      renameSync(temporary, folder);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
