import { expect, test } from 'vitest';
import type { Bus } from '../../core/bus/bus.ts';
import { RawMessage, topics } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';
import { beat, folder, gatewayOn, openBus, stored, TestCollector } from '../../test/support/gateway-run.ts';
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

test('two nodes with one session id (a machine that was cloned) have a position each', async () => {
  const dir = folder();
  const bus = await openBus(dir);
  const nodes = ['node1', 'node2', 'node3', 'node4'];
  const first = await gatewayOn(dir, bus);
  for (const [index, node] of nodes.entries()) {
    const collector = new TestCollector(dir).hello({ node });
    await collector.until(0);
    expect(collector.acked, node).toBe(0);
    const beats = Array.from({ length: index + 1 }, (_, n) => beat(n + 1));
    await collector.send(...beats).until(beats.length);
    collector.close();
  }
  expect((await stored(bus)).map(({ node, seq }) => `${node} ${seq}`).sort()).toEqual(
    nodes.flatMap((node, index) => Array.from({ length: index + 1 }, (_, n) => `${node} ${n + 1}`)),
  );
  const positions = async () => {
    const welcomed: number[] = [];
    for (const node of nodes) {
      const collector = new TestCollector(dir).hello({ node });
      await collector.until(0);
      welcomed.push(collector.acked);
      collector.close();
    }
    return welcomed;
  };
  // Of what is remembered, of what a commit holds, and of what is read in the log.
  expect(await positions()).toEqual([1, 2, 3, 4]);
  await first.close(5_000);
  await gatewayOn(dir, bus);
  expect(await positions()).toEqual([1, 2, 3, 4]);
  const other = folder();
  await gatewayOn(other, withoutCommits(bus));
  const collector = new TestCollector(other).hello({ node: 'node2' });
  await collector.until(0);
  expect(collector.acked).toBe(2);
});

/** A bus of which no group has committed anything. */
function withoutCommits(bus: Bus): Bus {
  return new Proxy(bus, {
    get(target, name) {
      if (name === 'committed') return () => Promise.resolve(undefined);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

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
