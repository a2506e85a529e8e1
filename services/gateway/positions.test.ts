import { expect, test } from 'vitest';
import { RawMessage, topics } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';
import { beat, folder, gatewayOn, openBus, TestCollector } from '../../test/support/gateway-run.ts';
import { encodeStreamMessage } from './raw-encoder.ts';

test('positions survive a clean end, and a kill', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const first = await gatewayOn(dir, bus);
  const one = new TestCollector(dir).hello().send(beat(1), beat(2));
  await one.until(2);
  one.close();
  await first.close(5_000);
  await gatewayOn(dir, bus);
  const two = new TestCollector(dir).hello();
  await two.until(2);
  two.send(beat(3));
  await two.until(3);
  two.close();
  // Not closed: its last position is in no commit, only in the log.
  await gatewayOn(dir, bus);
  await new TestCollector(dir).hello().until(3);
});

test('more sessions than a commit holds are repeats at worst', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const first = await gatewayOn(dir, bus);
  for (let n = 0; n < 70; n++) {
    const collector = new TestCollector(dir).hello({ session: Buffer.alloc(16, n) }).send(beat(1));
    await collector.until(1);
    collector.close();
  }
  await first.close(5_000);
  await gatewayOn(dir, bus);
  const newest = new TestCollector(dir).hello({ session: Buffer.alloc(16, 69) });
  await newest.until(1);
  const oldest = new TestCollector(dir).hello({ session: Buffer.alloc(16, 0) });
  await oldest.until(0);
  expect(oldest.acked).toBe(0);
});

test('a replay is stored byte for byte, and goes on where it was cut off', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const captured = [1, 2, 3].map((seq) =>
    Buffer.concat(encodeStreamMessage('elsewhere', Buffer.alloc(16, 3), CollectorMessage.encode(beat(seq)).finish())),
  );
  const first = await gatewayOn(dir, bus);
  const one = new TestCollector(dir)
    .hello({ replay: true })
    .send({ seq: 1, replayed: captured[0] }, beat(2), { seq: 2, replayed: captured[1] });
  await one.until(2);
  expect(first.metrics.invalidMessages).toBe(1);
  one.close();
  await first.close(5_000);
  await gatewayOn(dir, bus);
  const two = new TestCollector(dir).hello({ replay: true });
  await two.until(2);
  two.send({ seq: 2, replayed: captured[1] }, { seq: 3, replayed: captured[2] });
  await two.until(3);
  const values: Buffer[] = [];
  for (let partition = 0; partition < 2; partition++) {
    const { next } = await bus.offsets(topics.raw, partition);
    if (next === 0) continue;
    for await (const { messages } of bus.read(topics.raw, partition, 0, { until: next }))
      values.push(...messages.map(({ value }) => Buffer.from(value)));
  }
  expect(values.map((value, index) => value.subarray(0, captured[index].length).equals(captured[index]))).toEqual([true, true, true]);
  expect(values.map((value) => RawMessage.decode(value).replay?.seq)).toEqual([1, 2, 3]);
});
