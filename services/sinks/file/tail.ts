import { open, readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { uncommittedBytes } from '../assignment.ts';

/** Ids of the events at the end of the files, newest file first: more than a crash can leave written and not committed. What is not an event is passed over. */
export async function tailIds(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let wanted = uncommittedBytes;
  for (const path of paths) {
    if (wanted <= 0) break;
    const bytes = await tailOf(path, wanted);
    for (const line of bytes.toString().split('\n')) {
      const id = idOf(line);
      if (id !== undefined) ids.add(id);
    }
    wanted -= bytes.length;
  }
  return ids;
}

async function tailOf(path: string, maxBytes: number): Promise<Buffer> {
  if (path.endsWith('.gz')) {
    try {
      return gunzipSync(await readFile(path)).subarray(-maxBytes);
    } catch {
      return Buffer.alloc(0);
    }
  }
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** `event.id` of a line; undefined where it is cut or no event. */
function idOf(line: string): string | undefined {
  try {
    const id: unknown = JSON.parse(line)?.event?.id;
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}
