import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { TlsFiles, tlsSchema } from '../../../core/tls.ts';
import { CertificateAuthority } from '../../../test/support/certificate-authority.ts';
import { temporaryFolder } from '../../../test/support/data-folder.ts';
import { Credentials, credentialsSchema } from '../http/credentials.ts';
import { type Outcome, outcomeOfFailure } from './answer.ts';
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

async function serve(
  listener: RequestListener,
  host = '127.0.0.1',
  certificate?: { readonly cert: Buffer; readonly key: Buffer },
): Promise<string> {
  const whole: RequestListener = (request, response) => {
    request.resume();
    request.once('end', () => listener(request, response));
  };
  const server = (certificate === undefined ? createServer(whole) : createTlsServer(certificate, whole)).listen(0, host);
  servers.add(server);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return `${certificate === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function laneTo(url: string, timeoutMs = 60_000, tls: { ca?: string; serverName?: string } = {}): Lane {
  const lane = new Lane({
    url,
    encoding: 'protobuf',
    timeoutMs,
    tenantId: 'team-a',
    credentials: new Credentials(credentialsSchema.parse({ username: 'jo', password: 'é:x' }), log),
    tls: new TlsFiles(tlsSchema.parse(tls), log, 'tls'),
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

/** A server's certificate, and the file of its authority; for the test that runs. */
function certify() {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const authority = new CertificateAuthority(folder.path);
  const { cert, key } = authority.issue('DNS:localhost,IP:127.0.0.1,IP:::1');
  return { ca: authority.file, certificate: { cert: readFileSync(cert), key: readFileSync(key) } };
}

test.each(['http', 'https'])('an IPv6 address is pushed to and asked over %s', async (scheme) => {
  const { ca, certificate } = scheme === 'https' ? certify() : {};
  const hosts: unknown[] = [];
  const url = await serve(
    ({ headers }, response) => {
      hosts.push(`${scheme}://${headers.host}`);
      response.writeHead(204).end();
    },
    '::1',
    certificate,
  );
  expect(url).toMatch(/^https?:\/\/\[::1\]:\d+$/);
  // Node.js 22.23.3 takes no certificate for an IPv6 address: it compares it as a name.
  const lane = laneTo(url, 60_000, ca === undefined ? {} : { ca, serverName: 'localhost' });
  expect(kindOf(await lane.push(push, signal))).toBe('204');
  expect(kindOf(await lane.query('query_range', {}, signal))).toBe('204');
  expect(hosts).toEqual([url, url]);
});

/** A forwarder to a server with TLS that, once told, sends the client what is no TLS instead of its answers. */
async function garblingProxy(target: string) {
  const state = { isGarbling: false };
  const server = createTcpServer((client) => {
    const upstream = connect(Number(new URL(target).port), '127.0.0.1');
    const end = () => [client, upstream].forEach((socket: Socket) => void socket.destroy());
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    client.pipe(upstream);
    upstream.on('data', (bytes) => client.write(state.isGarbling ? Buffer.alloc(64, 'x') : bytes));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return { state, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test('TLS that breaks in its handshake took nothing; TLS that breaks behind a push leaves open what became of it', async () => {
  const { ca, certificate } = certify();
  let pushes = 0;
  const { state, url } = await garblingProxy(
    await serve(
      (_, response) => {
        pushes++;
        response.writeHead(204).end();
      },
      '127.0.0.1',
      certificate,
    ),
  );
  const lane = laneTo(url, 60_000, { ca });
  state.isGarbling = true;
  expect(kindOf(await lane.push(push, signal))).toBe('unsent LOKI_TLS');
  expect(pushes).toBe(0);
  state.isGarbling = false;
  expect(kindOf(await lane.push(push, signal))).toBe('204');
  await sleep(50);
  state.isGarbling = true;
  const broken = await lane.push(push, signal);
  expect(pushes).toBe(2);
  expect(kindOf(broken)).toBe('unanswered LOKI_NO_ANSWER');
  expect(broken).toMatchObject({ cause: { message: expect.stringMatching(/TLS broke/) } });
});

const failure = (code: string, more: object = {}) => Object.assign(new Error(code), { code, ...more });

test.each<[string, Error, string]>([
  ['a name without an address', failure('ENOTFOUND', { syscall: 'getaddrinfo' }), 'unsent LOKI_UNREACHABLE'],
  ['no way there', failure('EHOSTUNREACH', { syscall: 'connect' }), 'unsent LOKI_UNREACHABLE'],
  ['no way back, once connected', failure('EHOSTUNREACH', { syscall: 'read' }), 'unanswered LOKI_NO_ANSWER'],
  ['no network any more', failure('ENETUNREACH', { syscall: 'write' }), 'unanswered LOKI_NO_ANSWER'],
  [
    'no way to any address of a name',
    Object.assign(new AggregateError([failure('ENETUNREACH', { syscall: 'connect' }), failure('ETIMEDOUT', { syscall: 'connect' })]), {
      code: 'ENETUNREACH',
    }),
    'unsent LOKI_UNREACHABLE',
  ],
  ['a certificate that is not taken', failure('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'unsent LOKI_TLS'],
  ['a name that is not in it', failure('ERR_TLS_CERT_ALTNAME_INVALID'), 'unsent LOKI_TLS'],
  ["the client's certificate is wanted, behind the handshake", failure('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), 'unsent LOKI_TLS'],
  ["the client's certificate is not taken", failure('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), 'unsent LOKI_TLS'],
  ['an alert behind a push', failure('ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR'), 'unanswered LOKI_NO_ANSWER'],
  ['a record that was damaged', failure('ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC'), 'unanswered LOKI_NO_ANSWER'],
  ['a protocol error', failure('EPROTO', { syscall: 'write' }), 'unanswered LOKI_NO_ANSWER'],
])('%s: what it says of the push', (_, thrown, expected) => {
  expect(kindOf(outcomeOfFailure(thrown, 'https://loki'))).toBe(expected);
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
