import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { busError } from '../../core/bus/errors.ts';
import { createLog } from '../../core/log.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { beat, folder, gatewayOn, openBus, session, TestCollector } from '../../test/support/gateway-run.ts';
import { startGateway } from './main.ts';
import { partitionOf } from './partition.ts';
import { streamKey } from './positions.ts';

test('the socket is for its owner alone, whatever the umask, which stays as it was', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const before = process.umask(0o002);
  onTestFinished(() => void process.umask(before));
  await gatewayOn(dir, bus);
  expect(statSync(join(dir, 'collect.sock')).mode & 0o777).toBe(0o600);
  expect(process.umask()).toBe(0o002);
});

test('ticks are in every partition, counted up; a gateway of a replay writes none', async () => {
  const [dir, replayDir] = [folder(), folder()];
  const [bus, replayBus] = [await openBus(dir), await openBus(replayDir)];
  // Started before the other one: of two ticks it would have written one.
  await gatewayOn(replayDir, replayBus, { ticks: false });
  await gatewayOn(dir, bus, { ticks: true });
  await eventually(
    'two ticks are there',
    async () => (await bus.offsets(topics.raw, 0)).next >= 2 && (await bus.offsets(topics.raw, 1)).next >= 2,
  );
  for (const partition of [0, 1]) {
    const numbers: number[] = [];
    for await (const { messages } of bus.read(topics.raw, partition, 0, { until: 2 }))
      for (const { value } of messages) numbers.push(RawMessage.decode(value).tick?.number ?? 0);
    expect(numbers).toEqual([1, 2]);
    expect((await replayBus.offsets(topics.raw, partition)).next).toBe(0);
  }
});

test('a partition that is full stops its own ticks alone, and no positions', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const full = (): Promise<number> => Promise.reject(busError('BUS_FULL', { topic: topics.raw, partition: 0, found: 1, limit: 1 }));
  let isFull = true;
  const append: Bus['append'] = (topic, partition, values) => (isFull && partition === 0 ? full() : bus.append(topic, partition, values));
  await gatewayOn(dir, overlaid(bus, { append }), { ticks: true });
  const node = ['a', 'b', 'c', 'd'].find((name) => partitionOf(name, 2) === 1) ?? '';
  await new TestCollector(dir).hello({ node }).send(beat(1)).until(1);
  await eventually('ticks of the other go on', async () => (await bus.offsets(topics.raw, 1)).next >= 3);
  const saved = async () => (await bus.committed('gateway', topics.raw, 1))?.metadata;
  await eventually('its positions are written', async () => (await saved()) === JSON.stringify({ [streamKey(node, session)]: 1 }));
  expect((await bus.offsets(topics.raw, 0)).next).toBe(0);
  isFull = false;
  await eventually('time goes on', async () => (await bus.offsets(topics.raw, 0)).next >= 2);
  for await (const { messages } of bus.read(topics.raw, 0, 0, { until: 2 }))
    expect(messages.map(({ value }) => RawMessage.decode(value).tick?.number)).toEqual([1, 2]);
});

/** A bus of which some methods are others. */
function overlaid(bus: Bus, over: Partial<Bus>): Bus {
  return new Proxy(bus, {
    get(target, name) {
      const value: unknown = Reflect.get(over, name) ?? Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('the end takes no longer than it may, and leaves no timer', async () => {
  const dir = folder();
  const gateway = await gatewayOn(dir, await openBus(dir));
  const timers = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => timers.mockRestore());
  await gateway.close(1_000);
  const delays = timers.mock.calls.map(([, delayMs = 0]) => delayMs);
  expect(delays.length).toBeGreaterThan(0);
  expect(Math.max(...delays)).toBeLessThanOrEqual(1_000);
  for (const { value } of timers.mock.results) expect(value).toHaveProperty('_destroyed', true);
});

test('an address that is taken by no socket file is named', async () => {
  const bus = await openBus(folder());
  const options = { bus, ticks: false, maxInFlightBytes: 1, maxMemoryBytes: 1, maxMessageBytes: 1, log: createLog('silent') };
  await expect(startGateway({ ...options, socketPath: '/nonexistent/folder/collect.sock' })).rejects.toMatchObject({
    code: 'GATEWAY_LISTEN',
    exitCode: 75,
  });
});
