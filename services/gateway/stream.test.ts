import { EventEmitter } from 'node:events';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { busError } from '../../core/bus/errors.ts';
import { topics } from '../../proto/bus.ts';
import { type CollectorBody, CollectorMessage, type GatewayBody } from '../../proto/collect.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { beat, folder, gatewayOn, items, openBus, seqs, session, stored, TestCollector } from '../../test/support/gateway-run.ts';
import { MemoryBudget } from './memory-budget.ts';
import { emptyGatewayMetrics } from './metrics.ts';
import { CollectorStream } from './stream.ts';

const sessionHex = session.toString('hex');

/** A bus whose appends are as a script says; everything else is the real one. */
function scripted(bus: Bus, append: (real: () => Promise<number>, count: number) => Promise<number>): Bus {
  return new Proxy(bus, {
    get(target, name) {
      if (name === 'append') return (...args: Parameters<Bus['append']>) => append(() => target.append(...args), args[2].length);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('messages are stored as they came, with node and session, and acked', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const gateway = await gatewayOn(dir, bus);
  const collector = new TestCollector(dir).hello().send(beat(1), items(2, 3), beat(3));
  await collector.until(3);
  expect(await stored(bus)).toEqual([1, 2, 3].map((seq) => ({ seq, node: 'node1', session: sessionHex })));
  expect(collector.answers[0]).toMatchObject({ welcome: { ackedSeq: 0 } });
  expect(gateway.metrics).toMatchObject({
    streams: 1,
    messagesIn: 3,
    itemsIn: 3,
    itemsQueued: 3,
    repeatedItems: 0,
    invalidMessages: 0,
    queuedBytes: 0,
  });
  collector.close();
  await eventually('the stream is forgotten', () => gateway.metrics.streams === 0);
});

test('an ack comes only once the message is durable', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let appends = 0;
  await gatewayOn(
    dir,
    scripted(bus, async (real) => {
      appends++;
      await held;
      return await real();
    }),
  );
  const collector = new TestCollector(dir).hello().send(beat(1), beat(2));
  await eventually('the append began', () => appends === 1);
  expect(collector.acked).toBe(0);
  expect(await seqs(bus)).toEqual([]);
  release();
  await collector.until(2);
  expect(await seqs(bus)).toEqual([1, 2]);
});

test('a full bus is tried again, and nothing overtakes', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  let appends = 0;
  const full = (): Promise<number> => Promise.reject(busError('BUS_FULL', { topic: topics.raw, partition: 0, bytes: 1, limit: 1 }));
  await gatewayOn(
    dir,
    scripted(bus, (real) => (++appends % 3 === 0 ? real() : full())),
  );
  const collector = new TestCollector(dir).hello();
  for (let seq = 1; seq <= 60; seq++) {
    collector.send(beat(seq));
    if (seq % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await collector.until(60);
  expect(await seqs(bus)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
  const acks = collector.answers.flatMap(({ ack }) => (ack ? [ack.seq ?? 0] : []));
  expect(acks).toEqual([...acks].sort((a, b) => a - b));
});

test('appends leave nothing behind in the gateway; those that are tried again end with it, of streams that the collector ended, too', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  // Node.js keeps an entry for each signal that is made so in the signals that it is made of.
  const joined = vi.spyOn(AbortSignal, 'any');
  onTestFinished(() => joined.mockRestore());
  let appends = 0;
  let isFull = false;
  const full = (): Promise<number> => Promise.reject(busError('BUS_FULL', { topic: topics.raw, partition: 0, bytes: 1, limit: 1 }));
  const gateway = await gatewayOn(
    dir,
    scripted(bus, (real) => {
      appends++;
      return isFull ? full() : real();
    }),
  );
  const collectors = [1, 2].map((n) => new TestCollector(dir).hello({ session: Buffer.alloc(16, n) }));
  for (let seq = 1; seq <= 20; seq++) for (const collector of collectors) await collector.send(beat(seq)).until(seq);
  expect([appends, joined.mock.calls.length]).toEqual([40, 0]);
  isFull = true;
  for (const collector of collectors) collector.send(beat(21));
  await eventually('both are tried', () => gateway.metrics.queuedBytes > 0 && appends >= 44);
  collectors[1].call.end();
  await eventually('one is ended', () => gateway.metrics.streams === 1);
  await gateway.close(100);
  await eventually('nothing waits', () => gateway.metrics.queuedBytes === 0);
});

test('messages that are durable already are dropped, and counted by item', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const gateway = await gatewayOn(dir, bus);
  const one = new TestCollector(dir).hello().send(items(1, 2), items(2, 2));
  await one.until(2);
  one.close();
  const two = new TestCollector(dir).hello().send(items(1, 2), items(2, 2), items(3, 2));
  await two.until(3);
  expect(two.answers[0]).toMatchObject({ welcome: { ackedSeq: 2 } });
  expect(await seqs(bus)).toEqual([1, 2, 3]);
  expect(gateway.metrics).toMatchObject({ itemsIn: 10, itemsQueued: 6, repeatedItems: 4 });
});

test.each<[string, CollectorBody | Buffer, RegExp]>([
  ['something else', beat(1), /something else than Hello/],
  ['no node', { hello: { session } }, /node name of 0 bytes/],
  ['a long node', { hello: { node: 'x'.repeat(254), session } }, /node name of 254 bytes/],
  ['a short session', { hello: { node: 'n', session: Buffer.alloc(15) } }, /a session of 15 bytes/],
  ['garbage', Buffer.from('ffffffffff', 'hex'), /./],
])('a stream that opens with %s is refused, and says why', async (_, first, message) => {
  const dir = folder();
  const bus = await openBus(dir);
  await gatewayOn(dir, bus);
  const collector = new TestCollector(dir).send(first, beat(2), { hello: { node: 'node1', session } }, beat(3));
  await collector.failed();
  expect(collector.error?.code).toBe(status.INVALID_ARGUMENT);
  expect(collector.error?.details).toMatch(message);
  const next = new TestCollector(dir).hello({ session: Buffer.alloc(16, 9) }).send(beat(1));
  await next.until(1);
  expect(await stored(bus)).toEqual([{ seq: 1, node: 'node1', session: '09'.repeat(16) }]);
});

test('what cannot be read in an open stream is counted and passed over', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const gateway = await gatewayOn(dir, bus);
  const collector = new TestCollector(dir)
    .hello()
    .send(
      beat(1),
      Buffer.from('ffffffffff', 'hex'),
      { hello: { node: 'other', session } },
      { seq: 2 },
      { heartbeat: { bootNs: 1 } },
      { seq: 3, replayed: Buffer.from('x') },
      beat(4),
    );
  await collector.until(4);
  expect(await seqs(bus)).toEqual([1, 4]);
  expect(gateway.metrics.invalidMessages).toBe(5);
});

test('a message above the limit ends the stream, not the gateway', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  await gatewayOn(dir, bus);
  const collector = new TestCollector(dir).hello().send(items(1, 9000));
  await collector.failed();
  expect(collector.error?.code).toBe(status.RESOURCE_EXHAUSTED);
  await new TestCollector(dir).hello().send(beat(1)).until(1);
});

test('a stream whose messages wait for durability is paused, and goes on', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const gateway = await gatewayOn(
    dir,
    scripted(bus, async (real) => {
      await held;
      return await real();
    }),
    { maxInFlightBytes: 100_000 },
  );
  const collector = new TestCollector(dir).hello();
  const count = 200;
  for (let seq = 1; seq <= count; seq++) collector.send(items(seq, 100));
  await eventually('the limit is reached', () => gateway.metrics.queuedBytes >= 100_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(gateway.metrics.queuedBytes).toBeLessThan(400_000);
  release();
  await collector.until(count);
  expect(await seqs(bus)).toEqual(Array.from({ length: count }, (_, n) => n + 1));
  expect(gateway.metrics.queuedBytes).toBe(0);
});

test('however many streams wait for a bus that stands still, memory is bounded, and all of it arrives, from the slowest too', {
  timeout: 120_000,
}, async () => {
  const dir = folder();
  const bus = await openBus(dir);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const maxMemoryBytes = 4 * 2 ** 20;
  const gateway = await gatewayOn(
    dir,
    scripted(bus, async (real) => {
      await held;
      return await real();
    }),
    // All streams are in one of two partitions.
    { maxMemoryBytes: 2 * maxMemoryBytes },
  );
  const [streams, messages, messageItems] = [60, 20, 512];
  const sessions = Array.from({ length: streams }, (_, n) => Buffer.alloc(16, n + 1));
  const collectors = sessions.map((one) => new TestCollector(dir).hello({ session: one }));
  for (const collector of collectors) await collector.until(0);
  for (let seq = 1; seq <= messages; seq++) for (const collector of collectors) collector.send(items(seq, messageItems));
  await eventually('the memory is used', () => gateway.metrics.queuedBytes >= maxMemoryBytes);
  await new Promise((resolve) => setTimeout(resolve, 500));
  // Each stream may have one message more, and all of them together would be nine times as much.
  const messageBytes = messageItems * 128 + 100;
  expect(gateway.metrics.queuedBytes).toBeLessThan(maxMemoryBytes + streams * messageBytes);
  expect(gateway.metrics.queueCapacityBytes).toBe(maxMemoryBytes);
  expect(gateway.metrics.messagesIn).toBeLessThan((maxMemoryBytes / messageBytes + streams) * 1.1);
  // Who goes away takes with him what he had waiting, but for what is on its way.
  const before = gateway.metrics.queuedBytes;
  for (const gone of collectors.splice(0, 10)) gone.close();
  await eventually('they are forgotten', () => gateway.metrics.streams === streams - 10);
  expect(gateway.metrics.queuedBytes).toBeLessThanOrEqual(before + (streams - 10) * messageBytes);
  release();
  for (const collector of collectors) await collector.until(messages);
  await eventually('nothing waits', () => gateway.metrics.queuedBytes === 0);
});

test('two streams of one session lose nothing: what both send is there at least once, each in its order', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  await gatewayOn(dir, bus);
  const one = new TestCollector(dir).hello();
  const two = new TestCollector(dir).hello();
  await one.until(0);
  await two.until(0);
  for (let seq = 1; seq <= 50; seq++) {
    one.send(beat(seq));
    two.send(beat(seq));
  }
  await one.until(50);
  await two.until(50);
  expect(new Set(await seqs(bus)).size).toBe(50);
  expect((await seqs(bus)).length).toBeLessThanOrEqual(100);
  const three = new TestCollector(dir).hello();
  await three.until(50);
});

test('a keyframe is asked for in every open stream', async () => {
  const dir = folder();
  const gateway = await gatewayOn(dir, await openBus(dir));
  const collector = new TestCollector(dir).hello();
  await collector.until(0);
  gateway.requestKeyframes('a capture begins');
  await eventually('the request comes', () =>
    collector.answers.some(({ keyframeRequest }) => keyframeRequest?.reason === 'a capture begins'),
  );
});

test('behind an append that failed for good nothing is appended or acked: the collector sends it again', async () => {
  const call = Object.assign(new EventEmitter(), {
    written: [] as GatewayBody[],
    write: (body: GatewayBody) => call.written.push(body),
    end: () => undefined,
    _read: () => undefined,
  });
  const errors: { code: number }[] = [];
  call.on('error', (error: { code: number }) => errors.push(error));
  const budget = new MemoryBudget(2 ** 20, 2 ** 20, 1);
  const metrics = emptyGatewayMetrics(budget);
  const positions: number[] = [];
  let appends = 0;
  new CollectorStream(call as unknown as ServerDuplexStream<Buffer, GatewayBody>, {
    partitionOf: () => 0,
    acked: () => 0,
    advance: (_, seq) => positions.push(seq),
    append: async () => {
      appends++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (appends === 2) throw new Error('for good');
    },
    budget,
    metrics,
    refusalOf: () => undefined,
    warn: () => undefined,
  });
  const data = (body: CollectorBody): void => void call.emit('data', Buffer.from(CollectorMessage.encode(body).finish()));
  data({ hello: { node: 'n', session } });
  for (let seq = 1; seq <= 3; seq++) data(beat(seq));
  await eventually('the second append runs', () => appends === 2);
  data(beat(4));
  await eventually('the stream is refused', () => errors.length > 0);
  data(beat(5));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect({ appends, positions, queuedBytes: metrics.queuedBytes }).toEqual({ appends: 2, positions: [1], queuedBytes: 0 });
  expect(errors).toEqual([expect.objectContaining({ code: status.UNAVAILABLE, details: 'for good' })]);
  expect(call.written.map(({ ack }) => ack?.seq)).toEqual([undefined, 1]);
});
