import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './classify.ts';

/** Bytes of all files in a folder; undefined: it cannot be read, as whoever writes to it will tell. */
export async function folderBytes(dir: string): Promise<number | undefined> {
  try {
    let bytes = 0;
    for (const name of await readdir(dir)) bytes += await sizeOf(join(dir, name));
    return bytes;
  } catch (thrown) {
    return errnoOf(thrown) === 'ENOENT' ? 0 : undefined;
  }
}

/** 0 when it was compressed, replaced or deleted meanwhile. */
async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : 0;
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return 0;
    throw thrown;
  }
}
