import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../../core/log.ts';
import { classify } from './classify.ts';
import type { FileCounters } from './counters.ts';
import { parseName } from './file-names.ts';

/** Deletes the oldest files of a partition beyond `maxFiles`, counted and logged. */
export async function retain(dir: string, partition: number, maxFiles: number, counters: FileCounters, log: Log): Promise<void> {
  try {
    const files = (await readdir(dir)).map(parseName).filter((file) => file?.partition === partition);
    const seqs = [...new Set(files.map((file) => file?.seq as number))].sort((a, b) => a - b);
    for (const seq of seqs.slice(0, Math.max(0, seqs.length - maxFiles))) {
      for (const file of files) {
        if (file === undefined || file.seq !== seq) continue;
        const path = join(dir, file.name);
        const { size } = await stat(path);
        await rm(path);
        counters.removedFiles += 1;
        counters.removedBytes += size;
        log.info({ path, bytes: size, maxFiles }, 'the oldest event file was deleted');
      }
    }
  } catch (thrown) {
    log.warn({ err: classify(thrown, 'delete old files in', dir) }, 'old event files were not deleted; trying again with the next file');
  }
}
