import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type EmbeddedLog, openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { newDeliveryCounters } from '../services/sinks/metrics.ts';
import { startPipeline } from '../services/sinks/pipeline.ts';
import { encodeSyntheticEvents } from '../services/sinks/test-documents.ts';
import { eventually } from '../test/lab/eventually.ts';
import { leftOnBus } from './left-behind.ts';

const partitions = 2;
const messageEvents = 10;
const log = createLog('silent');

async function openBus(maxBytes: number): Promise<EmbeddedLog> {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-left-'));
  const spec = (name: string) => ({ name, partitions, maxBytes, retain: 'oldest' }) as const;
  const bus = await openEmbeddedLog({ dir, topics: [topics.raw, topics.events, topics.deadLetters].map(spec), commitMs: 1 });
  onTestFinished(async () => {
    await bus.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return bus;
}

/** Appends messages with events to both partitions; `from` is the number of the first message. */
async function append(bus: EmbeddedLog, from: number, count: number): Promise<void> {
  for (let partition = 0; partition < partitions; partition++) {
    for (let message = from; message < from + count; message++)
      await bus.append(topics.events, partition, [
        encodeSyntheticEvents({ partition, first: message * messageEvents, count: messageEvents, bytes: 2_000 }),
      ]);
  }
}

/** Runs a sink until it has read all, or, where its store is away, until it has tried; resolves with what it delivered and lost in all. */
async function runSink(bus: EmbeddedLog, store: 'there' | 'away'): Promise<{ delivered: number; lost: number }> {
  const totals = new Map<number, { delivered: number; lost: number }>();
  let tries = 0;
  const consumer = await startPipeline({
    name: 'loki',
    bus,
    log,
    counters: newDeliveryCounters(),
    sink: {
      check: async () => undefined,
      async deliver(_, signal) {
        tries++;
        if (store === 'away')
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('the store is away'))));
        return {};
      },
      close: async () => undefined,
    },
    committed: (partition, { delivered, lost }) => totals.set(partition, { delivered, lost: lost.retention }),
  });
  await eventually('it has done what it can', async () => {
    const lags = [...(await consumer.lag()).values()];
    return store === 'away' ? tries > 0 : lags.length === partitions && lags.every((lag) => lag === 0);
  });
  await consumer.close(10);
  const all = [...totals.values()];
  return { delivered: all.reduce((sum, one) => sum + one.delivered, 0), lost: all.reduce((sum, one) => sum + one.lost, 0) };
}

const groups = { aggregator: true, sinks: ['loki'] };

test('what is told to wait is what the next start delivers', async () => {
  const bus = await openBus(64 * 1024 ** 2);
  await append(bus, 0, 5);
  await bus.append(topics.raw, 0, [Buffer.from('raw'), Buffer.from('raw')]);
  expect(await leftOnBus(bus, groups, 5_000)).toEqual([
    { name: 'aggregator', messages: 2 },
    { name: 'loki', messages: 10, events: 100, deletedEvents: 0 },
  ]);
  const first = await runSink(bus, 'there');
  expect(first).toEqual({ delivered: 100, lost: 0 });
  await append(bus, 5, 3);
  await runSink(bus, 'away');
  const waiting = await leftOnBus(bus, groups, 5_000);
  expect(waiting?.[1]).toEqual({ name: 'loki', messages: 6, events: 60, deletedEvents: 0 });
  expect(await runSink(bus, 'there')).toEqual({ delivered: 160, lost: 0 });
  expect((await leftOnBus(bus, groups, 5_000))?.[1]).toEqual({ name: 'loki', messages: 0, events: 0, deletedEvents: 0 });
});

test('what the log deleted before the sink read it is told to the event, as the sink counts it when it goes on', async () => {
  const bus = await openBus(256 * 1024);
  await append(bus, 0, 2);
  expect(await runSink(bus, 'there')).toEqual({ delivered: 40, lost: 0 });
  await append(bus, 2, 60);
  const sink = (await leftOnBus(bus, groups, 5_000))?.[1];
  expect(sink?.deletedEvents).toBeGreaterThan(0);
  const after = await runSink(bus, 'there');
  expect({ delivered: after.delivered - 40, lost: after.lost }).toEqual({ delivered: sink?.events, lost: sink?.deletedEvents });
});

test('a bus that does not answer, or answers with an error, leaves the rest of the end alone', async () => {
  const silent = { partitions: () => 1, offsets: () => new Promise<never>(() => undefined) };
  expect(await leftOnBus(silent as unknown as EmbeddedLog, groups, 20)).toBeUndefined();
  const failing = { partitions: () => 1, offsets: () => Promise.reject(new Error('gone')) };
  expect(await leftOnBus(failing as unknown as EmbeddedLog, groups, 5_000)).toBeUndefined();
});
