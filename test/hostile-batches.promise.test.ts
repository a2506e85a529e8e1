import { join } from 'node:path';
import { lastValueFrom } from 'rxjs';
import { expect, test } from 'vitest';
import { probes } from '../bpf/registry.ts';
import type { Message } from '../core/bus/bus.ts';
import { MetricBatch, topics } from '../proto/bus.ts';
import { decodeEventBatch } from '../schema/event-batch.ts';
import { type PartitionSnapshot, PartitionState } from '../services/aggregator/partition-state.ts';
import { partitionSteps } from '../services/aggregator/partition-steps.ts';
import { aggregate } from '../services/aggregator/pipeline.ts';
import { probeSeriesOf } from '../services/aggregator/series/probe-series.ts';
import { eventually } from './lab/eventually.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { Hops } from './support/hops.ts';
import { HostileMessages } from './support/hostile-messages.ts';
import { expectAggregatorIdentity } from './support/loss-identity.ts';
import { Random, seedOfRun, sizeFromEnvironment } from './support/random.ts';
import { RawStream } from './support/raw-stream.ts';
import { syntheticMessages } from './support/synthetic-capture.ts';

const cases = sizeFromEnvironment('JITTERSCOPE_HOSTILE_CASES', 100_000);
const messagesPerFetch = 50;
/** The state of hostile sessions is bounded; what grows without bound passes this long before the last case. */
const maxGrowthBytes = 200 * 1024 * 1024;

test(`${cases} hostile messages cost no good one anything, and every item of theirs has its reason`, { timeout: 1_800_000 }, async () => {
  const random = new Random(seedOfRun());
  process.stdout.write(`hostile messages: JITTERSCOPE_SEED=${random.seed}\n`);
  const { messages: good, events } = syntheticMessages(20_000, 'good');
  const hostile = new HostileMessages(random, syntheticMessages(3_000, 'base').messages);
  const state = new PartitionState({ maxSeries: 10_000, probes: probeSeriesOf(probes) });
  const steps = partitionSteps(
    state,
    {
      cluster: 'default',
      events: new Map(probes.map((probe) => [probe.number, probe.event])),
      maxHeldBytes: 1024 * 1024,
      maxBatchBytes: 256 * 1024,
    },
    { events: undefined, metrics: undefined },
  );
  let published = 0;
  let refused = 0;
  const ports = {
    publish: async (batches: readonly Uint8Array[]) => {
      for (const bytes of batches) {
        const view = decodeEventBatch(bytes);
        for (let row = 0; row < view.count; row++, published++) {
          const [prefix = '', item] = view.id(row).split('-');
          if (events.knows(prefix)) events.seen(prefix, Number(item));
          else JSON.parse(Buffer.from(view.line(row)).toString());
        }
      }
    },
    publishMetrics: async (batch: Uint8Array) => void MetricBatch.decode(batch),
    refuse: async () => void refused++,
  };

  let offset = 0;
  let goodSent = 0;
  let settledBytes = 0;
  for (let done = 0; done < cases; ) {
    const messages: Message[] = [];
    while (messages.length < messagesPerFetch && done < cases) {
      const goodDue = Math.floor(((done + 1) / cases) * good.length);
      if (goodSent < goodDue) messages.push({ offset: offset++, value: good[goodSent++] });
      else {
        messages.push({ offset: offset++, value: hostile.raw() });
        done++;
      }
    }
    await lastValueFrom(aggregate({ topic: topics.raw, partition: 0, messages, next: offset, holes: [] }, steps, ports));
    if (settledBytes === 0 && done > cases / 4) settledBytes = process.memoryUsage().heapUsed;
  }
  const grownBytes = process.memoryUsage().heapUsed - settledBytes;
  steps.output.flush();
  await ports.publish(steps.output.finished());

  expect(goodSent).toBe(good.length);
  const { missing, twice } = events.verdict();
  expect({ missing, twice }).toEqual({ missing: 0, twice: 0 });
  const { dispositions } = state;
  expect(published).toBe(dispositions.events);
  expect(refused).toBe(dispositions.refusedMessages);
  expect(refused).toBeGreaterThan(cases / 20);
  expectAggregatorIdentity(dispositions, state.expectedItems);
  expect(dispositions.held).toBe([...state.sessions()].reduce((held, session) => held + session.held.count, 0));
  expect(state.heldBytes).toBeLessThanOrEqual(1024 * 1024);
  expect(grownBytes).toBeLessThan(maxGrowthBytes);
  // What such a stream leaves behind survives a checkpoint.
  const stored = JSON.stringify(state.snapshot());
  const restored = new PartitionState();
  restored.restore(JSON.parse(stored) as PartitionSnapshot);
  expect(JSON.stringify(restored.snapshot())).toBe(stored);
  process.stdout.write(
    `  ${offset} messages: ${published} events, ${refused} refused, rejected ${JSON.stringify(dispositions.rejected)}, ` +
      `${dispositions.repeats} repeats, ${dispositions.held} held; heap grew by ${Math.round(grownBytes / 1e6)} MB, checkpoint ${Math.round(stored.length / 1e6)} MB\n`,
  );
});

test('a gateway counts what it cannot read, refuses what does not open as a stream, and serves the others', async () => {
  const random = new Random(seedOfRun());
  process.stdout.write(`hostile streams: JITTERSCOPE_SEED=${random.seed}\n`);
  const folder = temporaryFolder();
  const hops = await Hops.start(join(folder.path, 'data'));
  const streams: RawStream[] = [];
  try {
    const gateway = await hops.gatewayUp();
    const events = new ExpectedEvents();
    const good = await FakeCollector.start({ spoolDir: join(folder.path, 'spool'), gatewayAddress: hops.gatewayAddress, events });
    const hostile = new HostileMessages(random, syntheticMessages(3_000, 'base').messages);
    const open = (): RawStream => {
      const stream = new RawStream(hops.gatewayAddress);
      streams.push(stream);
      return stream;
    };

    // Streams that never say who they are.
    for (let index = 0; index < 20; index++) {
      const stream = open();
      if (index % 4 === 0) stream.hello('', Buffer.alloc(16));
      else if (index % 4 === 1) stream.hello('short-session', Buffer.alloc(index));
      else if (index % 4 === 2) stream.send(hostile.collectorMessage());
      else stream.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
      good.batch(50);
      await eventually('the gateway refused the stream', () => stream.ended !== undefined);
      expect(stream.welcomed).toBe(false);
    }
    // Streams that do, and send anything; those that are too large end the stream, not the gateway.
    let sent = 0;
    for (let index = 0; index < 12; index++) {
      const stream = open();
      stream.hello(`hostile-${index}`, Buffer.alloc(16, 128 + index));
      await eventually('the gateway welcomes', () => stream.welcomed);
      for (let message = 0; message < 400; message++, sent++) stream.send(hostile.collectorMessage(message + 1));
      if (index % 4 === 3) {
        stream.send(Buffer.alloc(5 * 1024 * 1024));
        await eventually('the stream ended', () => stream.ended !== undefined);
      }
      good.batch(200);
    }
    await eventually('every message was looked at', () => gateway.metrics.queuedBytes === 0 && gateway.metrics.messagesIn > sent / 2);
    expect(await good.close(30_000)).toBe(0);

    const state = await hops.settled();
    expectAggregatorIdentity(state.dispositions, state.expectedItems);
    await hops.countEvents(events);
    const { missing, twice } = events.verdict();
    expect({ missing, twice }).toEqual({ missing: 0, twice: 0 });
    expect(gateway.metrics.invalidMessages).toBeGreaterThan(20);
    const { next } = await hops.bus.offsets(topics.deadLetters, 0);
    expect(next).toBe(state.dispositions.refusedMessages);
    expect(next).toBeGreaterThan(sent / 20);
    process.stdout.write(
      `  ${sent} messages on ${streams.length} streams: ${gateway.metrics.invalidMessages} invalid at the gateway, ` +
        `${state.dispositions.refusedMessages} refused by the aggregator\n`,
    );
  } finally {
    for (const stream of streams) stream.close();
    await hops.close();
    folder.remove();
  }
});
