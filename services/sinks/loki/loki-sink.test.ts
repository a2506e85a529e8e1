import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { uncompressSync } from 'snappy';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLog } from '../../../core/log.ts';
import { TlsFiles, tlsSchema } from '../../../core/tls.ts';
import type { EventBatchView } from '../../../schema/batch.ts';
import { Credentials } from '../http/credentials.ts';
import type { Batch } from '../sink.ts';
import { idOf, viewOf } from '../test-events.ts';
import { lokiSinkSchema } from './config.ts';
import { jsonEncoder } from './encode.ts';
import { lokiError } from './errors.ts';
import { Lane } from './lane.ts';
import { LokiSink, type LokiSinkOptions, openLokiSink } from './loki-sink.ts';

// Answers that a real Loki gives only now and then, at a moment that the test chooses.
const log = createLog('silent');
const noTls = new TlsFiles(tlsSchema.parse({}), log, 'tls');
const signal = new AbortController().signal;
const century = 100 * 365 * 86_400_000;

const batchOf = (first: number, count: number): Batch => ({
  partition: 0,
  view: viewOf(first, count),
  items: Uint32Array.from({ length: count }, (_, row) => row),
});
const ids = (first: number, count: number) => Array.from({ length: count }, (_, index) => idOf(first + index));

type Answer = (body: Buffer, response: ServerResponse, request: IncomingMessage) => void;

/** A server that answers pushes and queries. */
async function serve(push: Answer, query: Answer = (_, response) => void response.end(resultOf([]))): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => (request.method === 'POST' ? push : query)(Buffer.concat(chunks), response, request));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function openSink(url: string, section: object = {}, options: Partial<LokiSinkOptions> = {}) {
  const config = { ...lokiSinkSchema.parse({ url, ...section }), maxAge: century, maxAhead: century };
  const sink = await openLokiSink({ config, cluster: 'c1', log, settleMs: 0, ...options });
  onTestFinished(() => sink.close());
  return sink;
}

/** An answer of query_range. */
function resultOf(found: readonly string[]): string {
  return JSON.stringify({ data: { result: found.map((id) => ({ stream: { event_id: id }, values: [] })) } });
}

/** Ids in a push, each once. */
function idsIn(body: Buffer, encoding: string): string[] {
  const text = (encoding === 'json' ? gunzipSync(body) : uncompressSync(body)).toString();
  return [...new Set(text.match(/9c1f0b7a52e4d386-\d+/g))];
}

test.each(['protobuf', 'json'])(
  'two deliveries of one partition at once (%s): each push is whole, and has its own answer',
  async (encoding) => {
    const pushes: string[][] = [];
    const url = await serve((body, response) => {
      const pushed = idsIn(body, encoding);
      pushes.push(pushed);
      const status = pushed.includes(idOf(0)) ? 401 : 204;
      setTimeout(() => response.writeHead(status).end(), 50);
    });
    const sink = await openSink(url, { encoding });
    const [denied, taken] = await Promise.all([sink.deliver(batchOf(0, 3000), signal), sink.deliver(batchOf(3000, 3000), signal)]);
    expect(denied.retry?.cause.code).toBe('LOKI_DENIED');
    expect(denied.retry?.items.length).toBe(3000);
    expect(taken).toEqual({});
    expect(pushes).toEqual([ids(0, 3000), ids(3000, 3000)]);
  },
);

test('partitions push to one stream one after the other', async () => {
  let underWay = 0;
  let most = 0;
  let arrivals = 0;
  const url = await serve((_, response) => {
    arrivals++;
    most = Math.max(most, ++underWay);
    setTimeout(() => {
      underWay--;
      response.writeHead(204).end();
    }, 30);
  });
  const sink = await openSink(url);
  const delivered = Array.from({ length: 4 }, (_, partition) => sink.deliver({ ...batchOf(partition * 10, 10), partition }, signal));
  expect(await Promise.all(delivered)).toEqual([{}, {}, {}, {}]);
  expect([arrivals, most]).toEqual([4, 1]);
});

test('a delivery and a look-up of one partition at once: each has its own answer', async () => {
  const url = await serve(
    (_, response) => void setTimeout(() => response.writeHead(429).end('slower'), 50),
    (_, response) => void response.end(resultOf(ids(0, 10))),
  );
  const sink = await openSink(url);
  const [delivery, found] = await Promise.all([sink.deliver(batchOf(10, 10), signal), sink.find(batchOf(0, 10), signal)]);
  expect(delivery.retry?.cause.code).toBe('LOKI_BUSY');
  expect([...(found ?? [])]).toEqual(ids(0, 10));
});

test('a delivery that waits for another of its partition ends at once when its signal aborts, and sends nothing', async () => {
  let pushes = 0;
  let arrived = () => {};
  const isThere = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let answer = () => {};
  const url = await serve((_, response) => {
    pushes++;
    answer = () => void response.writeHead(204).end();
    arrived();
  });
  const sink = await openSink(url);
  const first = sink.deliver(batchOf(0, 1), signal);
  await isThere;
  const closing = new AbortController();
  const second = sink.deliver(batchOf(1, 1), closing.signal);
  const reason = new Error('closing');
  closing.abort(reason);
  await expect(second).rejects.toBe(reason);
  answer();
  expect(await first).toEqual({});
  expect(pushes).toBe(1);
});

test('an incomplete answer about what Loki holds is never the last: it is asked again, however long ago the push was', async () => {
  let queries = 0;
  const answers = [ids(0, 1), ids(0, 2), ids(0, 1), ids(0, 2), ids(0, 2)];
  const url = await serve(
    (_, response) => void response.writeHead(503).end(),
    (_, response) => void response.end(resultOf(answers[queries++])),
  );
  let nowMs = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => clock.mockRestore());
  const sink = await openSink(url, {}, { settleMs: 10 });
  expect([...((await sink.find(batchOf(0, 2), signal)) ?? [])]).toEqual(ids(0, 2));
  expect((await sink.deliver(batchOf(0, 2), signal)).unknown?.items).toEqual([0, 1]);
  // Loki was stalled, or the partition was another process's: the push that counts is not the last of this lane.
  nowMs += 3_600_000;
  expect([...((await sink.find(batchOf(0, 2), signal)) ?? [])]).toEqual(ids(0, 2));
  expect(queries).toBe(4);
  expect([...((await sink.find(batchOf(0, 2), signal)) ?? [])]).toEqual(ids(0, 2));
  expect(queries).toBe(5);
});

test.each([
  [400, 'max entries limit per query exceeded, limit > max_entries_limit_per_query (5000 > 1000)'],
  [422, 'no'],
  [403, 'no'],
])('a Loki that refuses queries with %i is not asked again, and is told of once', async (status, text) => {
  let queries = 0;
  const url = await serve(
    (_, response) => void response.writeHead(204).end(),
    (_, response) => {
      queries++;
      response.writeHead(status).end(text);
    },
  );
  const warn = vi.fn();
  const sink = await openSink(url, {}, { log: { ...log, warn } });
  for (let time = 0; time < 2; time++) expect(await sink.find(batchOf(0, 2), signal)).toBeUndefined();
  expect(queries).toBe(1);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn).toHaveBeenCalledWith(expect.objectContaining({ code: 'LOKI_MAY_NOT_BE_ASKED' }), expect.stringContaining(text));
});

test.each([301, 302, 307])(
  'a Loki whose queries are redirected with %i is for an operator to mend: the start and look-ups say so',
  async (status) => {
    const url = await serve(
      (_, response) => void response.writeHead(422).end(),
      (_, response) => void response.writeHead(status, { location: 'http://127.0.0.1:1/login' }).end('log in'),
    );
    const sink = await openSink(url);
    const redirected = { code: 'LOKI_QUERY_REDIRECTED', retryable: false, message: expect.stringContaining(`(${status}): log in`) };
    await expect(sink.check(signal)).rejects.toMatchObject(redirected);
    await expect(sink.find(batchOf(0, 2), signal)).rejects.toMatchObject(redirected);
  },
);

test.each([
  [401, 'the token has expired', 'LOKI_QUERY_UNAUTHENTICATED'],
  [400, 'Client sent an HTTP request to an HTTPS server.\n', 'LOKI_WITH_TLS'],
])('a query that is answered with %i (%s) is no denial of queries: the start and look-ups need an operator', async (status, text, code) => {
  let isMended = false;
  const url = await serve(
    (_, response) => void response.writeHead(422).end(),
    (_, response) => void (isMended ? response.end(resultOf(ids(0, 2))) : response.writeHead(status).end(text)),
  );
  const warn = vi.fn();
  const sink = await openSink(url, {}, { log: { ...log, warn } });
  await expect(sink.check(signal)).rejects.toMatchObject({ code, retryable: false });
  await expect(sink.find(batchOf(0, 2), signal)).rejects.toMatchObject({ code, retryable: false });
  isMended = true;
  expect([...((await sink.find(batchOf(0, 2), signal)) ?? [])]).toEqual(ids(0, 2));
  expect(warn).not.toHaveBeenCalled();
});

test('TLS that breaks at a look-up needs an operator, as at a push', async () => {
  const url = await serve((_, response) => void response.writeHead(204).end());
  const sink = await openSink(url.replace('http:', 'https:'));
  await expect(sink.find(batchOf(0, 2), signal)).rejects.toMatchObject({ code: 'LOKI_TLS', retryable: false });
});

test('a new sink asks once for what nobody is known to have begun, and twice where Loki holds some of it', async () => {
  const answers = [[], ids(0, 1), ids(0, 2)];
  const url = await serve(
    (_, response) => void response.writeHead(204).end(),
    (_, response) => void response.end(resultOf(answers.shift() ?? [])),
  );
  const sink = await openSink(url, {}, { settleMs: 10 });
  const find = async () => [...((await sink.find({ ...batchOf(0, 2), begun: 0 }, signal)) ?? [])];
  expect([await find(), answers.length, await find(), answers.length]).toEqual([[], 2, ids(0, 2), 0]);
});

test('what one of two answers knows is stored', async () => {
  const answers = [ids(0, 2), ids(1, 2)];
  const url = await serve(
    (_, response) => void response.writeHead(204).end(),
    (_, response) => void response.end(resultOf(answers.shift() ?? [])),
  );
  const sink = await openSink(url, {}, { settleMs: 10 });
  expect([...((await sink.find(batchOf(0, 4), signal)) ?? [])].sort()).toEqual(ids(0, 3));
});

test.each([408, 429, 500])('a Loki that answers a query with %i is asked again', async (status) => {
  const url = await serve(
    (_, response) => void response.writeHead(204).end(),
    (_, response) => void response.writeHead(status).end('later'),
  );
  const sink = await openSink(url);
  for (let time = 0; time < 2; time++)
    await expect(sink.find(batchOf(0, 2), signal)).rejects.toMatchObject({ code: 'LOKI_QUERY_FAILED', retryable: true });
});

/** Events of these times, Unix seconds. */
function eventsAt(...times: readonly number[]): Batch {
  const view: EventBatchView = Object.assign(viewOf(0, times.length), { timeSeconds: (row: number) => times[row] });
  return { partition: 0, view, items: Uint32Array.from(times.keys()) };
}

test.each([
  ['max_query_length is a month', 721 * 3600, 8],
  ['max_query_length is an hour', 3600, 20],
])('events of wrong clocks are looked up beside the others, and a range that is too long is no denial: %s', async (_, limitS, expected) => {
  const nowS = 1_790_000_000;
  const spans: string[] = [];
  let queries = 0;
  const url = await serve(
    (_body, response) => void response.writeHead(204).end(),
    (_body, response, request) => {
      queries++;
      const { searchParams } = new URL(request.url ?? '', url);
      const [start, end] = ['start', 'end'].map((name) => searchParams.get(name) ?? '');
      spans.push(`${start} ${end}`);
      if (Number(end) - Number(start) > limitS * 1e9)
        response.writeHead(400).end('the query time range exceeds the limit (query length: 497222h, limit: 30d1h)');
      else response.end(resultOf(ids(0, 8).filter((id) => searchParams.get('query')?.match(new RegExp(`[(|]${id.split('-')[1]}[|)]`)))));
    },
  );
  const warn = vi.fn();
  const sink = await openSink(url, {}, { log: { ...log, warn } });
  // The last one is of a time that Loki does not know: it cannot be stored.
  const batch = eventsAt(0, 8_000, nowS, nowS + 1, nowS + 7_200, nowS - 10 * 86_400, nowS + 13 * 365 * 86_400, 18_446_744_073);
  expect([...((await sink.find(batch, signal)) ?? [])].sort()).toEqual(ids(0, 7));
  expect(queries).toBe(expected);
  // Loki takes a number of up to ten digits for seconds.
  for (const span of spans) expect(span).toMatch(/^(0|\d{11,}) \d{11,}$/);
  expect(warn).not.toHaveBeenCalled();
});

test('the check asks for as many entries as a look-up does', async () => {
  const limits: (string | null)[] = [];
  const url = await serve(
    (_, response) => void response.writeHead(422).end(),
    (_, response, request) => {
      limits.push(new URL(request.url ?? '', url).searchParams.get('limit'));
      response.end(resultOf(ids(0, 2)));
    },
  );
  const sink = await openSink(url);
  await sink.check(signal);
  await sink.find(batchOf(0, 2), signal);
  expect(limits).toEqual(['5000', '5000']);
});

test.each([
  ['a secret that cannot be read', lokiError('LOKI_TLS', { url: 'x', cause: 'y' }), 'LOKI_TLS'],
  ['a defect', new TypeError('a defect'), 'SINK_FAILED_UNEXPECTEDLY'],
])('%s behind the first push: what was pushed is not sent again', async (_, thrown, code) => {
  const pushes: string[][] = [];
  let failing = [2, 3];
  const url = await serve((body, response) => {
    pushes.push(idsIn(body, 'json'));
    response.writeHead(204).end();
  });
  const encoder = jsonEncoder();
  let encoded = 0;
  const encode: typeof encoder.encode = async (...push) => {
    if (failing.includes(++encoded)) throw thrown;
    return encoder.encode(...push);
  };
  // A push for each event.
  const config = { ...lokiSinkSchema.parse({ url, encoding: 'json' }), maxAge: century, maxAhead: century, maxPushSize: 1 };
  const newLane = () => new Lane({ url, encoding: 'json', timeoutMs: 60_000, credentials: new Credentials({}, log), tls: noTls });
  const sink = new LokiSink({ config, cluster: 'c1', log }, newLane, async () => ({ ...encoder, encode }));
  onTestFinished(() => sink.close());
  const { retry, ...rest } = await sink.deliver(batchOf(0, 4), signal);
  expect(rest).toEqual({});
  expect(retry?.items).toEqual([1, 2, 3]);
  expect(retry?.cause.code).toBe(code);
  // Nothing of this one was sent.
  await expect(sink.deliver(batchOf(1, 3), signal)).rejects.toBe(thrown);
  failing = [];
  expect(await sink.deliver(batchOf(1, 3), signal)).toEqual({});
  expect(pushes).toEqual(ids(0, 4).map((id) => [id]));
});

test('an abort behind the first push rejects with its reason', async () => {
  const closing = new AbortController();
  const reason = new Error('closing');
  let pushes = 0;
  const url = await serve((_, response) => {
    if (++pushes === 2) closing.abort(reason);
    else response.writeHead(204).end();
  });
  const config = { ...lokiSinkSchema.parse({ url }), maxAge: century, maxAhead: century, maxPushSize: 1 };
  const sink = await openSink(url, {}, { config });
  await expect(sink.deliver(batchOf(0, 4), closing.signal)).rejects.toBe(reason);
});

test('a sink that was closed opens no connection', async () => {
  let requests = 0;
  const count: Answer = (_, response) => {
    requests++;
    response.writeHead(204).end();
  };
  const sink = await openSink(await serve(count, count));
  await sink.close();
  await expect(sink.deliver(batchOf(0, 1), signal)).rejects.toMatchObject({ code: 'SINK_NOT_OPEN' });
  await expect(sink.find(batchOf(0, 1), signal)).rejects.toMatchObject({ code: 'SINK_NOT_OPEN' });
  expect(requests).toBe(0);
});
