import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { errorTable } from '../core/app-error.ts';
import { type EmbeddedLog, openEmbeddedLog } from '../core/bus/embedded-log.ts';
import { askControl, ControlServer } from '../core/control.ts';
import { encodeDeadLetter } from '../core/dead-letter.ts';
import { DeadLetterBox } from '../core/dead-letter-box.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog } from '../core/log.ts';
import { DeadLetter, topics } from '../proto/bus.ts';
import { encodeSingleEvent } from '../schema/event-batch.ts';
import type { Sinks } from '../services/sinks/main.ts';
import { idOf, lineOf, viewOf } from '../services/sinks/test-events.ts';
import { listLetters, purgeLetters, replayLetters, showLetter } from './dlq.ts';
import { deadLetterMethods } from './dlq-methods.ts';
import { endRequests } from './drain.ts';
import { absentSinks } from './roles.ts';
import { shortSocketPath } from './socket-path.ts';

const testError = errorTable({
  REFUSED: { message: 'found \u001b[31mhost-3, expected an address', retryable: false, remedy: 'mend the mapping' },
});
const log = createLog('silent');
let dataDir: string;
let bus: EmbeddedLog;
let control: ControlServer;
/** Ids that the store takes. */
let taken: ReadonlySet<string>;
let out: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'jitterscope-dlq-'));
  const topic = { name: topics.deadLetters, partitions: 1, maxBytes: 64 * 1024 * 1024, retain: 'oldest' } as const;
  bus = await openEmbeddedLog({ dir: join(dataDir, 'bus'), topics: [topic], commitMs: 1 });
  const from = { stage: 'sink', target: 'elasticsearch', topic: topics.events, partition: 0, error: testError('REFUSED') } as const;
  const letters = [0, 1, 2].map((number) => {
    const event = { id: idOf(number), rawOffset: 0, ordinal: number };
    return encodeDeadLetter({ ...from, offset: number, event, payload: encodeSingleEvent(viewOf(number, 1), 0) });
  });
  await bus.append(topics.deadLetters, 0, [...letters, encodeDeadLetter({ ...from, offset: 3, payload: Buffer.from([1, 2, 3]) })]);
  taken = new Set();
  const sinks: Sinks = {
    ...absentSinks,
    replay: async (_, { view, items }) =>
      Array.from(items, (row) => ({ error: taken.has(view.id(row)) ? undefined : testError('REFUSED'), isDoubtful: false })),
  };
  control = await ControlServer.listen(
    shortSocketPath(join(dataDir, 'control.sock')),
    new Map(deadLetterMethods(new DeadLetterBox(bus), { bus: {}, sinks }, log)),
  );
  out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
});

afterEach(async () => {
  vi.restoreAllMocks();
  await control.close();
  await bus.close();
  await rm(dataDir, { recursive: true, force: true });
});

const text = () => ({ dataDir, json: false });
const json = () => ({ dataDir, json: true });
const rows = () =>
  out
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('list names each letter with its reason, for people and for machines', async () => {
  expect(await listLetters(text(), {}, 2)).toBe(0);
  expect(out).toContain(`elasticsearch  ${idOf(0)}`);
  expect(out).toContain('found \ufffd[31mhost-3, expected an address');
  expect(out).toContain('and 2 more: --limit 4');
  out = '';
  await listLetters(json(), { target: 'elasticsearch' }, 100);
  expect(rows().map(({ id, eventId }) => [id, eventId])).toEqual([
    ['0-0', idOf(0)],
    ['0-1', idOf(1)],
    ['0-2', idOf(2)],
    ['0-3', undefined],
  ]);
  expect(rows()[1]).toMatchObject({ stage: 'sink', code: 'REFUSED', topic: topics.events, partition: 0, offset: 1 });
  out = '';
  await listLetters(text(), { target: 'loki' }, 100);
  expect(out).toBe('No dead letters wait.\n');
});

test('show prints the event, or the bytes of what is none', async () => {
  await showLetter(text(), '0-1');
  expect(out).toContain(lineOf(1).trim());
  out = '';
  await showLetter(json(), '0-3');
  expect(JSON.parse(out)).toMatchObject({ id: '0-3', payloadBase64: 'AQID', bytes: 3 });
  await expect(showLetter(text(), '0-77')).rejects.toMatchObject({ message: expect.stringContaining('no dead letter 0-77') });
});

test('replay tells what stays and why, and takes away what was delivered', async () => {
  taken = new Set([idOf(0)]);
  expect(await replayLetters(text(), { ids: ['0-0', '0-1'] })).toBe(1);
  expect(out).toMatch(/0-1 {2}.*stays.*found .*mend the mapping\n1 delivered, 1 stay\n$/s);
  taken = new Set([idOf(1), idOf(2)]);
  out = '';
  expect(await replayLetters(json(), {})).toBe(1);
  expect(rows().map(({ id, delivered, code }) => [id, delivered, code])).toEqual([
    ['0-3', false, 'LETTER_NOT_AN_EVENT'],
    ['0-1', true, undefined],
    ['0-2', true, undefined],
  ]);
  await expect(replayLetters(text(), { ids: ['0-1'] })).rejects.toMatchObject({ message: expect.stringContaining('no dead letter 0-1') });
  out = '';
  await listLetters(json(), {}, 10);
  expect(rows().map(({ id }) => id)).toEqual(['0-3']);
});

test('purge takes away what it names, and nothing else', async () => {
  await purgeLetters(text(), { ids: ['0-1'] });
  await purgeLetters(json(), { code: 'NOBODY' });
  expect(out).toBe('1 purged\n{"purged":0}\n');
  await purgeLetters(text(), {});
  expect(out).toContain('3 purged');
  out = '';
  await listLetters(text(), {}, 10);
  expect(out).toBe('No dead letters wait.\n');
});

test('what was purged is told, also beside an id that is unknown; a name that no letter can have is refused', async () => {
  await expect(purgeLetters(text(), { ids: ['0-1', '0-99'] })).rejects.toMatchObject({
    message: expect.stringContaining('no dead letter 0-99'),
  });
  expect(out).toBe('1 purged\n');
  for (const filter of [{ target: 'elastic' }, { stage: 'sinks' }])
    for (const act of [purgeLetters, replayLetters])
      await expect(act(text(), filter)).rejects.toMatchObject({
        message: expect.stringMatching(/^no dead letter has the \w+ \w+; expected one of /),
      });
});

test('a letter that is rubbish hides no other', async () => {
  const times = [2 ** 53, -(2 ** 40), 1].map((seconds) => DeadLetter.encode({ stage: 'sink', at: { seconds, nanos: 2 ** 31 } }).finish());
  await bus.append(topics.deadLetters, 0, [...times, new Uint8Array(0), Buffer.from([0x6a, 0xff]), Buffer.from('no letter')]);
  await listLetters(json(), {}, 100);
  const found = rows();
  expect(found.length).toBe(10);
  expect(found.slice(4).map(({ code, at }) => [code, String(at).slice(0, 4)])).toEqual([
    ...[0, 1, 2].map(() => ['', '1970']),
    ...[3, 4, 5].map(() => ['DEAD_LETTER_UNREADABLE', '1970']),
  ]);
  await showLetter(text(), '0-9');
  expect(out).toContain(Buffer.from('no letter').toString('base64'));
});

test('a process without sinks, or whose brokers are away, says so instead of waiting', async () => {
  const unreachable = testError('REFUSED');
  for (const [hops, message] of [
    [{ bus: {}, sinks: absentSinks }, 'runs no sinks'],
    [{ bus: { problem: unreachable }, sinks: absentSinks }, unreachable.message],
  ] as const) {
    const methods = new Map(deadLetterMethods(new DeadLetterBox(bus), hops, log));
    expect(() => methods.get('dlq-replay')?.({}, new AbortController().signal)).toThrow(message);
  }
});

test('a process that ends while a store does not answer a replay leaves no claim open: the next one knows what may be stored', async () => {
  const path = shortSocketPath(join(dataDir, 'ends.sock'));
  let asked = (): void => undefined;
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const stop = new AbortController();
  const sinks: Sinks = {
    ...absentSinks,
    stopReplays: () => stop.abort(),
    replay: async (_, { items }) => {
      asked();
      await once(stop.signal, 'abort');
      return Array.from(items, () => ({ error: testError('REFUSED'), isDoubtful: true }));
    },
  };
  const server = await ControlServer.listen(path, new Map(deadLetterMethods(new DeadLetterBox(bus), { bus: {}, sinks }, log)));
  const client = askControl(path, 'dlq-replay', { ids: ['0-0', '0-1'] });
  const told = client.next().catch(() => undefined);
  await isAsked;
  await endRequests(server, sinks, new Deadline(10_000));
  await told;
  const next = await new DeadLetterBox(bus).claim(['0-0', '0-1', '0-2'], AbortSignal.timeout(10_000));
  expect([...next.letters].map(([id, { isDoubtful }]) => [id, isDoubtful])).toEqual([
    ['0-0', true],
    ['0-1', true],
    ['0-2', false],
  ]);
});
