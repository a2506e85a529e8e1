import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../test/lab/eventually.ts';
import { errorTable } from './app-error.ts';
import { askControl, type ControlMethod, ControlServer } from './control.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-control-'));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

const testError = errorTable({
  TEST_FAILED: { message: 'the probe {probe} is off', retryable: false, remedy: 'Turn it on.', exitCode: 69 },
});

async function listen(methods: Record<string, ControlMethod>): Promise<string> {
  const path = join(dir, `${sockets++}.sock`);
  const server = await ControlServer.listen(path, new Map(Object.entries(methods)));
  onTestFinished(async () => void (await server.close()));
  return path;
}

async function all(answers: AsyncIterable<unknown>): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of answers) values.push(value);
  return values;
}

/** Sends bytes as they are and returns all that is answered. */
async function raw(path: string, request: string): Promise<unknown[]> {
  const socket = createConnection(path);
  socket.end(request);
  return (await text(socket))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as unknown);
}

async function* echo(params: Readonly<Record<string, unknown>>): AsyncGenerator<unknown> {
  yield params;
  yield null;
  yield ['ü\n', 1];
}

test('a request gets its answers in order, with its parameters', async () => {
  const path = await listen({ echo });
  expect(await all(askControl(path, 'echo', { text: 'a\nb', list: [1] }))).toEqual([{ text: 'a\nb', list: [1] }, null, ['ü\n', 1]]);
});

test('the socket is for its owner alone, and a file that a dead process left is replaced', async () => {
  const path = await listen({ echo });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const again = await ControlServer.listen(path, new Map([['echo', echo]]));
  onTestFinished(async () => void (await again.close()));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await all(askControl(path, 'echo'))).toHaveLength(3);
});

test('listening leaves the umask as it was', async () => {
  const before = process.umask();
  await listen({ echo });
  expect(process.umask()).toBe(before);
});

test('a method that is not known is refused with those that are', async () => {
  const path = await listen({ echo });
  await expect(all(askControl(path, 'tapp'))).rejects.toMatchObject({
    code: 'CONTROL_REFUSED',
    message: 'the running jitterscope knows no request tapp; it knows echo',
  });
});

test('what a method throws arrives with its remedy, behind the answers before it', async () => {
  const path = await listen({
    async *fails() {
      yield 1;
      throw testError('TEST_FAILED', { probe: 'tcpreset' });
    },
  });
  const answers: unknown[] = [];
  await expect(
    (async () => {
      for await (const value of askControl(path, 'fails')) answers.push(value);
    })(),
  ).rejects.toMatchObject({ code: 'CONTROL_REFUSED', message: 'the probe tcpreset is off', remedy: 'Turn it on.', exitCode: 69 });
  expect(answers).toEqual([1]);
});

test.each([
  '',
  '\n',
  'no json\n',
  'null\n',
  '5\n',
  '[]\n',
  '{"method":5}\n',
  '{"method":"echo","params":null}\n',
  '{"method":"__proto__"}\n',
])('the hostile request %j hurts nobody', async (request) => {
  const path = await listen({ echo });
  await raw(path, request);
  expect(await all(askControl(path, 'echo', { still: 'here' }))).toContainEqual({ still: 'here' });
});

test.each(['no json\n', 'null\n', '5\n'])('%j is answered as no request', async (request) => {
  const path = await listen({ echo });
  expect(await raw(path, request)).toEqual([
    { error: { message: expect.stringMatching(/request/), remedy: expect.any(String), exitCode: 1 } },
  ]);
});

test('nobody there is told with the path and what to do', async () => {
  const path = join(dir, 'nobody.sock');
  await expect(all(askControl(path, 'echo'))).rejects.toMatchObject({
    code: 'CONTROL_UNREACHABLE',
    exitCode: 75,
    message: expect.stringContaining(path),
    remedy: expect.stringContaining('npm start'),
  });
});

test('a method learns that its client is gone', async () => {
  let aborted = false;
  const path = await listen({
    async *waits(_params, signal) {
      yield 'begun';
      await once(signal, 'abort');
      aborted = true;
    },
  });
  for await (const answer of askControl(path, 'waits')) {
    expect(answer).toBe('begun');
    break;
  }
  await eventually('the method is told', () => aborted);
});

test('a signal ends the asking without an error', async () => {
  const stop = new AbortController();
  const path = await listen({
    async *waits(_params, signal) {
      yield 'begun';
      await once(signal, 'abort');
    },
  });
  const answers: unknown[] = [];
  for await (const answer of askControl(path, 'waits', {}, stop.signal)) {
    answers.push(answer);
    stop.abort();
  }
  expect(answers).toEqual(['begun']);
});

test('a client that does not read stops the method, not the process', async () => {
  const line = 'x'.repeat(10_000);
  let made = 0;
  let ended = false;
  const path = await listen({
    async *floods() {
      try {
        for (; made < 100_000; made++) yield line;
      } finally {
        ended = true;
      }
    },
    echo,
  });
  const socket = createConnection(path);
  socket.write('{"method":"floods"}\n');
  socket.pause();
  let before = -1;
  await eventually('no more is made', async () => {
    const same = made > 0 && made === before;
    before = made;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return same && made === before;
  });
  // What is in the sockets' buffers, and not a line more.
  expect(made).toBeLessThan(2000);
  expect(await all(askControl(path, 'echo'))).toHaveLength(3);
  socket.destroy();
  await eventually('the method ends', () => ended);
});

test('a process that dies in the middle of its answers ends the asking', async () => {
  const path = join(dir, 'dies.sock');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('{"value":1}\n{"val', () => socket.destroy());
  });
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  await expect(all(askControl(path, 'echo'))).rejects.toMatchObject({ code: 'CONTROL_UNREACHABLE' });
});

test('closing ends clients that still listen', async () => {
  const path = join(dir, 'closes.sock');
  const server = await ControlServer.listen(
    path,
    new Map<string, ControlMethod>([
      [
        'waits',
        async function* (_params, signal) {
          yield 1;
          await once(signal, 'abort');
        },
      ],
    ]),
  );
  const answers = askControl(path, 'waits');
  expect((await answers.next()).value).toBe(1);
  await server.close();
  expect((await answers.next()).done).toBe(true);
});

test('closing waits for methods that are asked to end, and says when one does not', async () => {
  const path = join(dir, 'ends.sock');
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let hasEnded = false;
  const server = await ControlServer.listen(
    path,
    new Map<string, ControlMethod>([
      [
        'settles',
        async function* (_params, signal) {
          yield 1;
          await once(signal, 'abort');
          await released;
          hasEnded = true;
        },
      ],
    ]),
  );
  const answers = askControl(path, 'settles');
  await answers.next();
  expect(await server.close(1)).toBe(false);
  release();
  expect(await server.close(60_000)).toBe(true);
  expect(hasEnded).toBe(true);
});
