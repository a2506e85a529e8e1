import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { TlsFiles, tlsSchema } from '../../../core/tls.ts';
import { Credentials, credentialsSchema } from '../http/credentials.ts';
import type { Outcome } from './answer.ts';
import { Lane } from './lane.ts';

// What a real Loki cannot be made to do: answers that break off, drip, never come.
const servers = new Set<Server>();
afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  servers.clear();
});

const log = createLog('silent');
const signal = new AbortController().signal;
const push = { body: Buffer.from('push') };

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => listener(request, response));
  }).listen(0, '127.0.0.1');
  servers.add(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function laneTo(url: string, timeoutMs = 60_000): Lane {
  const lane = new Lane({
    url,
    encoding: 'protobuf',
    timeoutMs,
    tenantId: 'team-a',
    credentials: new Credentials(credentialsSchema.parse({ username: 'jo', password: 'é:x' }), log),
    tls: new TlsFiles(tlsSchema.parse({}), log, 'tls'),
  });
  onTestFinished(() => lane.close());
  return lane;
}

const kindOf = (outcome: Outcome) => (outcome.kind === 'answered' ? `${outcome.status}` : `${outcome.kind} ${outcome.cause.code}`);

test.each<[string, RequestListener, string]>([
  ['an answer', (_, response) => response.writeHead(204).end(), '204'],
  ['a refusal with its text', (_, response) => response.writeHead(400).end('no'), '400'],
  ['a text that goes on for ever', (_, response) => void response.writeHead(400).write('x'.repeat(2_000_000)), '400'],
  ['a connection that is cut before the answer', (request) => request.socket.destroy(), 'unanswered LOKI_NO_ANSWER'],
  [
    'a refusal that breaks off',
    (request, response) => {
      response.writeHead(400, { 'content-length': 100 });
      response.write('entry with');
      setTimeout(() => request.socket.destroy(), 20);
    },
    'unanswered LOKI_NO_ANSWER',
  ],
  [
    'a success that breaks off: its status says all',
    (request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('ok');
      setTimeout(() => request.socket.destroy(), 20);
    },
    '200',
  ],
])('%s', async (_, listener, expected) => {
  const lane = laneTo(await serve(listener));
  expect(kindOf(await lane.push(push, signal))).toBe(expected);
});

test.each([202, 260, 302, 400])('an answer %i that repeats the request tells no secret', async (status) => {
  const lane = laneTo(await serve((request, response) => void response.writeHead(status).end(JSON.stringify(request.headers))));
  const outcome = await lane.push(push, signal);
  expect(outcome).toMatchObject({ status, body: expect.stringContaining('Basic …') });
});

test('an answer may take longer than the server keeps idle connections', async () => {
  let asked = 0;
  // Its first answer says so; the next ones come on the connection that was kept.
  const answer: RequestListener = (_, response) =>
    void response.writeHead(204, { connection: 'keep-alive', 'keep-alive': 'timeout=2' }).end();
  const lane = laneTo(await serve((request, response) => void setTimeout(() => answer(request, response), asked++ === 0 ? 0 : 1_500)));
  expect(kindOf(await lane.push(push, signal))).toBe('204');
  await sleep(50);
  expect(kindOf(await lane.push(push, signal))).toBe('204');
  await sleep(50);
  expect(kindOf(await lane.query('query_range', {}, signal))).toBe('204');
});

test.each<[string, RequestListener]>([
  ['a server that never answers', () => undefined],
  [
    'a server that drips',
    (_, response) => {
      response.writeHead(500);
      const timer = setInterval(() => response.write('.'), 20);
      response.once('close', () => clearInterval(timer));
    },
  ],
])('%s holds up a push no longer than its deadline, and not the one behind it', async (_, listener) => {
  let isDown = true;
  const url = await serve((request, response) => (isDown ? listener(request, response) : response.writeHead(204).end()));
  const lane = laneTo(url, 300);
  expect(kindOf(await lane.push(push, signal))).toBe('unanswered LOKI_NO_ANSWER');
  isDown = false;
  expect(kindOf(await lane.push(push, signal))).toBe('204');
  expect(kindOf(await lane.query('query_range', {}, signal))).toBe('204');
});

test('what a push waited for is not told of the query behind it', async () => {
  const text = 'x'.repeat(1_000_000);
  let isDown = true;
  const url = await serve((request, response) => {
    if (request.method === 'POST' && isDown) request.socket.destroy();
    else response.end(request.method === 'POST' ? '' : text);
  });
  const lane = laneTo(url);
  const whole = { kind: 'answered', status: 200, body: text };
  expect(kindOf(await lane.push(push, signal))).toBe('unanswered LOKI_NO_ANSWER');
  expect(await lane.query('query_range', {}, signal)).toEqual(whole);
  isDown = false;
  expect(kindOf(await lane.push(push, signal))).toBe('200');
  expect(await lane.query('query_range', {}, signal)).toEqual(whole);
});

test('a server that is not there got nothing', async () => {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  expect(kindOf(await laneTo(`http://127.0.0.1:${port}`).push(push, signal))).toBe('unsent LOKI_UNREACHABLE');
  expect(kindOf(await laneTo('http://no-such-host.invalid').push(push, signal))).toBe('unsent LOKI_UNREACHABLE');
});

test('a server without TLS gets nothing over it', async () => {
  const url = await serve((_, response) => response.writeHead(204).end());
  expect(kindOf(await laneTo(url.replace('http:', 'https:')).push(push, signal))).toMatch(/^unsent LOKI_(TLS|UNREACHABLE)$/);
});

test('an abort ends what is under way, with its reason', async () => {
  const lane = laneTo(await serve(() => undefined));
  const closing = new AbortController();
  const pushed = lane.push(push, closing.signal);
  const reason = new Error('closing');
  setTimeout(() => closing.abort(reason), 50);
  await expect(pushed).rejects.toBe(reason);
  await expect(lane.push(push, AbortSignal.abort(reason))).rejects.toBe(reason);
});

test('tenant, credentials and encoding go with each request; one connection serves them all', async () => {
  const seen: unknown[] = [];
  const url = await serve((request, response) => {
    const { authorization, 'x-scope-orgid': tenant, 'content-type': type, 'content-encoding': encoding } = request.headers;
    seen.push([request.method, request.url, authorization, tenant, type, encoding, request.socket.remotePort]);
    response.writeHead(204).end();
  });
  const lane = laneTo(`${url}/prefix/`);
  await lane.push(push, signal);
  await lane.push({ ...push, contentEncoding: 'gzip' }, signal);
  await lane.query('query_range', { query: '{a="b"}' }, signal);
  const basic = `Basic ${Buffer.from('jo:é:x').toString('base64')}`;
  const port = (seen[0] as unknown[])[6];
  expect(seen).toEqual([
    ['POST', '/prefix/loki/api/v1/push', basic, 'team-a', 'application/x-protobuf', undefined, port],
    ['POST', '/prefix/loki/api/v1/push', basic, 'team-a', 'application/x-protobuf', 'gzip', port],
    ['GET', '/prefix/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D', basic, 'team-a', undefined, undefined, port],
  ]);
});
