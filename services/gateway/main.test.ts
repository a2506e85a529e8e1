import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../core/log.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { folder, gatewayOn, openBus } from '../../test/support/gateway-run.ts';
import { startGateway } from './main.ts';

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
  const dir = folder();
  const bus = await openBus(dir);
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
  }
});

test('an address that is taken by no socket file is named', async () => {
  const bus = await openBus(folder());
  const options = { bus, ticks: false, maxInFlightBytes: 1, maxMemoryBytes: 1, maxMessageBytes: 1, log: createLog('silent') };
  await expect(startGateway({ ...options, socketPath: '/nonexistent/folder/collect.sock' })).rejects.toMatchObject({
    code: 'GATEWAY_LISTEN',
    exitCode: 75,
  });
});
