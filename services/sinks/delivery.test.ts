import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../../core/app-error.ts';
import { bounded } from './bounded.ts';
import { delivering } from './delivery.ts';
import { newDeliveryCounters } from './metrics.ts';
import type { Batch, Delivery, Sink } from './sink.ts';
import { idOf, lineOf, viewOf } from './test-events.ts';

const errorOf = (code: string, retryable: boolean) => new AppError(code, { message: code, retryable, remedy: '' }, {});
const later = errorOf('LATER', true);
const never = errorOf('NEVER', true);
const operator = errorOf('OPERATOR', false);

/** What the store does with one request: one thing for all of it, or by item (positions beyond the list are stored). */
type Move = 'store' | 'throw-later' | 'throw-operator' | 'throw-defect' | 'smaller' | readonly ItemMove[];
type ItemMove = 'store' | 'reject' | 'retry' | 'unknown-stored' | 'unknown-lost';

/** What comes of a look-up. */
type Find = 'answer' | 'fail' | 'operator' | 'deny';

/** A store that follows a script, then takes everything. */
class ScriptedStore implements Sink {
  readonly stored: string[] = [];
  readonly requests: string[][] = [];
  readonly #script: Move[];
  readonly #finds: Find[];
  find?: NonNullable<Sink['find']>;

  constructor(script: readonly Move[], finds?: readonly Find[]) {
    this.#script = [...script];
    this.#finds = [...(finds ?? [])];
    if (finds === undefined) return;
    this.find = async () => {
      const move = this.#finds.shift() ?? 'answer';
      if (move === 'fail') throw later;
      if (move === 'operator') throw operator;
      if (move === 'deny') return undefined;
      return new Set(this.stored);
    };
  }

  async check(): Promise<void> {}
  async close(): Promise<void> {}

  async deliver({ view, items }: Batch): Promise<Delivery> {
    const ids = Array.from(items, (row) => view.id(row));
    this.requests.push(ids);
    const move = this.#script.shift() ?? 'store';
    if (move === 'throw-later') throw later;
    if (move === 'throw-operator') throw operator;
    if (move === 'throw-defect') throw new TypeError('a defect');
    if (move === 'smaller') return { retry: { items: [...ids.keys()], cause: later, smaller: true } };
    const rejected: { item: number; error: AppError }[] = [];
    const retry: number[] = [];
    const unknown: number[] = [];
    ids.forEach((id, item) => {
      const what = move === 'store' ? 'store' : (move[item] ?? 'store');
      if (what === 'store' || what === 'unknown-stored') this.stored.push(id);
      if (what === 'reject') rejected.push({ item, error: never });
      if (what === 'retry') retry.push(item);
      if (what.startsWith('unknown')) unknown.push(item);
    });
    return {
      ...(rejected.length > 0 && { rejected }),
      ...(retry.length > 0 && { retry: { items: retry, cause: later } }),
      ...(unknown.length > 0 && { unknown: { items: unknown, cause: later } }),
    };
  }
}

function wrapped(store: Sink, maxBytes = 400) {
  const counters = newDeliveryCounters();
  const told: string[] = [];
  const tell = (what: string) => (_partition: number, cause?: AppError) =>
    void told.push(cause === undefined ? what : `${what} ${cause.code}`);
  const sink = delivering(store, {
    name: 'scripted',
    maxBytes,
    counters,
    policy: { initialMs: 0.01, maxMs: 0.02, pauseMs: 0.01 },
    observer: { retrying: tell('retrying'), paused: tell('paused'), delivering: tell('delivering') },
  });
  return { sink, counters, told };
}

const batchOf = (count: number): Batch => ({
  partition: 0,
  view: viewOf(0, count),
  items: Uint32Array.from({ length: count }, (_, row) => row),
});
const signal = new AbortController().signal;

const itemMove = fc.constantFrom<ItemMove>('store', 'reject', 'retry', 'unknown-stored', 'unknown-lost');
const move = fc.oneof(
  fc.constantFrom<Move>('store', 'throw-later', 'throw-operator', 'throw-defect', 'smaller'),
  fc.array(itemMove, { maxLength: 8 }),
);
const script = fc.array(move, { maxLength: 25 });

test('whatever the store does, each event ends up once, stored or rejected', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 25 }),
      script,
      fc.array(fc.constantFrom('answer', 'fail'), { maxLength: 6 }),
      async (count, moves, finds) => {
        const store = new ScriptedStore(moves, finds);
        const { sink, counters } = wrapped(store);
        const { rejected = [], ...rest } = await sink.deliver(batchOf(count), signal);
        expect(rest).toEqual({});
        const ends = [...store.stored, ...rejected.map(({ item }) => idOf(item))];
        expect(ends.sort()).toEqual(Array.from({ length: count }, (_, number) => idOf(number)).sort());
        expect(counters.possiblyDuplicatedEvents).toBe(0);
        expect(counters.requests).toBe(store.requests.length);
      },
    ),
    { numRuns: 300 },
  );
});

test('without a way to ask, nothing is missing and every possible double is counted', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 25 }), script, async (count, moves) => {
      const store = new ScriptedStore(moves);
      const { sink, counters } = wrapped(store);
      const { rejected = [] } = await sink.deliver(batchOf(count), signal);
      const ends = [...store.stored, ...rejected.map(({ item }) => idOf(item))];
      expect(new Set(ends).size).toBe(count);
      expect(ends.length - count).toBeLessThanOrEqual(counters.possiblyDuplicatedEvents);
    }),
    { numRuns: 200 },
  );
});

test('requests that fail as a whole keep the order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom<Move>('store', 'throw-later', 'throw-operator', 'throw-defect'), { maxLength: 20 }),
      async (moves) => {
        const store = new ScriptedStore(moves);
        await wrapped(store).sink.deliver(batchOf(25), signal);
        expect(store.stored).toEqual(Array.from({ length: 25 }, (_, number) => idOf(number)));
      },
    ),
    { numRuns: 100 },
  );
});

test('a store that may not be asked gets the events again, counted', async () => {
  const store = new ScriptedStore([['unknown-stored', 'unknown-lost', 'store']], ['deny']);
  const { sink, counters } = wrapped(store);
  await sink.deliver(batchOf(3), signal);
  expect(store.requests.at(-1)).toEqual([idOf(0), idOf(1)]);
  expect(counters).toMatchObject({ unknownEvents: 2, possiblyDuplicatedEvents: 2, foundEvents: 0, retriedEvents: 2 });
});

test('a look-up that an operator has to mend holds the events back, and nothing is sent again before', async () => {
  const store = new ScriptedStore([['unknown-stored', 'unknown-lost']], ['operator', 'fail', 'operator']);
  const { sink, counters } = wrapped(store);
  await sink.deliver(batchOf(2), signal);
  expect(store.requests).toEqual([[idOf(0), idOf(1)], [idOf(1)]]);
  expect(counters).toMatchObject({ foundEvents: 1, possiblyDuplicatedEvents: 0, failures: { [operator.code]: 2, [later.code]: 2 } });
});

test('what a life before may have stored is asked for first', async () => {
  const store = new ScriptedStore([], []);
  store.stored.push(idOf(0), idOf(1), idOf(2));
  const { sink, counters } = wrapped(store);
  await sink.deliver({ ...batchOf(5), possiblyStored: 5 }, signal);
  expect(store.requests).toEqual([[idOf(3), idOf(4)]]);
  expect(counters).toMatchObject({ unknownEvents: 5, foundEvents: 3, possiblyDuplicatedEvents: 0 });
});

test.each([1e6, 1])('of a batch only the part that may be stored is asked for (requests of up to %d bytes)', async (maxBytes) => {
  const store = new ScriptedStore([], []);
  store.stored.push(idOf(0));
  const { sink, counters } = wrapped(store, maxBytes);
  await sink.deliver({ ...batchOf(5), possiblyStored: 2 }, signal);
  expect(store.requests.flat()).toEqual([1, 2, 3, 4].map(idOf));
  expect(counters).toMatchObject({ unknownEvents: 2, foundEvents: 1, possiblyDuplicatedEvents: 0 });
});

test.each([1e6, 1])(
  'of what may be stored only what was begun is counted where the store does not tell (requests of up to %d bytes)',
  async (maxBytes) => {
    const store = new ScriptedStore([], ['deny', 'deny', 'deny', 'deny', 'deny']);
    const { sink, counters } = wrapped(store, maxBytes);
    await sink.deliver({ ...batchOf(5), possiblyStored: 4, begun: 3 }, signal);
    expect(store.requests.flat()).toEqual([0, 1, 2, 3, 4].map(idOf));
    expect(counters).toMatchObject({ unknownEvents: 4, foundEvents: 0, possiblyDuplicatedEvents: 3 });
  },
);

test.each([
  ['none', [], 50],
  ['the first', [0, 1, 2], 550],
  ['the last', [498, 499], 550],
  ['all', Array.from({ length: 500 }, (_, number) => number), 550],
])('of many events that are a guess the ends are asked for, and all where some of them are there: %s', async (_, held, asked) => {
  const store = new ScriptedStore([], []);
  store.stored.push(...held.map(idOf));
  let count = 0;
  store.find = async ({ view, items }) => {
    count += items.length;
    return new Set(Array.from(items, (row) => view.id(row)).filter((id) => store.stored.includes(id)));
  };
  const { sink } = wrapped(store, 1e9);
  await sink.deliver({ ...batchOf(500), possiblyStored: 500, begun: 0 }, signal);
  expect(count).toBe(asked);
  expect(store.requests.flat().length).toBe(500 - held.length);
});

test('requests are halved when the store asks, and one event that is still too large is rejected', async () => {
  const store = new ScriptedStore(['smaller', 'smaller', 'smaller', 'smaller']);
  const { sink } = wrapped(store, 1e6);
  const { rejected } = await sink.deliver(batchOf(8), signal);
  expect(store.requests.map((ids) => ids.length)).toEqual([8, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
  expect(rejected).toEqual([{ item: 0, error: later }]);
  // The size is remembered, and tried larger after a while.
  await sink.deliver(batchOf(25), signal);
  const sizes = store.requests.slice(11).map((ids) => ids.length);
  expect(sizes[0]).toBe(1);
  expect(Math.max(...sizes)).toBeGreaterThan(1);
});

test('what may pass is told as retrying, what an operator mends and what is not known as paused', async () => {
  const store = new ScriptedStore(['throw-later', 'throw-operator', 'throw-defect']);
  const { sink, told, counters } = wrapped(store);
  await sink.deliver(batchOf(1), signal);
  expect(told.slice(0, 4)).toEqual(['retrying LATER', 'paused OPERATOR', 'paused SINK_FAILED_UNEXPECTEDLY', 'delivering']);
  expect(counters.failures).toEqual({ LATER: 1, OPERATOR: 1, UNEXPECTED: 1 });
});

test('the delay the store names is kept', async () => {
  let calls = 0;
  const times: number[] = [];
  const store: Sink = {
    check: async () => undefined,
    close: async () => undefined,
    async deliver() {
      times.push(performance.now());
      return calls++ === 0 ? { retry: { items: [0], cause: later, afterMs: 60 } } : {};
    },
  };
  await wrapped(store).sink.deliver(batchOf(1), signal);
  expect(times[1] - times[0]).toBeGreaterThan(55);
});

test('an abort ends the retries with its reason, whatever is waited for', async () => {
  for (const moves of [Array<Move>(1000).fill('throw-later'), Array<Move>(1000).fill('throw-operator')]) {
    const store = new ScriptedStore(moves);
    const controller = new AbortController();
    const reason = new Error('closing');
    const delivery = wrapped(store).sink.deliver(batchOf(3), controller.signal);
    setTimeout(() => controller.abort(reason), 5);
    await expect(delivery).rejects.toBe(reason);
    expect(store.stored).toEqual([]);
  }
});

test('batches are cut by bytes of lines, and a longer line goes alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 600 }), async (count, maxBytes) => {
      const store = new ScriptedStore([]);
      await bounded(store, { maxBytes }).deliver(batchOf(count), signal);
      expect(store.requests.flat()).toEqual(Array.from({ length: count }, (_, number) => idOf(number)));
      for (const ids of store.requests) {
        const bytes = ids.reduce((sum, id) => sum + lineOf(Number(id.split('-')[1])).length, 0);
        expect(ids.length === 1 || bytes <= maxBytes).toBe(true);
      }
    }),
    { numRuns: 100 },
  );
});

test('cut batches hand on what is not settled, with everything behind it', async () => {
  const store = new ScriptedStore([[], ['reject', 'retry'], 'store']);
  const delivery = await bounded(store, { maxBytes: lineOf(4).length + lineOf(5).length }).deliver(batchOf(6), signal);
  expect(store.requests).toEqual([[0, 1].map(idOf), [2, 3].map(idOf)]);
  expect(delivery).toEqual({ rejected: [{ item: 2, error: never }], retry: { items: [3, 4, 5], cause: later } });
});
