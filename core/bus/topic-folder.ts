import { mkdir, readdir, readFile } from 'node:fs/promises';
import type { BusObserver, TopicSpec } from './bus.ts';
import { type Disk, replaceFile } from './disk.ts';
import { busError } from './errors.ts';

const RECORD_NAME = 'topic.json';

/** Names that can be a folder's or a file's, and are legal in Kafka too. */
export function checkName(what: 'topic' | 'group', name: string): void {
  if (!/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,199}$/.test(name) || (what === 'topic' && name === 'groups')) {
    throw busError('BUS_TOPIC_NAME', { what, found: name });
  }
}

/** Rejects a topic that cannot work, before anything is written. */
export function checkSpec(spec: TopicSpec): void {
  checkName('topic', spec.name);
  const counts = { partitions: spec.partitions, maxBytes: spec.maxBytes };
  for (const [what, found] of Object.entries(counts)) {
    if (!Number.isSafeInteger(found) || found < 1) {
      throw busError('BUS_TOPIC_SPEC', { topic: spec.name, what, found, expected: 'a whole number from 1' });
    }
  }
}

/** Creates a topic's folder, or checks that it was created with as many partitions as are wanted now. */
export async function openTopicFolder(disk: Disk, dir: string, spec: TopicSpec, observer: BusObserver): Promise<string> {
  const folder = `${dir}/${spec.name}`;
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  for (const name of names) if (name.endsWith('.tmp')) await disk.remove(`${folder}/${name}`);
  const partitions = names.filter((name) => /^(0|[1-9]\d{0,5})$/.test(name));
  let found = names.includes(RECORD_NAME) ? await recorded(`${folder}/${RECORD_NAME}`) : undefined;
  if (found === undefined && partitions.length > 0) {
    found = Math.max(...partitions.map(Number)) + 1;
    observer.warned?.(busError('BUS_TOPIC_RECORD', { path: `${folder}/${RECORD_NAME}`, topic: spec.name }));
    await write(disk, folder, found);
  }
  if (found === undefined) await write(disk, folder, spec.partitions);
  else if (found !== spec.partitions) throw busError('BUS_PARTITIONS', { topic: spec.name, dir, found, expected: spec.partitions });
  for (let partition = 0; partition < spec.partitions; partition++) await mkdir(`${folder}/${partition}`, { recursive: true });
  await disk.syncFolder(folder);
  return folder;
}

async function write(disk: Disk, folder: string, partitions: number): Promise<void> {
  await replaceFile(disk, folder, RECORD_NAME, `${JSON.stringify({ version: 1, partitions })}\n`);
}

async function recorded(path: string): Promise<number | undefined> {
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as { version?: unknown; partitions?: unknown } | null;
    return record?.version === 1 && Number.isSafeInteger(record.partitions) ? (record.partitions as number) : undefined;
  } catch {
    return undefined;
  }
}
