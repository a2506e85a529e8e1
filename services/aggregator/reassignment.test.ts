import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Bus, ConsumeOptions, Consumer } from '../../core/bus/bus.ts';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { busError } from '../../core/bus/errors.ts';
import { createLog } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { type CheckpointStore, fileCheckpoints } from './checkpoint.ts';
import { type Aggregator, startAggregator } from './main.ts';
import { noRules } from './partition-state.ts';
import { events, seriesOptions } from './test-stream.ts';

interface Assigning {
  readonly aggregator: Aggregator;
  readonly group: Required<Pick<ConsumeOptions, 'assigned' | 'handle' | 'revoked'>>;
}

/** An aggregator whose partitions are given and taken away by the test. */
async function start(checkpointsOf: (store: CheckpointStore) => Partial<CheckpointStore>, commit?: Consumer['commit']): Promise<Assigning> {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-reassignment-'));
  const specs = [topics.raw, topics.events, topics.metrics, topics.deadLetters];
  const log = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    topics: specs.map((name) => ({ name, partitions: 1, maxBytes: 2 ** 26, retain: name === topics.raw ? 'checkpoint' : 'oldest' })),
  });
  onTestFinished(async () => {
    await log.close();
    rmSync(dir, { recursive: true, force: true });
  });
  let group: ConsumeOptions | undefined;
  const consumer: Consumer = {
    commit: commit ?? (async () => undefined),
    lag: async () => new Map(),
    finished: new Promise(() => undefined),
    close: async () => undefined,
  };
  const bus: Bus = {
    partitions: (topic) => log.partitions(topic),
    append: (...args) => log.append(...args),
    offsets: (...args) => log.offsets(...args),
    read: (...args) => log.read(...args),
    committed: (...args) => log.committed(...args),
    commit: (...args) => log.commit(...args),
    checkpointed: (...args) => log.checkpointed(...args),
    close: () => log.close(),
    consume: async (options) => {
      group = options;
      return consumer;
    },
  };
  const files = fileCheckpoints(join(dir, 'state'));
  const store: CheckpointStore = { load: (...args) => files.load(...args), save: (...args) => files.save(...args) };
  const aggregator = await startAggregator({
    bus,
    checkpoints: { ...store, ...checkpointsOf(store) },
    cluster: 'default',
    events,
    series: seriesOptions,
    maxHeldBytes: 2 ** 20,
    maxBatchBytes: 2000,
    lingerMs: 5,
    checkpointMs: 0,
    log: createLog('silent'),
  });
  return { aggregator, group: group as Assigning['group'] };
}

test('a start that outlives its assignment leaves no worker; the next assignment has its own', async () => {
  const loads: (() => void)[] = [];
  const { aggregator, group } = await start((store) => ({
    load: async (partition) => {
      await new Promise<void>((resolve) => loads.push(resolve));
      return store.load(partition);
    },
  }));
  const first = group.assigned(0, undefined);
  await group.revoked(0);
  const second = group.assigned(0, undefined);
  loads[1]();
  await second;
  const taken = aggregator.partitions().get(0);
  loads[0]();
  await first;
  expect(taken).toBeDefined();
  expect(aggregator.partitions().get(0)).toBe(taken);
  await group.revoked(0);
  const third = group.assigned(0, undefined);
  await group.revoked(0);
  loads[2]();
  await third;
  expect(aggregator.partitions().size).toBe(0);
});

test('a worker whose partition is not assigned any more does not try its checkpoint again', async () => {
  const refused = async (): Promise<never> => {
    throw busError('BUS_NOT_ASSIGNED', { partition: 0, topic: topics.raw, group: 'aggregator' });
  };
  const { aggregator, group } = await start(() => ({}), refused);
  await group.assigned(0, undefined);
  const timers = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => timers.mockRestore());
  await aggregator.replaceRules(noRules);
  expect(aggregator.times().get(0)?.checkpointFailures).toBe(1);
  expect(timers.mock.calls.filter(([, delayMs]) => Number(delayMs) <= 5_000)).toEqual([]);
});
