import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { type EmbeddedLog, openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { busError } from '../../core/bus/errors.ts';
import { createLog } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { decodeEventBatch } from '../../schema/event-batch.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { mortal } from '../../test/support/mortal-bus.ts';
import { fileCheckpoints } from './checkpoint.ts';
import { type Aggregator, type AggregatorOptions, startAggregator } from './main.ts';
import { rawStream } from './test-raw-stream.ts';
import { batchOf, events, identityFault, netnsOf, rawOf, seriesOptions, TestPartition, tickOf } from './test-stream.ts';

const silent = createLog('silent');

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-aggregator-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface Running {
  readonly bus: EmbeddedLog;
  readonly aggregator: Aggregator;
}

type Settings = Partial<Pick<AggregatorOptions, 'checkpointMs' | 'checkpointBytes' | 'maxBatchBytes' | 'lingerMs' | 'log'>>;

async function start(dir: string, more: Settings = {}): Promise<Running> {
  const bus = await openBus(dir);
  const aggregator = await startOn(bus, dir, more);
  onTestFinished(() => close({ bus, aggregator }));
  return { bus, aggregator };
}

function startOn(bus: Bus, dir: string, more: Settings): Promise<Aggregator> {
  return startAggregator({
    bus,
    checkpoints: fileCheckpoints(join(dir, 'state')),
    cluster: 'default',
    events,
    series: seriesOptions,
    maxHeldBytes: 2 ** 20,
    maxBatchBytes: more.maxBatchBytes ?? 2000,
    lingerMs: more.lingerMs ?? 5,
    checkpointMs: more.checkpointMs ?? 3_600_000,
    ...(more.checkpointBytes !== undefined && { checkpointBytes: more.checkpointBytes }),
    log: more.log ?? silent,
  });
}

function openBus(dir: string): Promise<EmbeddedLog> {
  return openEmbeddedLog({
    dir: join(dir, 'bus'),
    commitMs: 1,
    topics: [
      { name: topics.raw, partitions: 1, maxBytes: 2 ** 26, retain: 'checkpoint' },
      { name: topics.events, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
      { name: topics.metrics, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
      { name: topics.deadLetters, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
    ],
  });
}

async function close({ bus, aggregator }: Running): Promise<void> {
  await aggregator.close().catch(() => undefined);
  await bus.close();
}

async function settled({ bus, aggregator }: Running): Promise<void> {
  await eventually('all raw messages are processed', async () => {
    const { next } = await bus.offsets(topics.raw, 0);
    return aggregator.partitions().get(0)?.rawOffset === next && !aggregator.pending();
  });
}

/** All lines of the events topic, with the running numbers. */
async function output(bus: EmbeddedLog): Promise<{ lines: string[]; numbers: number[] }> {
  const { earliest, next } = await bus.offsets(topics.events, 0);
  const [lines, numbers]: [string[], number[]] = [[], []];
  if (earliest === next) return { lines, numbers };
  for await (const { messages } of bus.read(topics.events, 0, 0, { until: next })) {
    for (const { value } of messages) {
      const view = decodeEventBatch(value);
      for (let row = 0; row < view.count; row++) {
        lines.push(Buffer.from(view.line(row)).toString());
        numbers.push(view.eventNumber(row));
      }
    }
  }
  return { lines, numbers };
}

/** All messages of the metrics topic. */
async function metricsOutput(bus: EmbeddedLog): Promise<string[]> {
  const { earliest, next } = await bus.offsets(topics.metrics, 0);
  const found: string[] = [];
  if (earliest === next) return found;
  for await (const { messages } of bus.read(topics.metrics, 0, 0, { until: next }))
    found.push(...messages.map(({ value }) => Buffer.from(value).toString('hex')));
  return found;
}

async function reference(values: readonly Uint8Array[]): Promise<TestPartition> {
  return await new TestPartition().feed(...values);
}

test('a clean end and a start go on where they were', async () => {
  const values = rawStream(80);
  const whole = await reference(values);
  const dir = folder();
  for (let first = 0; first < values.length; first += 40) {
    const running = await start(dir);
    await running.bus.append(topics.raw, 0, values.slice(first, first + 40));
    await settled(running);
    await close(running);
  }
  const { bus, aggregator } = await start(dir);
  await settled({ bus, aggregator });
  const { lines, numbers } = await output(bus);
  expect(lines).toEqual(whole.lines);
  expect(numbers).toEqual(lines.map((_, index) => index));
  expect(aggregator.partitions().get(0)?.dispositions).toEqual(whole.state.dispositions);
  await aggregator.close();
  expect(aggregator.partitions().get(0)?.dispositions, 'the summary of a run tells them').toEqual(whole.state.dispositions);
});

test('an end that cuts off an append to a bus that takes nothing is no failure', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  onTestFinished(() => bus.close());
  let refused = 0;
  const append: Bus['append'] = (topic, ...call) =>
    topic === topics.events
      ? Promise.reject(busError('BUS_FULL', { topic, partition: 0, found: ++refused, limit: 0 }))
      : bus.append(topic, ...call);
  const aggregator = await startOn({ ...mortal(bus).bus, append }, dir, {});
  const ended = aggregator.finished.then(() => 'ended', String);
  await bus.append(topics.raw, 0, rawStream(40));
  await eventually('events wait for the bus', () => refused > 0);
  await aggregator.close(50);
  expect(await ended).toBe('ended');
});

test('an event after a pause goes out at once; those behind it wait for their batch', async () => {
  const { bus, aggregator } = await start(folder(), { lingerMs: 3_600_000, maxBatchBytes: 2 ** 20 });
  const values = rawStream(80);
  const processed = (count: number) => eventually('all are processed', async () => aggregator.partitions().get(0)?.rawOffset === count);
  let fed = 0;
  while ((aggregator.partitions().get(0)?.dispositions.events ?? 0) === 0) {
    await bus.append(topics.raw, 0, [values[fed]]);
    await processed(++fed);
  }
  await eventually('it is there', () => !aggregator.pending());
  expect((await output(bus)).numbers.length).toBeGreaterThan(0);

  await bus.append(topics.raw, 0, values.slice(fed));
  await processed(values.length);
  expect(aggregator.pending()).toBe(true);
  expect((await output(bus)).numbers.length).toBeLessThan(aggregator.partitions().get(0)?.dispositions.events ?? 0);
});

test('a full batch counts as the batch before: what is left of its fetch waits', async () => {
  const running = await start(folder(), { lingerMs: 3_600_000, maxBatchBytes: 20_000 });
  const { bus, aggregator } = running;
  const values = rawStream(80);
  // The second fetch comes behind a flush of what the first one left, if there is one.
  for (const [fetched, count] of [
    [values, values.length],
    [[tickOf(10_000, 1e9)], values.length + 1],
  ] as const) {
    await bus.append(topics.raw, 0, fetched);
    await eventually('all are processed', () => aggregator.partitions().get(0)?.rawOffset === count);
  }
  const made = aggregator.partitions().get(0)?.dispositions.events ?? 0;
  await eventually('full batches are there', async () => (await output(bus)).lines.length > 0);
  expect(aggregator.pending()).toBe(true);
  expect((await output(bus)).lines.length).toBeLessThan(made);
  await aggregator.close();
  expect((await output(bus)).lines.length).toBe(made);
});

test('killed at any moment, every event is in the topic once and the running numbers have no hole', async () => {
  const values = rawStream(100);
  const whole = await reference(values);
  let dir = folder();
  let fed = 0;
  for (let life = 0; fed < values.length; life++) {
    // A life that checkpoints seldom, one that always does, one that never does; batches of one event or many.
    const running = await start(dir, {
      checkpointMs: [3_600_000, 0, 2][life % 3],
      maxBatchBytes: [1, 3000, 100_000][life % 3],
      lingerMs: life % 2 ? 1 : 1000,
    });
    for (let n = 0; n < 3 && fed < values.length; n++) {
      const some = values.slice(fed, fed + 7);
      fed += some.length;
      await running.bus.append(topics.raw, 0, some);
      if (life % 4 > 0)
        await eventually('some is processed', () => (running.aggregator.partitions().get(0)?.rawOffset ?? 0) > fed - 7 * (life % 4));
    }
    // A copy of the folder at this moment is what a kill leaves.
    const next = folder();
    cpSync(dir, next, { recursive: true });
    dir = next;
  }
  const last = await start(dir);
  const { next } = await last.bus.offsets(topics.raw, 0);
  expect(next).toBe(values.length);
  await settled(last);
  const { lines, numbers } = await output(last.bus);
  expect(lines).toEqual(whole.lines);
  expect(numbers).toEqual(lines.map((_, index) => index));
  expect(await metricsOutput(last.bus)).toEqual(whole.metricBatches.map((bytes) => Buffer.from(bytes).toString('hex')));
  const state = last.aggregator.partitions().get(0)!;
  expect(state.dispositions).toEqual(whole.state.dispositions);
  expect(identityFault(state)).toBeUndefined();
});

test.each(['newest', 'both'])('with the %s checkpoint damaged nothing is stored twice and nothing is missing', async (which) => {
  const values = rawStream(60);
  const whole = await reference(values);
  const dir = folder();
  for (const [from, to] of [
    [0, 30],
    [30, 60],
    [60, 90],
  ]) {
    const running = await start(dir);
    await running.bus.append(topics.raw, 0, values.slice(from, to));
    await settled(running);
    await close(running);
  }
  const names = readdirSync(join(dir, 'state', '0')).sort();
  expect(names).toHaveLength(2);
  for (const name of which === 'both' ? names : names.slice(1)) {
    const bytes = readFileSync(join(dir, 'state', '0', name));
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(join(dir, 'state', '0', name), bytes);
  }
  const told: object[] = [];
  const running = await start(dir, {
    log: { ...silent, error: (fields) => told.push(fields), warn: () => undefined, info: () => undefined, debug: () => undefined },
  });
  await running.bus.append(topics.raw, 0, values.slice(90));
  await settled(running);
  expect(told).toEqual(
    Array.from({ length: which === 'both' ? 2 : 1 }, () => expect.objectContaining({ code: 'AGGREGATOR_CHECKPOINT_DAMAGED' })),
  );
  const { lines, numbers } = await output(running.bus);
  expect(lines).toEqual(whole.lines);
  expect(numbers).toEqual(lines.map((_, index) => index));
});

test('a checkpoint of a log that was lost is not believed: it starts empty and says so', async () => {
  const dir = folder();
  const first = await start(dir);
  await first.bus.append(topics.raw, 0, rawStream(30));
  await settled(first);
  await close(first);
  rmSync(join(dir, 'bus'), { recursive: true });
  const warnings: string[] = [];
  const running = await start(dir, {
    log: { ...silent, warn: (_, message) => warnings.push(message), error: () => undefined, info: () => undefined, debug: () => undefined },
  });
  await eventually('the partition has begun', () => running.aggregator.partitions().size === 1);
  expect(warnings).toEqual([expect.stringMatching(/state lost: a checkpoint at \d+, and the raw log holds 0 to 0/)]);
  expect([...running.aggregator.statesLost()]).toEqual([0]);
  const values = rawStream(20);
  await running.bus.append(topics.raw, 0, values);
  await settled(running);
  expect((await output(running.bus)).lines).toEqual((await reference(values)).lines);
});

test('refused messages are in the DLQ with the place they came from', async () => {
  const running = await start(folder());
  const values = rawStream(60);
  await running.bus.append(topics.raw, 0, values);
  await settled(running);
  const { next } = await running.bus.offsets(topics.deadLetters, 0);
  expect(next).toBe((await reference(values)).refused.length);
  expect(running.aggregator.partitions().get(0)?.dispositions.refusedMessages).toBe(next);
});

test('a checkpoint that cannot be written is told and tried again; the partition goes on', async () => {
  const dir = folder();
  mkdirSync(join(dir, 'state'));
  // A file where the partition's folder should be.
  writeFileSync(join(dir, 'state', '0'), '');
  const told: string[] = [];
  const running = await start(dir, {
    checkpointMs: 1,
    log: { ...silent, error: (_, message) => told.push(message), warn: () => undefined, info: () => undefined, debug: () => undefined },
  });
  const failed = expect(
    Promise.race([running.aggregator.finished, eventually('it is told', () => told.length > 0)]),
  ).resolves.toBeUndefined();
  const values = rawStream(40);
  for (const value of values) await running.bus.append(topics.raw, 0, [value]);
  await settled(running);
  await failed;
  expect(told).toEqual([expect.stringMatching(/cannot write the checkpoint .*0+\d+\.ckpt/)]);
  expect((await output(running.bus)).lines).toEqual((await reference(values)).lines);
  await close(running);
});

test('when the raw log lost its end, what comes next is not taken for what the output has', async () => {
  const dir = folder();
  const first = await start(dir);
  const values = rawStream(30);
  await first.bus.append(topics.raw, 0, values);
  await settled(first);
  // Killed, and the log with its commits is gone: the output has origins up to the last message.
  const next = folder();
  cpSync(dir, next, { recursive: true });
  rmSync(join(next, 'bus', topics.raw), { recursive: true });
  rmSync(join(next, 'bus', 'groups'), { recursive: true, force: true });
  const running = await start(next);
  const before = (await output(running.bus)).lines.length;
  expect(before).toBeGreaterThan(0);
  const more = [
    rawOf({ seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101)] } } }, { node: 'd' }),
    rawOf({ seq: 2, batch: batchOf(0, 5) }, { node: 'd' }),
  ];
  await running.bus.append(topics.raw, 0, more);
  await settled(running);
  const { lines, numbers } = await output(running.bus);

  expect(lines.length).toBe(before + 5);
  expect(numbers).toEqual(lines.map((_, index) => index));
});

test.each([
  ['by time', { checkpointMs: 500 }],
  ['by bytes', { checkpointBytes: 16 * 1024 }],
])('a raw log at its cap takes more as soon as there is a checkpoint, %s, although nothing more comes', async (_, settings) => {
  const dir = folder();
  const bus = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    commitMs: 1,
    topics: [
      { name: topics.raw, partitions: 1, maxBytes: 64 * 1024, retain: 'checkpoint' },
      { name: topics.events, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
      { name: topics.metrics, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
      { name: topics.deadLetters, partitions: 1, maxBytes: 2 ** 26, retain: 'oldest' },
    ],
  });
  const running = await startOn(bus, dir, settings);
  const values = rawStream(40);
  const fill = async (): Promise<void> => {
    for (;;) await bus.append(topics.raw, 0, values);
  };
  await expect(fill()).rejects.toMatchObject({ code: 'BUS_FULL' });
  await eventually('it takes more', () =>
    bus.append(topics.raw, 0, values).then(
      () => true,
      () => false,
    ),
  );
  await close({ bus, aggregator: running });
});
