import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Lines of the event files of a data folder that no process holds, in their order. */
export function* linesOfFiles(dataDir: string): Generator<string> {
  const folder = join(dataDir, 'events');
  const files = readdirSync(folder).filter((name) => /^\d+-\d+\.ndjson(\.gz)?$/.test(name));
  for (const name of files.sort()) {
    const bytes = readFileSync(join(folder, name));
    const text = name.endsWith('.gz') ? gunzipSync(bytes) : bytes;
    for (const line of text.toString().split('\n')) if (line !== '') yield line;
  }
}
