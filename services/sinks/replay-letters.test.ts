import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type AppError, errorTable } from '../../core/app-error.ts';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { encodeDeadLetter } from '../../core/dead-letter.ts';
import { claimMs, DeadLetterBox, type LetterFilter } from '../../core/dead-letter-box.ts';
import { createLog, type Log } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { encodeSingleEvent } from '../../schema/event-batch.ts';
import { mortal } from '../../test/support/mortal-bus.ts';
import { newDeliveryCounters } from './metrics.ts';
import { replayOnce } from './replay.ts';
import { type ReplayedLetter, replayLetters } from './replay-letters.ts';
import type { Batch, Sink } from './sink.ts';
import { idOf, lineOf, viewOf } from './test-events.ts';

const signal = new AbortController().signal;
const log = createLog('silent');
const testError = errorTable({
  NEVER: { message: 'the mapping refuses it', retryable: false, remedy: 'mend it' },
  DOWN: { message: 'no connection', retryable: true, remedy: 'start it' },
});

async function boxIn(dir: string) {
  const bus = await openEmbeddedLog({
    dir: join(dir, 'bus'),
    topics: [{ name: topics.deadLetters, partitions: 2, maxBytes: 64 * 1024 * 1024, retain: 'oldest' }],
    commitMs: 1,
  });
  return { bus, box: new DeadLetterBox(bus) };
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'jitterscope-dlq-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** The letter of a test event that a sink gave up. */
function letterOf(number: number, target = 'store', partition = 0): Uint8Array {
  const from = { stage: 'sink', target, topic: topics.events, partition, offset: number } as const;
  const event = { id: idOf(number), rawOffset: number, ordinal: 0 };
  return encodeDeadLetter({ ...from, error: testError('NEVER'), event, payload: encodeSingleEvent(viewOf(number, 1), 0) });
}

const rawLetter = encodeDeadLetter({
  stage: 'aggregator',
  target: '',
  error: testError('NEVER'),
  topic: topics.raw,
  partition: 0,
  offset: 7,
  payload: Buffer.from('rubbish'),
});

/** A store whose answer is scripted by event. */
function storeOf(judge: (id: string) => AppError | undefined) {
  const stored: string[] = [];
  const lines: string[] = [];
  const batches: number[] = [];
  const sink: Sink = {
    check: async () => undefined,
    close: async () => undefined,
    async deliver({ view, items }) {
      const ids = Array.from(items, (row) => view.id(row));
      batches.push(ids.length);
      lines.push(...Array.from(items, (row) => Buffer.from(view.line(row)).toString()));
      const judged = ids.map((id, item) => ({ item, id, error: judge(id) }));
      stored.push(...judged.filter(({ error }) => error === undefined).map(({ id }) => id));
      const failed = judged.flatMap(({ item, error }) => (error === undefined ? [] : [{ item, error }]));
      const rejected = failed.filter(({ error }) => !error.retryable);
      const retry = failed.filter(({ error }) => error.retryable);
      return { rejected, ...(retry.length > 0 && { retry: { items: retry.map(({ item }) => item), cause: retry[0].error } }) };
    },
  };
  return {
    stored,
    lines,
    batches,
    sinks: {
      replay: (name: string, batch: Batch) =>
        replayOnce(name, name === 'store' ? { sink, maxBytes: 1e6 } : undefined, batch, newDeliveryCounters(), signal),
    },
  };
}

async function collect(replayed: AsyncIterable<ReplayedLetter>): Promise<[string, string | undefined][]> {
  const found: [string, string | undefined][] = [];
  for await (const { id, error } of replayed) found.push([id, error?.code]);
  return found;
}

async function waitingIds(box: DeadLetterBox, filter: LetterFilter = {}): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of box.waiting(filter, signal)) ids.push(id);
  return ids;
}

test('a letter is replayed through its sink alone; what is delivered waits no more, also after a restart', async () => {
  const dir = await folder();
  const { bus, box } = await boxIn(dir);
  await bus.append(topics.deadLetters, 0, [letterOf(0), letterOf(1, 'other'), rawLetter, letterOf(2), Buffer.from('no letter')]);
  await bus.append(topics.deadLetters, 1, [letterOf(3, 'store', 1)]);
  const { sinks, stored } = storeOf((id) => (id === idOf(2) ? testError('NEVER') : undefined));
  expect((await waitingIds(box)).length).toBe(6);
  const replayed = await collect(replayLetters(box, sinks, {}, signal, log));
  expect(Object.fromEntries(replayed)).toEqual({
    '0-0': undefined,
    '0-1': 'SINK_NOT_OPEN',
    '0-2': 'LETTER_NOT_OF_A_SINK',
    '0-3': 'NEVER',
    '0-4': 'LETTER_NOT_OF_A_SINK',
    '1-0': undefined,
  });
  expect(stored).toEqual([idOf(0), idOf(3)]);
  expect(await waitingIds(box)).toEqual(['0-1', '0-2', '0-3', '0-4']);
  await bus.close();
  const again = await boxIn(dir);
  expect(await waitingIds(again.box)).toEqual(['0-1', '0-2', '0-3', '0-4']);
  await again.bus.close();
});

test('many letters, of more than one fetch, go in few requests as they are, and a store that is down is asked once', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(
    topics.deadLetters,
    0,
    Array.from({ length: 8_100 }, (_, number) => letterOf(number)),
  );
  const down = storeOf(() => testError('DOWN'));
  const failed = await collect(replayLetters(box, down.sinks, { target: 'store' }, signal, log));
  expect(failed.length).toBe(8_100);
  expect(new Set(failed.map(([, code]) => code))).toEqual(new Set(['DOWN']));
  expect(down.batches).toEqual([500]);
  const up = storeOf(() => undefined);
  await collect(replayLetters(box, up.sinks, { target: 'store' }, signal, log));
  expect(up.batches).toEqual([...Array(16).fill(500), 100]);
  expect(new Set(up.stored).size).toBe(8_100);
  expect(up.lines).toEqual(up.stored.map((id) => lineOf(Number(id.split('-')[1]))));
  expect(await waitingIds(box)).toEqual([]);
  await bus.close();
});

test('letters are chosen by id, stage, target and code, and settled one by one', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0), letterOf(1, 'other'), rawLetter]);
  expect(await waitingIds(box, { stage: 'aggregator' })).toEqual(['0-2']);
  expect(await waitingIds(box, { target: 'other' })).toEqual(['0-1']);
  expect(await waitingIds(box, { code: 'NEVER', target: 'store' })).toEqual(['0-0']);
  expect(await waitingIds(box, { ids: ['0-1', '0-9'] })).toEqual(['0-1']);
  expect(await box.settle(['0-1'], signal)).toBe(1);
  expect(await waitingIds(box)).toEqual(['0-0', '0-2']);
  await expect(box.read('0-1', signal)).rejects.toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' });
  expect(await box.read('0-0', signal)).toMatchObject({ eventId: idOf(0), target: 'store', reason: 'the mapping refuses it' });
  const settled = await Promise.all([['0-0', '0-1'], ['0-2'], ['0-2']].map((ids) => box.settle(ids, signal)));
  expect(settled).toEqual([1, 1, 0]);
  expect(await waitingIds(box)).toEqual([]);
  await bus.close();
});

test('a sink that knows its own position takes no old event', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0)]);
  const sink: Sink = {
    check: async () => undefined,
    close: async () => undefined,
    delivered: () => undefined,
    deliver: () => Promise.reject(new Error('asked')),
  };
  const sinks = {
    replay: (name: string, batch: Batch) => replayOnce(name, { sink, maxBytes: 1e6 }, batch, newDeliveryCounters(), signal),
  };
  expect(await collect(replayLetters(box, sinks, {}, signal, log))).toEqual([['0-0', 'SINK_TAKES_NO_REPLAY']]);
  await bus.close();
});

/** A store that can be asked, and may break off behind the delivery; it stores twice what is sent twice. */
function askedStore(options: { readonly mayBeAsked?: boolean; readonly misses?: number } = {}) {
  const { mayBeAsked = true, misses = 0 } = options;
  const stored: string[] = [];
  const counters = newDeliveryCounters();
  let beforeAnswer: () => Promise<void> = async () => undefined;
  const sink: Sink = {
    check: async () => undefined,
    close: async () => undefined,
    async deliver({ view, items }) {
      stored.push(...Array.from(items, (row) => view.id(row)));
      await beforeAnswer();
      return {};
    },
    find: async () => (mayBeAsked ? new Set(stored) : undefined),
    mayMiss: () => misses,
  };
  const replay = (name: string, batch: Batch, deadline: AbortSignal) =>
    replayOnce(name, { sink, maxBytes: 1e6 }, batch, counters, deadline);
  return { stored, counters, sinks: { replay }, before: (action: () => Promise<void>) => void (beforeAnswer = action) };
}

/** Letters of some events, and a replay that was killed when the store had taken them; a minute later. */
async function afterKill(store: ReturnType<typeof askedStore>, count: number) {
  const { bus, box } = await boxIn(await folder());
  await bus.append(
    topics.deadLetters,
    0,
    Array.from({ length: count }, (_, number) => letterOf(number)),
  );
  const first = mortal(bus);
  const taken = new Promise<void>((resolve) => {
    store.before(async () => {
      first.kill();
      resolve();
    });
  });
  const killed = replayLetters(new DeadLetterBox(first.bus), store.sinks, {}, signal, log).next();
  killed.catch(() => undefined);
  await taken;
  store.before(async () => undefined);
  return { bus, box };
}

test('a replay that was killed behind the delivery doubles nothing when it is repeated: until its claim is over nobody sends, then the store is asked', async () => {
  const store = askedStore();
  const { bus, box } = await afterKill(store, 3);
  expect(new Set((await collect(replayLetters(box, store.sinks, {}, signal, log))).map(([, code]) => code))).toEqual(
    new Set(['DEAD_LETTER_CLAIMED']),
  );
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() + claimMs + 1);
  onTestFinished(() => void vi.restoreAllMocks());
  expect((await collect(replayLetters(box, store.sinks, {}, signal, log))).map(([, code]) => code)).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(store.stored).toEqual([idOf(0), idOf(1), idOf(2)]);
  expect(store.counters).toMatchObject({ foundEvents: 3, possiblyDuplicatedEvents: 0 });
  expect(await waitingIds(box)).toEqual([]);
  await bus.close();
});

test.each([
  ['that may not be asked', { mayBeAsked: false }, [idOf(0), idOf(1), idOf(0), idOf(1), idOf(2)]],
  ['that may not see them', { misses: 1 }, [idOf(0), idOf(1), idOf(2)]],
])('with a store %s, what a killed replay may have stored is counted and told, and nothing else', async (_, options, expected) => {
  const store = askedStore(options);
  const { bus, box } = await afterKill(store, 2);
  if ('misses' in options) store.stored.length = 0;
  await bus.append(topics.deadLetters, 0, [letterOf(2)]);
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() + claimMs + 1);
  onTestFinished(() => void vi.restoreAllMocks());
  const doubled: boolean[] = [];
  for await (const { id, possiblyDoubled } of replayLetters(box, store.sinks, {}, signal, log))
    doubled[['0-0', '0-1'].includes(id) ? Number(id.at(-1)) : 2] = possiblyDoubled;
  expect(doubled).toEqual([true, true, false]);
  expect([...store.stored].sort()).toEqual([...expected].sort());
  expect(store.counters.possiblyDuplicatedEvents).toBe(2);
  await bus.close();
});

test('two replays at once send each event once', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(
    topics.deadLetters,
    0,
    Array.from({ length: 1_200 }, (_, number) => letterOf(number)),
  );
  const store = askedStore({ mayBeAsked: false });
  store.before(() => new Promise((resolve) => setTimeout(resolve, 5)));
  const outcomes = await Promise.all([box, new DeadLetterBox(bus)].map((one) => collect(replayLetters(one, store.sinks, {}, signal, log))));
  expect(store.stored.length).toBe(1_200);
  expect(new Set(store.stored).size).toBe(1_200);
  expect(outcomes.flat().filter(([, code]) => code === undefined).length).toBe(1_200);
  expect(await waitingIds(box)).toEqual([]);
  await bus.close();
});

test('who goes away while letters are sent finds them settled', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(
    topics.deadLetters,
    0,
    Array.from({ length: 700 }, (_, number) => letterOf(number)),
  );
  const store = askedStore();
  const client = new AbortController();
  store.before(async () => client.abort());
  expect((await collect(replayLetters(box, store.sinks, {}, client.signal, log))).length).toBe(500);
  expect(store.stored.length).toBe(500);
  expect((await waitingIds(box)).length).toBe(200);
  await bus.close();
});

test('an event that was given up twice is sent once', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0), letterOf(1), letterOf(0), letterOf(1, 'other')]);
  const store = askedStore({ mayBeAsked: false });
  const outcomes = await collect(replayLetters(box, store.sinks, {}, signal, log));
  expect(outcomes.sort()).toEqual(['0-0', '0-1', '0-2', '0-3'].map((id) => [id, undefined]));
  expect(store.stored).toEqual([idOf(0), idOf(1), idOf(1)]);
  await bus.close();
});

test('what was sent without an answer is delivered when the store holds it, and else is doubtful', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0), letterOf(1)]);
  const finds = [new Set<string>(), new Set([idOf(1)])];
  const sink: Sink = {
    check: async () => undefined,
    close: async () => undefined,
    deliver: async () => ({ unknown: { items: [0, 1], cause: testError('DOWN') } }),
    find: async () => finds.shift(),
  };
  const sinks = {
    replay: (name: string, batch: Batch) => replayOnce(name, { sink, maxBytes: 1e6 }, batch, newDeliveryCounters(), signal),
  };
  expect(await collect(replayLetters(box, sinks, {}, signal, log))).toEqual([
    ['0-0', 'DOWN'],
    ['0-1', undefined],
  ]);
  const again = await box.claim(['0-0'], signal);
  expect([...again.letters]).toEqual([['0-0', { isDoubtful: true }]]);
  await bus.close();
});

test('letters that are there twice: two replays at once send each event once, and so does one behind one that was interrupted', async () => {
  const { bus, box } = await boxIn(await folder());
  const twice = (first: number, count: number) =>
    [0, 1].flatMap(() => Array.from({ length: count }, (_, number) => letterOf(first + number)));
  // The last hundred events have their second letters in the next group.
  await bus.append(topics.deadLetters, 0, twice(0, 300));
  const store = askedStore({ mayBeAsked: false });
  store.before(() => new Promise((resolve) => setTimeout(resolve, 100)));
  await Promise.all([box, new DeadLetterBox(bus)].map((one) => collect(replayLetters(one, store.sinks, {}, signal, log))));
  expect(store.stored.length).toBe(300);
  expect(await waitingIds(box)).toEqual([]);
  await bus.append(topics.deadLetters, 0, twice(300, 2));
  const client = new AbortController();
  store.before(async () => client.abort());
  await collect(replayLetters(box, store.sinks, {}, client.signal, log));
  await collect(replayLetters(new DeadLetterBox(bus), store.sinks, {}, signal, log));
  expect(store.stored.length).toBe(302);
  expect(new Set(store.stored).size).toBe(302);
  expect(await waitingIds(box)).toEqual([]);
  await bus.close();
});

test('letters of one event hundreds of others apart: by a replay that is interrupted between them and the next, by two at once, by their ids, it is sent once', async () => {
  const { bus, box } = await boxIn(await folder());
  const append = (first: number) =>
    bus.append(
      topics.deadLetters,
      0,
      [first, ...Array.from({ length: 700 }, (_, at) => first + 1 + at), first].map((n) => letterOf(n)),
    );
  const store = askedStore({ mayBeAsked: false });
  const client = new AbortController();
  const timesStored = (number: number) => store.stored.filter((id) => id === idOf(number)).length;
  await append(0);
  store.before(async () => client.abort());
  const told = await collect(replayLetters(box, store.sinks, {}, client.signal, log));
  expect(told.filter(([id]) => ['0-0', '0-701'].includes(id))).toEqual([
    ['0-0', undefined],
    ['0-701', undefined],
  ]);
  store.before(async () => undefined);
  await collect(replayLetters(new DeadLetterBox(bus), store.sinks, {}, signal, log));
  expect([timesStored(0), store.stored.length]).toEqual([1, 701]);

  const at = await append(1_000);
  expect(await collect(replayLetters(box, store.sinks, { ids: [`0-${at + 701}`] }, signal, log))).toEqual([
    [`0-${at}`, undefined],
    [`0-${at + 701}`, undefined],
  ]);
  store.before(() => new Promise((resolve) => setTimeout(resolve, 20)));
  await Promise.all([box, new DeadLetterBox(bus)].map((one) => collect(replayLetters(one, store.sinks, {}, signal, log))));
  expect([timesStored(1_000), store.stored.length, await waitingIds(box)]).toEqual([1, 1_402, []]);
  expect(store.counters.possiblyDuplicatedEvents).toBe(0);
  await bus.close();
});

test('a letter that holds another event than it says is not replayed as either', async () => {
  const { bus, box } = await boxIn(await folder());
  const from = { stage: 'sink', target: 'store', topic: topics.events, partition: 0, offset: 0 } as const;
  const event = { id: idOf(1), rawOffset: 1, ordinal: 0 };
  const forged = encodeDeadLetter({ ...from, error: testError('NEVER'), event, payload: encodeSingleEvent(viewOf(2, 1), 0) });
  await bus.append(topics.deadLetters, 0, [forged]);
  const store = askedStore();
  expect(await collect(replayLetters(box, store.sinks, {}, signal, log))).toEqual([['0-0', 'LETTER_NOT_AN_EVENT']]);
  expect([store.stored, await waitingIds(box)]).toEqual([[], ['0-0']]);
  await bus.close();
});

test('an event whose first letter was not delivered is not sent for its second', async () => {
  const { bus, box } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0), letterOf(1, 'other'), letterOf(0)]);
  const rival = await new DeadLetterBox(bus).claim(['0-0'], signal);
  const store = askedStore({ mayBeAsked: false });
  const outcomes = await collect(replayLetters(box, store.sinks, {}, signal, log));
  expect(outcomes.sort()).toEqual([
    ['0-0', 'DEAD_LETTER_CLAIMED'],
    ['0-1', undefined],
    ['0-2', 'DEAD_LETTER_CLAIMED'],
  ]);
  expect(store.stored).toEqual([idOf(1)]);
  await rival.end([]);
  await bus.close();
});

test('what is stored is told, although the claim cannot be ended; the log says until when it lasts', async () => {
  const { bus, box: calm } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0)]);
  let appends = 0;
  // Claim, settlement, end.
  const append: typeof bus.append = async (...call) => {
    if (++appends === 3) throw new Error('closed');
    return bus.append(...call);
  };
  const box = new DeadLetterBox({ ...mortal(bus).bus, append });
  const store = askedStore();
  const warn = vi.fn<Log['warn']>();
  expect(await collect(replayLetters(box, store.sinks, {}, signal, { ...log, warn }))).toEqual([['0-0', undefined]]);
  expect(appends).toBe(3);
  expect(warn.mock.calls.map(([fields]) => fields)).toEqual([
    { code: 'DEAD_LETTER_CLAIM_LASTS', until: expect.stringMatching(/^\d{4}-/) as string, cause: 'closed' },
  ]);
  expect(await waitingIds(calm)).toEqual([]);
  await bus.close();
});

test('a claim that others may take for over before anything is sent is given back', async () => {
  const { bus, box: rival } = await boxIn(await folder());
  await bus.append(topics.deadLetters, 0, [letterOf(0)]);
  let nowMs = Date.now();
  vi.spyOn(Date, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => void vi.restoreAllMocks());
  let awayMs = 61_000;
  const append: typeof bus.append = async (...call) => {
    const at = await bus.append(...call);
    nowMs += awayMs;
    awayMs = 0;
    return at;
  };
  const box = new DeadLetterBox({ ...mortal(bus).bus, append });
  const store = askedStore();
  expect(await collect(replayLetters(box, store.sinks, {}, signal, log))).toEqual([['0-0', 'DEAD_LETTER_CLAIMED_LATE']]);
  expect(store.stored).toEqual([]);
  expect(await collect(replayLetters(rival, store.sinks, {}, signal, log))).toEqual([['0-0', undefined]]);
  await bus.close();
});
