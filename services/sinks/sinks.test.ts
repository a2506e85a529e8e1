import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { createLog } from '../../core/log.ts';
import { DeadLetter, topics } from '../../proto/bus.ts';
import { sinksSchema } from './config.ts';
import { startSinks } from './main.ts';
import { encodeEvents, lineOf } from './test-events.ts';

const log = createLog('silent');
const spec = { maxBytes: 64 * 1024 * 1024, retain: 'oldest' } as const;

async function openBus(dir: string) {
  const bus = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    topics: [
      { ...spec, name: topics.events, partitions: 2 },
      { ...spec, name: topics.deadLetters, partitions: 1 },
    ],
    commitMs: 1,
  });
  return bus;
}

test('events go from the bus to files, poison to the DLQ, and a second start goes on behind them', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'jitterscope-sinks-'));
  try {
    const config = sinksSchema.parse({});
    const total = () => sinks.stats()[0]?.partitions;
    let bus = await openBus(dataDir);
    let sinks = await startSinks({ bus, config, dataDir, clusterName: 'default', log });
    await bus.append(topics.events, 0, [encodeEvents(0, 10), Buffer.from('poison'), encodeEvents(10, 5)]);
    await bus.append(topics.events, 1, [encodeEvents(0, 3)]);
    await vi.waitFor(() => expect([total()?.get(0)?.delivered, total()?.get(1)?.delivered]).toEqual([15, 3]), 10_000);
    expect(sinks.ready()).toEqual({ ready: true, problems: [] });
    await sinks.close(1000);
    await bus.close();

    bus = await openBus(dataDir);
    sinks = await startSinks({ bus, config, dataDir, clusterName: 'default', log });
    await bus.append(topics.events, 0, [encodeEvents(12, 8), encodeEvents(25, 5)]);
    await vi.waitFor(() => expect(total()?.get(0)?.in).toBe(28), 10_000);
    expect(total()?.get(0)).toEqual({
      in: 28,
      delivered: 25,
      rejected: 0,
      repeat: 3,
      lost: { retention: 0, damaged: 0, undecodable: 0, unexplained: 5 },
      undecodableMessages: 1,
    });
    expect(await sinks.lag()).toEqual(
      new Map([
        [
          'file',
          new Map([
            [0, 0],
            [1, 0],
          ]),
        ],
      ]),
    );
    await sinks.close(1000);

    const letters: object[] = [];
    for await (const fetch of bus.read(topics.deadLetters, 0, 0, { until: 1 }))
      letters.push(...fetch.messages.map(({ value }) => DeadLetter.decode(value)));
    expect(letters).toEqual([
      expect.objectContaining({
        stage: 'sink',
        target: 'file',
        code: 'EVENT_BATCH_INVALID',
        topic: topics.events,
        offset: 1,
        payload: Buffer.from('poison'),
      }),
    ]);
    await bus.close();

    const events = join(dataDir, 'events');
    const expected = [...Array.from({ length: 20 }, (_, number) => number), 25, 26, 27, 28, 29].map(lineOf).join('');
    expect(await readFile(join(events, '0-000001.ndjson'), 'utf8')).toBe(expected);
    expect(await readFile(join(events, '1-000001.ndjson'), 'utf8')).toBe([0, 1, 2].map(lineOf).join(''));
    const names = ['0-000001.ndjson', '1-000001.ndjson', 'manifest.json'];
    expect((await readdir(events)).sort()).toEqual(names);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(events, name))).size));
    expect(await sinks.diskBytes()).toEqual(new Map([['file', sizes.reduce((total, bytes) => total + bytes)]]));
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('a sink that cannot open its folder is not ready, says why, and the service goes on', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'jitterscope-sinks-'));
  try {
    await writeFile(join(dataDir, 'events'), 'a file where the folder should be');
    const bus = await openBus(dataDir);
    const sinks = await startSinks({
      bus,
      config: sinksSchema.parse({}),
      dataDir,
      clusterName: 'default',
      log,
      policy: { initialMs: 1, maxMs: 2, pauseMs: 1 },
    });
    await vi.waitFor(() => expect(sinks.stats()[0]?.problem).toMatch(/FILE_/), 10_000);
    expect(sinks.ready().ready).toBe(false);
    await rm(join(dataDir, 'events'));
    await vi.waitFor(() => expect(sinks.ready()).toEqual({ ready: true, problems: [] }), 10_000);
    await sinks.close(1000);
    await bus.close();
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('a disabled sink is not started, and unknown keys and bad sizes are refused', () => {
  expect(sinksSchema.parse({}).file).toMatchObject({ enabled: true, maxFileSize: 64 * 1024 ** 2, maxFiles: 20, gzip: true });
  expect(sinksSchema.safeParse({ file: { maxFilesize: '1MiB' } }).success).toBe(false);
  expect(sinksSchema.safeParse({ file: { maxFileSize: 'big' } }).success).toBe(false);
  expect(sinksSchema.safeParse({ file: { maxFileSize: '1B' } }).success).toBe(false);
});
