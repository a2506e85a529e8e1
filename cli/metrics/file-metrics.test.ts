import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../core/log.ts';
import { openFileSink } from '../../services/sinks/file/index.ts';
import { newDeliveryCounters, type SinkCounters } from '../../services/sinks/metrics.ts';
import { viewOf } from '../../services/sinks/test-events.ts';
import { addFileMetrics } from './file-metrics.ts';
import { MetricSet } from './metric-set.ts';

/** The metrics of the file sink, by name without its begin. @param sink what it counts and has on disk; undefined: it is off */
async function shown(sink?: { store: SinkCounters['store']; bytes: number | undefined }): Promise<Record<string, number>> {
  const registry = new Registry();
  const counters = { status: 'delivering', delivery: newDeliveryCounters(), partitions: new Map() } as const;
  addFileMetrics(new MetricSet(registry), {
    stats: () => [
      { ...counters, sink: 'loki', store: {} },
      ...(sink === undefined ? [] : [{ ...counters, sink: 'file', store: sink.store }]),
    ],
    diskBytes: async () => new Map(sink?.bytes === undefined ? [] : [['file', sink.bytes]]),
  });
  const series = (await registry.getMetricsAsJSON()).flatMap(({ name, values }) => values.map(({ value }) => [name, value] as const));
  return Object.fromEntries(series.map(([name, value]) => [name.replace('jitterscope_file_', ''), value]));
}

test('files with events are visible: what they take on disk, what retention deleted, what a start cut off', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-file-metrics-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const open = () => openFileSink({ dir, maxFileBytes: 2000, maxFiles: 2, gzip: false, log: createLog('silent') });
  let sink = await open();
  let sent = 0;
  for (let first = 0; first < 200; first += 10) {
    const view = viewOf(first, 10);
    const items = Uint32Array.from({ length: 10 }, (_, row) => row);
    for (const item of items) sent += view.lineLength(item);
    await sink.deliver({ partition: 0, view, items }, new AbortController().signal);
  }
  const names = (await readdir(dir)).filter((name) => name.endsWith('.ndjson'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  const held = sizes.reduce((total, bytes) => total + bytes);
  const manifestBytes = (await stat(join(dir, 'manifest.json'))).size;
  const { store, bytes } = { store: sink.counters, bytes: await sink.diskBytes() };
  expect(sent).toBeGreaterThan(2 * 2000);
  expect(await shown({ store, bytes })).toEqual({
    bytes: held + manifestBytes,
    removed_files_total: Math.max(...names.map((name) => Number(/-(\d+)/.exec(name)?.[1]))) - 2,
    removed_bytes_total: sent - held,
    cut_bytes_total: 0,
  });
  await sink.close();

  await writeFile(join(dir, names.sort()[1]), 'half a li', { flag: 'a' });
  sink = await open();
  expect(await shown({ store: sink.counters, bytes: await sink.diskBytes() })).toMatchObject({
    bytes: held + manifestBytes,
    cut_bytes_total: 'half a li'.length,
  });
  await sink.close();
  await rm(dir, { recursive: true });
  expect(await sink.diskBytes(), 'a folder that is gone').toBe(0);
  await writeFile(dir, 'no folder');
  expect(await shown({ store: sink.counters, bytes: await sink.diskBytes() }), 'one that cannot be read').toMatchObject({
    bytes: Number.NaN,
  });
  expect(await shown(), 'a sink that is off').toEqual({ bytes: 0, removed_files_total: 0, removed_bytes_total: 0, cut_bytes_total: 0 });
});
