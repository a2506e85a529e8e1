import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { AppError } from '../../core/app-error.ts';
import type { Bus } from '../../core/bus/bus.ts';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { createLog } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import type { Sink } from './sink.ts';
import { SinkRunner } from './sink-runner.ts';
import { encodeEvents, idOf, viewOf } from './test-events.ts';

const LIMIT = { timeout: 20_000 };
const ids = (count: number) => Array.from({ length: count }, (_, number) => idOf(number));
const failure = (code: string, retryable: boolean) => new AppError(code, { message: code, retryable, remedy: '' }, {});

async function openBus(): Promise<Bus> {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-runner-'));
  const spec = { partitions: 1, maxBytes: 64 * 1024 * 1024, retain: 'oldest' } as const;
  const bus = await openEmbeddedLog({
    dir,
    topics: [
      { ...spec, name: topics.events },
      { ...spec, name: topics.deadLetters },
    ],
    commitMs: 1,
  });
  onTestFinished(async () => {
    await bus.close();
    await rm(dir, { recursive: true, force: true });
  });
  return bus;
}

/** A store in memory that can be asked, and fails with `problem.now` as long as it is set. */
function storeOf(stored: string[], problem: { now?: Error }): Sink {
  return {
    check: async () => undefined,
    close: async () => undefined,
    find: async () => new Set(stored),
    async deliver({ view, items }) {
      if (problem.now) throw problem.now;
      for (const row of items) stored.push(view.id(row));
      return {};
    },
  };
}

function run(bus: Bus, sink: Sink, pauseMs = 1): SinkRunner {
  const policy = { initialMs: 1, maxMs: 2, pauseMs };
  return new SinkRunner({ name: 'test', bus, policy, log: createLog('silent'), open: async () => ({ sink, maxBytes: 1 << 20 }) });
}

test('an operator mends a paused sink, and it goes on without a restart', async () => {
  const bus = await openBus();
  const stored: string[] = [];
  const problem: { now?: Error } = { now: failure('OPERATOR', false) };
  const runner = run(bus, storeOf(stored, problem));
  await runner.started;
  await bus.append(topics.events, 0, [encodeEvents(0, 5)]);
  await vi.waitFor(() => expect(runner.counters).toMatchObject({ status: 'paused', problem: 'OPERATOR: OPERATOR' }), LIMIT);
  problem.now = failure('LATER', true);
  await vi.waitFor(() => expect(runner.counters.status).toBe('retrying'), LIMIT);
  delete problem.now;
  await vi.waitFor(() => expect(runner.counters.partitions.get(0)?.delivered).toBe(5), LIMIT);
  expect(runner.counters.status).toBe('delivering');
  expect(runner.counters.problem).toBeUndefined();
  await runner.close(1000);
  expect(runner.counters).toMatchObject({ status: 'closed' });
  expect(runner.counters.partitions.get(0)?.delivered).toBe(5);
  expect(stored).toEqual(ids(5));
});

test('closing a paused sink does not wait for the pause, and the next one delivers', async () => {
  const bus = await openBus();
  const stored: string[] = [];
  const paused = run(bus, storeOf(stored, { now: failure('OPERATOR', false) }), 3_600_000);
  await bus.append(topics.events, 0, [encodeEvents(0, 5)]);
  await vi.waitFor(() => expect(paused.counters.status).toBe('paused'), LIMIT);
  await paused.close(1);
  const next = run(bus, storeOf(stored, {}));
  await vi.waitFor(() => expect(next.counters.partitions.get(0)?.delivered).toBe(5), LIMIT);
  await next.close(1000);
  expect(stored).toEqual(ids(5));
});

test('a commit that fails starts the sink anew, and no event is stored twice', async () => {
  const bus = await openBus();
  const stored: string[] = [];
  let failures = 3;
  const unreliable: Bus = Object.assign(Object.create(bus) as Bus, {
    partitions: bus.partitions.bind(bus),
    append: bus.append.bind(bus),
    offsets: bus.offsets.bind(bus),
    read: bus.read.bind(bus),
    consume: async (options: Parameters<Bus['consume']>[0]) => {
      const consumer = await bus.consume(options);
      return {
        commit: (partition: number, commit: { offset: number; metadata: string }) =>
          failures-- > 0 ? Promise.reject(failure('COMMIT_FAILED', true)) : consumer.commit(partition, commit),
        lag: () => consumer.lag(),
        finished: consumer.finished,
        close: (graceMs?: number) => consumer.close(graceMs),
      };
    },
  });
  const runner = run(unreliable, storeOf(stored, {}));
  await bus.append(topics.events, 0, [encodeEvents(0, 5)]);
  await vi.waitFor(() => expect(runner.counters.partitions.get(0)?.delivered).toBe(5), LIMIT);
  await bus.append(topics.events, 0, [encodeEvents(5, 5)]);
  await vi.waitFor(() => expect(runner.counters.partitions.get(0)?.delivered).toBe(10), LIMIT);
  expect(failures).toBeLessThan(0);
  expect(stored).toEqual(ids(10));
  await runner.close(1000);
});

test('a replay whose store does not answer ends when it is stopped, and what it sent is doubtful', async () => {
  const bus = await openBus();
  let asked = (): void => undefined;
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const deliver: Sink['deliver'] = (_, signal) => {
    asked();
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const runner = run(bus, { ...storeOf([], {}), deliver });
  await runner.started;
  const batch = { partition: 0, view: viewOf(0, 2), items: Uint32Array.of(0, 1) };
  const replayed = runner.replay(batch, new AbortController().signal);
  await isAsked;
  runner.stopReplays();
  const unanswered = { error: expect.objectContaining({ code: 'SINK_REPLAY_UNANSWERED' }), isDoubtful: true };
  expect(await replayed).toEqual([unanswered, unanswered]);
  await runner.close(1000);
});
