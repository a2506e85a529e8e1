import { appendFile, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { sinkContract } from '../contract.ts';
import type { Sink } from '../sink.ts';
import { lineOf, viewOf } from '../test-events.ts';
import { type FileSinkOptions, openFileSink } from './index.ts';

const log = createLog('silent');
const signal = new AbortController().signal;

/** The lines of a partition, over all of its files. */
async function textOf(dir: string, partition = 0): Promise<string> {
  const names = (await readdir(dir)).filter((name) => name.startsWith(`${partition}-`) && /\.ndjson(\.gz)?$/.test(name)).sort();
  const texts = names.map(async (name) => {
    const bytes = await readFile(join(dir, name));
    return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  });
  return (await Promise.all(texts)).join('');
}

const linesOf = (first: number, count: number) => Array.from({ length: count }, (_, index) => lineOf(first + index)).join('');
const deliver = (sink: Sink, first: number, count: number, partition = 0) =>
  sink.deliver({ partition, view: viewOf(first, count), items: Uint32Array.from({ length: count }, (_, row) => row) }, signal);

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-file-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const open = (dir: string, options: Partial<FileSinkOptions> = {}) =>
  openFileSink({ dir, maxFileBytes: 1024 * 1024, maxFiles: 20, gzip: true, log, ...options });

sinkContract('the file sink', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-file-'));
  return {
    open: () => open(dir, { maxFileBytes: 4096 }),
    stored: async (partition) => {
      const lines = (await textOf(dir, partition)).split('\n').filter((line) => line !== '');
      return lines.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id);
    },
    destroy: () => rm(dir, { recursive: true, force: true }),
  };
});

test.each([
  ['whole lines', lineOf(10) + lineOf(11)],
  ['a torn line', lineOf(10).slice(0, 20)],
  ['zeros', '\0'.repeat(5000)],
])('what stands behind the delivered length is cut at start and told: %s', async (_name, behind) => {
  const dir = await folder();
  const sink = await open(dir);
  await deliver(sink, 0, 10);
  await sink.close();
  await appendFile(join(dir, '0-000001.ndjson'), behind);
  const again = await open(dir);
  expect(await textOf(dir)).toBe(linesOf(0, 10));
  expect(again.counters.cutBytes).toBe(behind.length);
  await deliver(again, 10, 10);
  expect(await textOf(dir)).toBe(linesOf(0, 20));
  await again.close();
});

test('files are closed before they grow past the size, compressed, and the oldest are deleted, counted', async () => {
  const dir = await folder();
  const sink = await open(dir, { maxFileBytes: 2000, maxFiles: 3 });
  for (let first = 0; first < 400; first += 10) await deliver(sink, first, 10);
  await sink.idle();
  const names = (await readdir(dir)).filter((name) => name !== 'manifest.json').sort();
  expect(names).toHaveLength(3);
  expect(names.map((name) => name.endsWith('.gz'))).toEqual([true, true, false]);
  const text = await textOf(dir);
  expect(linesOf(0, 400).endsWith(text)).toBe(true);
  expect(text.startsWith('{"event"')).toBe(true);
  for (const name of names.slice(0, 2)) expect(gunzipSync(await readFile(join(dir, name))).length).toBeLessThanOrEqual(2000);
  const last = Number(/-(\d+)/.exec(names[2])?.[1]);
  expect(sink.counters.removedFiles).toBe(last - 3);
  await writeFile(join(dir, '0-000001.ndjson.orphan'), 'moved aside');
  const held = await Promise.all((await readdir(dir)).map(async (name) => (await readFile(join(dir, name))).length));
  expect(await sink.diskBytes()).toBe(held.reduce((total, bytes) => total + bytes));
  expect(sink.counters.rotations).toBe(last - 1);
  await sink.close();
});

test('a start after any step of a compression finds each line once', async () => {
  const dir = await folder();
  const sink = await open(dir, { maxFileBytes: 2000, gzip: false });
  for (let first = 0; first < 100; first += 10) await deliver(sink, first, 10);
  await sink.close();
  const closed = join(dir, '0-000001.ndjson');
  // Stopped while it wrote; then, in the next file, between rename and delete.
  await writeFile(`${closed}.gz.tmp`, gzipSync(await readFile(closed)).subarray(0, 30));
  const second = join(dir, '0-000002.ndjson');
  await writeFile(`${second}.gz`, gzipSync(await readFile(second)));
  const again = await open(dir, { maxFileBytes: 2000 });
  await deliver(again, 100, 10);
  await again.idle();
  const names = await readdir(dir);
  expect(names.filter((name) => name.endsWith('.tmp'))).toEqual([]);
  expect(names.filter((name) => name.endsWith('.ndjson'))).toHaveLength(1);
  expect(await textOf(dir)).toBe(linesOf(0, 110));
  await again.close();
});

const losses: readonly (readonly [string, (dir: string) => Promise<void>])[] = [
  ['deleted', (dir) => rm(join(dir, 'manifest.json'))],
  ['empty', (dir) => writeFile(join(dir, 'manifest.json'), '')],
  ['garbage', (dir) => writeFile(join(dir, 'manifest.json'), Buffer.from([0xff, 0, 1, 2]))],
  ['of another shape', (dir) => writeFile(join(dir, 'manifest.json'), '{"version":1,"partitions":{"0":{"file":-1}}}')],
];

test.each(losses)('a manifest that is %s costs no event and doubles none', async (_name, lose) => {
  const dir = await folder();
  const sink = await open(dir, { maxFileBytes: 3000 });
  for (let first = 0; first < 200; first += 10) await deliver(sink, first, 10);
  await sink.idle();
  await sink.close();
  await lose(dir);
  const current = (await readdir(dir)).filter((name) => name.endsWith('.ndjson'))[0];
  await appendFile(join(dir, current), lineOf(200).slice(0, 30));
  const again = await open(dir, { maxFileBytes: 3000 });
  expect(again.delivered(0)).toBeUndefined();
  // The bus hands out again what was not committed: here the last 60 events, which the files hold, and new ones.
  await deliver(again, 140, 50);
  await deliver(again, 190, 20);
  await deliver(again, 210, 10);
  expect(await textOf(dir)).toBe(linesOf(0, 220));
  expect(again.delivered(0)?.eventId).toBe('9c1f0b7a52e4d386-219');
  await again.close();
});

test('a file shorter than what was delivered keeps its whole lines, and what comes again is written once', async () => {
  const dir = await folder();
  const sink = await open(dir);
  await deliver(sink, 0, 20);
  await sink.close();
  await truncate(join(dir, '0-000001.ndjson'), Buffer.byteLength(linesOf(0, 15)) + 7);
  const again = await open(dir);
  expect(again.delivered(0)).toBeUndefined();
  expect(await textOf(dir)).toBe(linesOf(0, 15));
  await deliver(again, 10, 15);
  expect(await textOf(dir)).toBe(linesOf(0, 25));
  await again.close();
});

test('a file the manifest does not know is moved aside, never deleted', async () => {
  const dir = await folder();
  const sink = await open(dir, { maxFileBytes: 2000 });
  await deliver(sink, 0, 10);
  await sink.close();
  await copyFile(join(dir, '0-000001.ndjson'), join(dir, '0-000002.ndjson'));
  await writeFile(join(dir, '0-000003.ndjson'), '');
  await writeFile(join(dir, 'notes.txt'), 'mine');
  const again = await open(dir, { maxFileBytes: 2000, gzip: false });
  await writeFile(join(dir, '0-000002.ndjson'), 'appeared while running\n');
  for (let first = 10; first < 60; first += 10) await deliver(again, first, 10);
  expect(await textOf(dir)).toBe(linesOf(0, 60));
  expect(await readFile(join(dir, '0-000002.ndjson.orphan'), 'utf8')).toBe(linesOf(0, 10));
  expect(await readFile(join(dir, '0-000002.ndjson.orphan-2'), 'utf8')).toBe('appeared while running\n');
  expect(await readFile(join(dir, 'notes.txt'), 'utf8')).toBe('mine');
  await again.close();
});

test('a file or folder that somebody deletes while running is made anew', async () => {
  const dir = join(await folder(), 'events');
  const sink = await open(dir);
  await deliver(sink, 0, 10);
  await rm(join(dir, '0-000001.ndjson'));
  await deliver(sink, 10, 10);
  expect(await textOf(dir)).toBe(linesOf(10, 10));
  await rm(dir, { recursive: true });
  await deliver(sink, 20, 10);
  expect(await textOf(dir)).toBe(linesOf(20, 10));
  await sink.close();
  const again = await open(dir);
  await deliver(again, 30, 10);
  expect(await textOf(dir)).toBe(linesOf(20, 20));
  await again.close();
});

test('when the manifest cannot be written, the events are taken back and written once later', async () => {
  const dir = await folder();
  const sink = await open(dir);
  await deliver(sink, 0, 10);
  // A folder in the place of the temporary file: the write fails, whoever the user is.
  await rename(join(dir, 'manifest.json'), join(dir, 'kept'));
  await rm(join(dir, 'manifest.json.tmp'), { force: true });
  await mkdir(join(dir, 'manifest.json.tmp'));
  await expect(deliver(sink, 10, 10)).rejects.toMatchObject({ name: 'AppError' });
  expect(await textOf(dir)).toBe(linesOf(0, 10));
  expect(sink.delivered(0)?.eventId).toBe('9c1f0b7a52e4d386-9');
  await rmdir(join(dir, 'manifest.json.tmp'));
  await deliver(sink, 10, 10);
  expect(await textOf(dir)).toBe(linesOf(0, 20));
  await sink.close();
});
